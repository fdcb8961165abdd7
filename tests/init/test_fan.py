"""Xavier's and Kaiming's initialisations by formula: bounds, deviations, shapes, seeds, gains."""

import math

import numpy as np
import pytest

from needle import init

FAN_IN, FAN_OUT = 300, 500

UNIFORM = {
    "xavier": (init.xavier_uniform, {}, math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "xavier, gain": (init.xavier_uniform, {"gain": 1.5}, 1.5 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "kaiming": (init.kaiming_uniform, {}, math.sqrt(2) * math.sqrt(3 / FAN_IN)),
    "kaiming, linear": (init.kaiming_uniform, {"nonlinearity": "linear"}, math.sqrt(3 / FAN_IN)),
}
NORMAL = {
    "xavier": (init.xavier_normal, {}, math.sqrt(2 / (FAN_IN + FAN_OUT))),
    "xavier, gain": (init.xavier_normal, {"gain": 0.5}, 0.5 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    "kaiming": (init.kaiming_normal, {}, math.sqrt(2) / math.sqrt(FAN_IN)),
    "kaiming, linear": (init.kaiming_normal, {"nonlinearity": "linear"}, 1 / math.sqrt(FAN_IN)),
}


@pytest.mark.parametrize(("function", "options", "bound"), UNIFORM.values(), ids=UNIFORM)
def test_uniform(function, options, bound) -> None:
    np.random.seed(1)
    tensor = function(FAN_IN, FAN_OUT, **options)
    np.random.seed(1)
    expected = np.random.rand(FAN_IN, FAN_OUT) * 2 * bound - bound
    assert (tensor.shape, tensor.dtype) == ((FAN_IN, FAN_OUT), np.float32)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=0, atol=1e-7)
    assert 0.99 * bound < abs(tensor.numpy()).max() <= bound
    assert tensor.numpy().std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert tensor.numpy().mean() == pytest.approx(0, abs=bound / 100)


@pytest.mark.parametrize(("function", "options", "std"), NORMAL.values(), ids=NORMAL)
def test_normal(function, options, std) -> None:
    np.random.seed(1)
    tensor = function(FAN_IN, FAN_OUT, **options)
    np.random.seed(1)
    assert (tensor.shape, tensor.dtype) == ((FAN_IN, FAN_OUT), np.float32)
    np.testing.assert_allclose(
        tensor.numpy(), np.random.randn(FAN_IN, FAN_OUT) * std, rtol=0, atol=1e-6
    )
    assert tensor.numpy().std() == pytest.approx(std, rel=0.01)
    assert tensor.numpy().mean() == pytest.approx(0, abs=std / 50)


@pytest.mark.parametrize("function", [init.kaiming_uniform, init.kaiming_normal])
def test_kaiming_in_another_shape(function) -> None:
    tensor = function(9 * 16, 9 * 32, shape=(3, 3, 16, 32), dtype="float64", requires_grad=True)
    assert (tensor.shape, tensor.dtype) == ((3, 3, 16, 32), np.float64)
    assert tensor.requires_grad
    assert tensor.numpy().std() == pytest.approx(math.sqrt(2 / (9 * 16)), rel=0.1)


@pytest.mark.parametrize(
    "function",
    [init.xavier_uniform, init.xavier_normal, init.kaiming_uniform, init.kaiming_normal],
)
def test_weights_without_elements_or_axes(function) -> None:
    assert function(0, 3).shape == (0, 3)
    assert function(0, 0).shape == (0, 0)
    assert function(3, 4, shape=(2, 6)).shape == (2, 6)
    assert function(3, 4, shape=()).shape == ()


def test_unknown_nonlinearity() -> None:
    with pytest.raises(ValueError, match=r"'reul'.*relu"):
        init.kaiming_uniform(3, 4, nonlinearity="reul")


# --- gains


@pytest.mark.parametrize(
    ("name", "param"),
    [("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("selu", None),
     ("leaky_relu", None), ("leaky_relu", 0.3), ("leaky_relu", 0), ("conv1d", None),
     ("conv2d", None), ("conv_transpose3d", None)],
)  # fmt: skip
def test_gain_is_torchs(name, param) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.calculate_gain(name, param)
    assert init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-12)


def test_kaiming_knows_every_gain() -> None:
    np.random.seed(0)
    values = init.kaiming_normal(300, 300, nonlinearity="tanh").numpy()
    assert values.std() == pytest.approx(5 / 3 / math.sqrt(300), rel=0.01)


def test_unknown_gain() -> None:
    with pytest.raises(ValueError, match=r"nonlinearity 'swish': known are linear, .*leaky_relu"):
        init.calculate_gain("swish")
