"""Properties over shapes and axes that Hypothesis makes up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import (
    array_shapes,
    broadcastable_shapes,
    mutually_broadcastable_shapes,
    valid_tuple_axes,
)

import needle as ndl
from needle import Tensor, ops

quick = settings(derandomize=True, deadline=None, max_examples=50)

shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)


def draws(*sizes):
    rng = np.random.default_rng(len(sizes))
    return [rng.uniform(0.5, 2, size=size) for size in sizes]


def summed_to(array, shape):
    """The adjoint of broadcasting from `shape`, by indices: each source element gets its sum."""
    source = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), array.shape)
    result = np.zeros(np.prod(shape, dtype=int))
    np.add.at(result, source.ravel(), array.ravel())
    return result.reshape(shape)


# --- broadcasting

PARTIALS = {
    "add": (ops.add, lambda a, b: (1 + 0 * (a + b), 1 + 0 * (a + b))),
    "multiply": (ops.multiply, lambda a, b: (b + 0 * a, a + 0 * b)),
    "divide": (ops.divide, lambda a, b: (1 / b + 0 * a, -a / b**2)),
    "power": (ops.power, lambda a, b: (b * a ** (b - 1), a**b * np.log(a))),
}


@pytest.mark.parametrize("name", PARTIALS)
@quick
@given(pair=mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4, max_side=3))
def test_adjoints_of_broadcast_operands(name, pair):
    function, partials = PARTIALS[name]
    first, second = draws(*pair.input_shapes)
    a, b = Tensor(first), Tensor(second)
    result = function(a, b)
    assert result.shape == pair.result_shape
    (weights,) = draws(pair.result_shape)
    result.backward(weights)
    for operand, partial in zip((a, b), partials(first, second), strict=True):
        assert operand.grad.shape == operand.shape
        expected = summed_to(weights * partial, operand.shape)
        np.testing.assert_allclose(operand.grad.numpy(), expected, rtol=1e-12)


@quick
@given(data=st.data())
def test_adjoint_of_broadcast_to(data):
    target = data.draw(array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
    source = data.draw(broadcastable_shapes(target, min_dims=0, max_dims=len(target), max_side=3))
    if np.broadcast_shapes(source, target) != target:
        target = np.broadcast_shapes(source, target)
    (array,), (weights,) = draws(source), draws(target)
    x = Tensor(array)
    x.broadcast_to(target).backward(weights)
    np.testing.assert_allclose(x.grad.numpy(), summed_to(weights, source))


# --- reductions


@st.composite
def shapes_and_axes(draw, min_side=1):
    shape = draw(array_shapes(min_dims=1, max_dims=4, min_side=min_side, max_side=3))
    return shape, draw(st.one_of(st.none(), valid_tuple_axes(len(shape))))


@quick
@given(shapes_and_axes(min_side=0), st.booleans())
def test_sums_over_any_axes(pair, keepdims):
    shape, axes = pair
    (array,) = draws(shape)
    x = Tensor(array)
    result = x.sum(axes, keepdims=keepdims)
    np.testing.assert_allclose(result.numpy(), array.sum(axes, keepdims=keepdims))
    (weights,) = draws(result.shape)
    result.backward(weights)
    kept = weights.reshape(array.sum(axes, keepdims=True).shape)
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(kept, shape))


@pytest.mark.parametrize("name", ["max", "min", "mean", "var"])
@quick
@given(shapes_and_axes(), st.booleans())
def test_other_reductions_over_any_axes(name, pair, keepdims):
    shape, axes = pair
    (array,) = draws(shape)
    value = getattr(ops, name)(Tensor(array), axes, keepdims=keepdims)
    expected = getattr(np, name)(array, axis=axes, keepdims=keepdims)
    np.testing.assert_allclose(value.numpy(), expected, atol=1e-14)


@quick
@given(shapes_and_axes(), st.floats(-1e4, 1e4))
def test_logsumexp_moves_with_its_input(pair, shift):
    shape, axes = pair
    (array,) = draws(shape)
    x = Tensor(array + shift)
    y = x.logsumexp(axes)
    np.testing.assert_allclose(y.numpy() - shift, Tensor(array).logsumexp(axes).numpy(), atol=1e-10)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), ndl.softmax(x, axes).numpy(), atol=1e-12)
    np.testing.assert_allclose(ndl.softmax(x, axes).sum(axes).numpy(), 1)


# --- views


@st.composite
def shapes_of_one_size(draw):
    """Two shapes with the same number of elements."""
    shape = draw(shapes)
    factors = list(draw(st.permutations(shape)))
    while len(factors) > 1 and draw(st.booleans()):
        factors.append(factors.pop() * factors.pop())
    return shape, tuple(factors)


@quick
@given(shapes_of_one_size())
def test_reshape_there_and_back(pair):
    source, target = pair
    (array,), (weights,) = draws(source), draws(target)
    x = Tensor(array)
    y = x.reshape(target)
    np.testing.assert_array_equal(y.numpy(), array.reshape(target))
    np.testing.assert_array_equal(y.reshape(source).numpy(), array)
    y.backward(weights)
    np.testing.assert_array_equal(x.grad.numpy(), weights.reshape(source))


@quick
@given(st.data())
def test_permute_and_transpose_there_and_back(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=3))
    order = data.draw(st.permutations(range(len(shape))))
    first, second = order[:2]
    (array,) = draws(shape)
    x = Tensor(array)
    np.testing.assert_array_equal(x.permute(order).numpy(), array.transpose(order))
    back = sorted(range(len(order)), key=order.__getitem__)
    np.testing.assert_array_equal(x.permute(order).permute(back).numpy(), array)
    swapped = x.transpose((first, second - len(shape)))
    np.testing.assert_array_equal(swapped.numpy(), array.swapaxes(first, second))
    (weights,) = draws(swapped.shape)
    swapped.backward(weights)
    np.testing.assert_array_equal(x.grad.numpy(), weights.swapaxes(first, second))


@quick
@given(shapes_and_axes(min_side=0))
def test_flip_there_and_back(pair):
    shape, axes = pair
    (array,) = draws(shape)
    x = Tensor(array)
    np.testing.assert_array_equal(x.flip(axes).numpy(), np.flip(array, axes))
    x.flip(axes).backward(array)
    np.testing.assert_array_equal(x.grad.numpy(), np.flip(array, axes))
    np.testing.assert_array_equal(x.flip(axes).flip(axes).numpy(), array)


@quick
@given(st.data())
def test_split_and_stack_along_any_axis(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    (array,) = draws(shape)
    x = Tensor(array)
    y = ndl.stack(ndl.split(x, axis), axis)
    np.testing.assert_array_equal(y.numpy(), array)
    y.backward(array)
    np.testing.assert_array_equal(x.grad.numpy(), array)


# --- products


@st.composite
def shapes_that_multiply(draw):
    rows, inner, columns = draw(st.tuples(*[st.integers(0, 3)] * 3))
    batch = draw(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=2, max_side=3))
    left, right = batch.input_shapes
    return (*left, rows, inner), (*right, inner, columns)


@quick
@given(shapes_that_multiply())
def test_products_of_batches(pair):
    first, second = draws(*pair)
    a, b = Tensor(first), Tensor(second)
    result = a @ b
    np.testing.assert_allclose(result.numpy(), first @ second)
    (weights,) = draws(result.shape)
    result.backward(weights)
    for operand, full in (
        (a, weights @ second.swapaxes(-1, -2)),
        (b, first.swapaxes(-1, -2) @ weights),
    ):
        np.testing.assert_allclose(operand.grad.numpy(), summed_to(full, operand.shape), rtol=1e-12)
