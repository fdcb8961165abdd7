"""Linear and Bilinear against PyTorch, their initialisation, and input that does not fit."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.testing import gradcheck


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (1,), (7,), (2, 3), (0,)])
def test_linear_is_torchs(same_module, leading, bias, dtype) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    ours = nn.Linear(5, 4, bias=bias, dtype=dtype)
    theirs = torch.nn.Linear(5, 4, bias=bias, dtype=getattr(torch, dtype))
    same_module(ours, theirs, np.random.randn(*leading, 5).astype(dtype))


def test_linear_draws_its_weight_first() -> None:
    np.random.seed(2)
    layer = nn.Linear(30, 20)
    np.random.seed(2)
    weight = ndl.init.kaiming_uniform(30, 20)
    bias = ndl.init.kaiming_uniform(20, 1)
    assert (layer.weight.shape, layer.bias.shape) == ((30, 20), (1, 20))
    np.testing.assert_array_equal(layer.weight.numpy(), weight.numpy())
    np.testing.assert_array_equal(layer.bias.numpy(), bias.numpy().T)


def test_linear_without_bias_draws_none() -> None:
    np.random.seed(2)
    assert nn.Linear(3, 2, bias=False).bias is None
    after = np.random.rand()
    np.random.seed(2)
    np.random.rand(3, 2)
    assert np.random.rand() == after


def test_parameters_of_linear_are_leaves_that_require_gradients() -> None:
    for parameter in nn.Linear(3, 2).parameters():
        assert parameter.is_leaf()
        assert parameter.requires_grad
        assert parameter.dtype == np.float32


def test_linear_refuses_another_feature_count() -> None:
    with pytest.raises(ValueError, match=r"Linear expected \(\.\.\., 4\), got \(2, 3\)"):
        nn.Linear(4, 5)(ndl.init.rand(2, 3))
    with pytest.raises(ValueError, match="got \\(\\)"):
        nn.Linear(4, 5)(ndl.init.rand())


def test_linear_suggests_flatten_for_images() -> None:
    with pytest.raises(ValueError, match="flatten the images first"):
        nn.Linear(784, 10)(ndl.init.rand(2, 28, 28))


def test_identity_takes_the_place_of_any_layer() -> None:
    x = ndl.init.rand(2, 3)
    assert nn.Identity(3, 4, bias=False)(x) is x


# --- Bilinear


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_bilinear_is_torchs(same_module, leading, bias, dtype) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.RandomState(0)
    same_module(
        nn.Bilinear(3, 2, 5, bias=bias, dtype=dtype),
        torch.nn.Bilinear(3, 2, 5, bias=bias, dtype=getattr(torch, dtype)),
        draw.randn(*leading, 3).astype(dtype),
        draw.randn(*leading, 2).astype(dtype),
    )


def test_bilinear_draws_from_torchs_interval() -> None:
    layer = nn.Bilinear(16, 50, 40)
    assert 0.24 < abs(layer.weight.numpy()).max() <= 0.25
    assert abs(layer.bias.numpy()).max() <= 0.25


def test_second_derivatives() -> None:
    draw = np.random.RandomState(0)
    x1, x2 = ndl.Tensor(draw.randn(2, 3)), ndl.Tensor(draw.randn(2, 2))
    weight, bias = ndl.Tensor(draw.randn(4, 3, 2)), ndl.Tensor(draw.randn(4))
    assert gradcheck(nn.functional.bilinear, (x1, x2, weight, bias), order=2)
    weight = ndl.Tensor(draw.randn(3, 4))
    assert gradcheck(lambda *args: nn.functional.linear(*args) ** 2, (x1, weight, bias), order=2)


def test_bilinear_on_inputs_that_do_not_fit() -> None:
    layer = nn.Bilinear(3, 2, 5)
    with pytest.raises(ValueError, match=r"Bilinear expected \(\.\.\., 2\), got \(4, 3\)"):
        layer(ndl.init.rand(4, 3), ndl.init.rand(4, 3))
    with pytest.raises(ValueError, match=r"equal leading axes, got \(4, 3\) and \(5, 2\)"):
        layer(ndl.init.rand(4, 3), ndl.init.rand(5, 2))


def test_bilinear_without_inputs() -> None:
    with pytest.raises(ValueError, match="Bilinear: in1_features must be positive, got 0"):
        nn.Bilinear(0, 2, 3)


# --- what a layer shows and refuses


def test_settings_are_shown() -> None:
    assert repr(nn.Linear(3, 2)) == "Linear(3, 2)  # 8 parameters"
    assert (
        repr(nn.Bilinear(2, 3, 4, bias=False)) == "Bilinear(2, 3, 4, bias=False)  # 24 parameters"
    )


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_linear_refuses_integers(dtype) -> None:
    with pytest.raises(TypeError, match=rf"Linear expected floating-point numbers, got {dtype}"):
        nn.Linear(2, 3)(ndl.Tensor([[0, 1]], dtype=dtype))


def test_linear_follows_numpys_rules_for_other_floats() -> None:
    assert nn.Linear(2, 3)(ndl.Tensor([[0.0, 1.0]])).dtype == np.float64
    assert nn.Linear(2, 3, dtype="float64")(ndl.init.rand(1, 2)).dtype == np.float64
