"""Linear against PyTorch and its initialisation, Flatten, Identity."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (1,), (7,), (2, 3), (0,)])
def test_linear_is_torchs(same_module, leading, bias, dtype) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    ours = nn.Linear(5, 4, bias=bias, dtype=dtype)
    theirs = torch.nn.Linear(5, 4, bias=bias, dtype=getattr(torch, dtype))
    if leading:  # without leading axes the bias (1, out) adds an axis
        same_module(ours, theirs, np.random.randn(*leading, 5).astype(dtype))
    else:
        assert ours(ndl.Tensor(np.ones(5, dtype))).size == 4


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


def test_flatten_and_identity() -> None:
    x = ndl.init.rand(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten()(ndl.init.rand(5)).shape == (5, 1)
    assert nn.Flatten()(ndl.init.rand(0, 3, 2)).shape == (0, 6)
    assert nn.Identity()(x) is x
    with pytest.raises(ValueError, match="without axes"):
        nn.Flatten()(ndl.init.rand())
