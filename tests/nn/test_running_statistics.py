"""The running statistics of normalisation layers."""

import numpy as np
import pytest

import needle as ndl
from needle import nn

# name, arguments, shapes of inputs


def test_running_statistics_follow_the_formula() -> None:
    layer = nn.BatchNorm1d(3, momentum=0.2)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(4):
        x = np.random.RandomState(seed).randn(8, 3) * 2 + seed
        layer(ndl.Tensor(x, dtype="float32"))
        mean = 0.8 * mean + 0.2 * x.mean(0)
        var = 0.8 * var + 0.2 * x.var(0)  # the biased variance
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)


def test_running_statistics_of_images() -> None:
    layer = nn.BatchNorm2d(2)
    x = np.random.RandomState(0).randn(3, 2, 4, 5)
    layer(ndl.Tensor(x, dtype="float32"))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2, 3)), rtol=1e-5)
    expected = 0.9 + 0.1 * x.var((0, 2, 3))
    np.testing.assert_allclose(layer.running_var.numpy(), expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_running_statistics_are_constants_of_their_own() -> None:
    layer = nn.BatchNorm1d(2)
    buffers = dict(layer.named_buffers())
    for _ in range(3):
        x = ndl.init.randn(5, 2, requires_grad=True)
        layer(x).sum().backward()
    assert list(buffers) == ["running_mean", "running_var"]
    for name, tensor in layer.named_buffers():
        assert tensor is buffers[name]
        assert tensor.is_leaf()
        assert not tensor.requires_grad
        assert tensor.grad is None
        assert tensor.dtype == np.float32
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("momentum", [0, 1, 0.25])
def test_momentum_from_end_to_end(momentum) -> None:
    layer, x = nn.BatchNorm1d(2, momentum=momentum), np.random.randn(6, 2)
    y = layer(ndl.Tensor(x, dtype="float32"))
    np.testing.assert_allclose(layer.running_mean.numpy(), momentum * x.mean(0), rtol=1e-5)
    expected = 1 - momentum + momentum * x.var(0)
    np.testing.assert_allclose(layer.running_var.numpy(), expected, rtol=1e-5)
    layer.running_mean.realize_cached_data()[...] = 99  # backward keeps moments of its own
    y.backward(ndl.Tensor(x, dtype="float32"))
    assert abs(layer.weight.grad.numpy() - (y.numpy() * x).sum(0)).max() < 1e-4


def test_one_layer_used_twice_in_a_graph_is_torchs(same_as_torch) -> None:
    torch = pytest.importorskip("torch")
    ours = nn.BatchNorm1d(3, dtype="float64")
    theirs = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    same_as_torch(
        lambda x: ours(ours(x) ** 2), lambda x: theirs(theirs(x) ** 2), np.random.randn(6, 3)
    )
    np.testing.assert_allclose(
        ours.running_mean.numpy(), theirs.running_mean.numpy(), rtol=0, atol=1e-12
    )


def test_eval_mode_uses_them_and_leaves_them() -> None:
    layer = nn.BatchNorm1d(2)
    layer.running_mean.realize_cached_data()[...] = [1, 2]
    layer.running_var.realize_cached_data()[...] = [4, 9]
    before = {name: tensor.numpy() for name, tensor in layer.named_buffers()}
    y = layer.eval()(ndl.Tensor([[3.0, 5.0]], dtype="float32"))  # one row is enough here
    np.testing.assert_allclose(y.numpy(), [[1.0, 1.0]], rtol=1e-5)
    for name, tensor in layer.named_buffers():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_without_running_statistics_eval_mode_uses_the_batch() -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    x = ndl.init.randn(6, 2)
    expected = layer(x).numpy()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), expected)
    assert list(layer.buffers()) == []


def test_lazy_batches_move_running_statistics_at_once() -> None:
    """An effect waits for nobody: other code may read what it changes."""
    eager, lazy = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    x = ndl.init.randn(6, 2)
    expected = eager(x).numpy()
    with ndl.lazy_mode():
        y = lazy(x)
    for _ in range(2):  # a second look computes nothing again
        np.testing.assert_array_equal(y.numpy(), expected)
    for name, tensor in lazy.named_buffers():
        np.testing.assert_array_equal(tensor.numpy(), getattr(eager, name).numpy())
