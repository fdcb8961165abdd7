"""Normalisation ops: closed forms against compositions, one node a call, running moments."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.autograd import find_topo_sort
from needle.testing import gradcheck


def composed(x, weight, bias, axes, eps=1e-5):
    centred = x - x.mean(axes, keepdims=True)
    return centred / ops.sqrt((centred**2).mean(axes, keepdims=True) + eps) * weight + bias


CASES = {
    "batch": ((6, 4), (4,), 0),
    "batch of sequences": ((4, 3, 5), (3, 1), (0, 2)),
    "batch of images": ((3, 2, 4, 4), (2, 1, 1), (0, 2, 3)),
    "layer": ((6, 4), (4,), -1),
    "layer over two axes": ((3, 2, 4), (2, 4), (1, 2)),
    "one scale for all": ((3, 4), (), (0, 1)),
    "scale along one of two axes": ((2, 3, 4), (3, 1), (1, 2)),
}


@pytest.mark.parametrize(("shape", "of_weight", "axes"), CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_closed_form_is_the_composition(shape, of_weight, axes) -> None:
    draw = np.random.RandomState(0)
    arrays = draw.randn(*shape) * 3 + 1, draw.randn(*of_weight), draw.randn(*of_weight)
    g, h = (Tensor(draw.randn(*shape), requires_grad=False) for _ in range(2))
    results = []
    for function in (ops.normalize, composed):
        inputs = [Tensor(array) for array in arrays]
        y = function(*inputs, axes)
        y.backward(g)
        first = [x.grad for x in inputs]
        (first[0] * h).sum().backward()
        second = [x.grad for x in inputs[:2]]  # it does not depend on the bias
        results.append([y, *first, *second])
    for closed, other in zip(*results, strict=True):
        np.testing.assert_allclose(closed.numpy(), other.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("shape", "of_weight", "axes"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("forward", [False, True])
def test_derivatives_in_both_modes(shape, of_weight, axes, forward) -> None:
    draw = np.random.RandomState(1)
    inputs = tuple(Tensor(draw.randn(*lengths)) for lengths in (shape, of_weight, of_weight))
    assert gradcheck(
        lambda *args: ops.normalize(*args, axes, 0.1),
        inputs,
        order=2,
        mode="random",
        forward=forward,
    )


def test_third_derivative() -> None:
    draw = np.random.RandomState(2)
    x, g, h = (Tensor(draw.randn(4, 3)) for _ in range(3))
    one, zero = ndl.init.ones(3, dtype="float64"), ndl.init.zeros(3, dtype="float64")

    def second(x: Tensor) -> Tensor:
        first = ndl.grad(lambda x: (ops.normalize(x, one, zero, 0) * g).sum())
        return ndl.grad(lambda x: (first(x) * h).sum())(x)

    assert gradcheck(second, x, mode="random")


def test_it_is_one_op() -> None:
    x, weight, bias = (
        ndl.init.randn(5, 3, requires_grad=True),
        Tensor(np.ones(3)),
        Tensor(np.zeros(3)),
    )
    y = ops.normalize(x, weight, bias, 0)
    assert len(find_topo_sort([y])) == 5  # three operands, the outputs, and the first of them
    y.backward()
    assert x.grad.dtype == np.float32


def test_a_constant_column_is_no_trouble() -> None:
    x = Tensor(np.full((4, 2), 3.0))
    y = ops.normalize(x, Tensor(np.ones(2)), Tensor(np.array([1.0, 2.0])), 0)
    y.backward(Tensor(np.arange(8.0).reshape(4, 2)))
    np.testing.assert_array_equal(y.numpy(), [[1.0, 2.0]] * 4)
    assert np.isfinite(x.grad.numpy()).all()


def moments(x, axes, eps):
    """The outputs of the op that exist for its gradient: the mean and 1/√(variance + eps)."""
    return ops.Normalize(axes, eps)(Tensor(x), 1.0, 0.0).tuple()[1:]


def test_moments() -> None:
    x = np.random.RandomState(0).randn(3, 4, 5)
    for axes in ((0,), (0, 2), (2,), (0, 1, 2)):
        mean, scale = moments(x, axes, eps=0.1)
        expected = 1 / np.sqrt(x.var(axes, keepdims=True) + 0.1)
        np.testing.assert_allclose(mean.numpy(), x.mean(axes, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(scale.numpy(), expected, rtol=1e-12)


def test_variance_of_large_numbers() -> None:
    x = np.random.RandomState(0).randn(1000, 3) + 1e8
    _, scale = moments(x, (0,), eps=0)
    np.testing.assert_allclose(scale.numpy()[0], 1 / x.std(0), rtol=1e-9)


def test_running_statistics_are_outputs() -> None:
    x = ndl.init.randn(6, 3)
    mean, variance = ndl.init.zeros(3), ndl.init.ones(3)
    op = ops.BatchNorm((0,), momentum=0.5)
    outputs = op(x, ndl.init.ones(3), ndl.init.zeros(3), mean, variance)
    np.testing.assert_allclose(outputs[3].numpy(), x.numpy().mean(0) / 2, rtol=1e-5)
    np.testing.assert_allclose(outputs[4].numpy(), 0.5 + x.numpy().var(0) / 2, rtol=1e-5)
    np.testing.assert_array_equal(mean.numpy(), 0)
    np.testing.assert_array_equal(variance.numpy(), 1)


@pytest.mark.parametrize(("axes", "error"), [(2, IndexError), ((0, 0), ValueError)])
def test_axes_that_are_none(axes, error) -> None:
    with pytest.raises(error):
        ops.normalize(ndl.init.ones(2, 3), ndl.init.ones(3), ndl.init.zeros(3), axes)
