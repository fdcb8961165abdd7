"""needle.nn.init: tensors that exist are filled, in their own memory, by PyTorch's formulas."""

import math

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.autograd import modes


def weight(dtype: str = "float32") -> nn.Parameter:
    return nn.Parameter(ndl.init.zeros(300, 500, dtype=dtype))


def test_the_tensor_and_its_memory_stay() -> None:
    tensor = nn.Parameter(ndl.init.zeros(20, 30))
    array = tensor.realize_cached_data()
    for fill in (nn.init.xavier_uniform_, nn.init.orthogonal_, nn.init.trunc_normal_):
        assert fill(tensor) is tensor
        assert tensor.realize_cached_data() is array
        assert array.any()
    assert tensor.requires_grad
    assert tensor.is_leaf()
    assert tensor.dtype == np.float32


UNIFORM = {
    "xavier": (nn.init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(6 / 800)),
    "kaiming": (nn.init.kaiming_uniform_, {}, math.sqrt(6 / 300)),
    "kaiming out": (nn.init.kaiming_uniform_, {"mode": "fan_out"}, math.sqrt(6 / 500)),
    "kaiming tanh": (
        nn.init.kaiming_uniform_,
        {"nonlinearity": "tanh"},
        math.sqrt(3 / 300) * 5 / 3,
    ),
    "kaiming leaky": (nn.init.kaiming_uniform_, {"a": 1.0}, math.sqrt(3 / 300)),
    "uniform": (nn.init.uniform_, {"a": -0.5, "b": 0.5}, 0.5),
}
NORMAL = {
    "xavier": (nn.init.xavier_normal_, {}, math.sqrt(2 / 800)),
    "kaiming": (nn.init.kaiming_normal_, {"nonlinearity": "relu"}, math.sqrt(2 / 300)),
    "normal": (nn.init.normal_, {"std": 3.0}, 3.0),
}


@pytest.mark.parametrize(("fill", "options", "bound"), UNIFORM.values(), ids=UNIFORM)
def test_uniform(fill, options, bound) -> None:
    np.random.seed(0)
    values = fill(weight(), **options).numpy()
    assert 0.99 * bound < abs(values).max() <= bound * (1 + 1e-6)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("fill", "options", "std"), NORMAL.values(), ids=NORMAL)
def test_normal(fill, options, std) -> None:
    np.random.seed(0)
    values = fill(weight("float64"), **options).numpy()
    assert values.std() == pytest.approx(std, rel=0.01)
    assert abs(values.mean()) < std / 100


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.init.kaiming_uniform_, "kaiming_uniform_"),
        (nn.init.xavier_uniform_, "xavier_uniform_"),
        (nn.init.xavier_normal_, "xavier_normal_"),
        (nn.init.kaiming_normal_, "kaiming_normal_"),
    ],
)
def test_spread_is_torchs(ours, theirs) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    torch.manual_seed(0)
    expected = getattr(torch.nn.init, theirs)(torch.empty(500, 300)).std().item()
    assert ours(weight()).numpy().std() == pytest.approx(expected, rel=0.01)


def test_fans_of_a_convolution() -> None:
    np.random.seed(0)
    values = nn.init.kaiming_normal_(ndl.init.zeros(3, 3, 16, 64)).numpy()
    assert values.std() == pytest.approx(math.sqrt(2 / (9 * 16)), rel=0.03)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize(
    "fill",
    [nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_,
     nn.init.xavier_normal_, nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.eye_],
)  # fmt: skip
def test_nothing_to_fill(fill, shape) -> None:
    assert fill(ndl.init.zeros(*shape)).shape == shape


def test_constants() -> None:
    tensor = ndl.init.randn(2, 3)
    np.testing.assert_array_equal(nn.init.ones_(tensor).numpy(), np.ones((2, 3)))
    np.testing.assert_array_equal(nn.init.eye_(tensor).numpy(), np.eye(2, 3))
    np.testing.assert_array_equal(nn.init.constant_(tensor, 0.5).numpy(), np.full((2, 3), 0.5))
    np.testing.assert_array_equal(nn.init.zeros_(tensor).numpy(), np.zeros((2, 3)))


def test_draws_follow_the_seed() -> None:
    layer = nn.Linear(3, 4)
    np.random.seed(1)
    nn.init.uniform_(layer.weight, -1, 1)
    np.random.seed(1)
    np.testing.assert_array_equal(
        layer.weight.numpy(), (np.random.rand(3, 4) * 2 - 1).astype("float32")
    )


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
        nn.init.xavier_uniform_(ndl.init.zeros(3))
    with pytest.raises(ValueError, match="mode 'fan': expected fan_in or fan_out"):
        nn.init.kaiming_normal_(ndl.init.zeros(3, 3), mode="fan")
    with pytest.raises(ValueError, match=r"eye_ takes a matrix, got shape \(3,\)"):
        nn.init.eye_(ndl.init.zeros(3))
    with pytest.raises(ValueError, match="nonlinearity 'step': known are"):
        nn.init.kaiming_uniform_(ndl.init.zeros(3, 3), nonlinearity="step")
    with pytest.raises(ValueError, match="a=1 is above b=0"):
        nn.init.uniform_(ndl.init.zeros(3), 1, 0)
    with pytest.raises(ValueError, match="std must be at least 0, got -1"):
        nn.init.normal_(ndl.init.zeros(3), 0, -1)


@pytest.mark.parametrize("fill", [nn.init.uniform_, nn.init.orthogonal_, nn.init.kaiming_normal_])
def test_integers_hold_no_draws(fill) -> None:
    with pytest.raises(TypeError, match="random values are floats, which a tensor of int64 cannot"):
        fill(ndl.Tensor([[1, 2], [3, 4]]))


@pytest.mark.parametrize("fill", [nn.init.ones_, nn.init.eye_, nn.init.kaiming_uniform_])
def test_observers_see_the_assignment(fill) -> None:
    tensor = ndl.init.zeros(2, 3)
    seen = []

    def note(value, op, inputs) -> None:
        seen.append((value, type(op).__name__))

    with modes.override(modes.observers, (note,)):
        fill(tensor)
    ((value, op),) = seen
    assert value is tensor
    assert op == "Assign"
