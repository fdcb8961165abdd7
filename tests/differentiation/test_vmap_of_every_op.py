"""vmap of every op of the table in tests/ops, against a loop over the examples."""

import itertools

import numpy as np
import pytest
import table

import needle as ndl
from needle import Tensor
from tests.rows import parameters

SIZE = 3
EVERY_ROW = pytest.mark.parametrize("row", **parameters(table.CASES))
DIFFERENTIABLE = pytest.mark.parametrize(
    "row", **parameters(case for case in table.CASES if case.differentiable)
)


def batches(case):
    """Arrays for SIZE examples, all different."""
    examples = [
        [np.asarray(case._draw(np.random.default_rng(seed), shape)) for shape in case.shapes]
        for seed in range(SIZE)
    ]
    return [np.stack(arrays) for arrays in zip(*examples, strict=True)]


def arguments(arrays, mapped):
    """Batches where `mapped`, else the array of the first example."""
    return [
        Tensor(array if is_one else array[0]) for array, is_one in zip(arrays, mapped, strict=True)
    ]


def looped(function, inputs, mapped):
    """The outputs of a loop, stacked."""
    examples = [
        function(*[x[index] if is_one else x for x, is_one in zip(inputs, mapped, strict=True)])
        for index in range(SIZE)
    ]
    return [ndl.stack(each) for each in zip(*examples, strict=True)]


def vmapped(function, inputs, mapped):
    axes = tuple(0 if is_one else None for is_one in mapped)
    return ndl.vmap(function, axes)(*inputs)


def choices(case):
    """Which operands are mapped: all ways but none."""
    every = list(itertools.product([True, False], repeat=len(case.shapes)))[:-1]
    return every if len(every) < 8 else [every[0], *every[-4:]]


def outputs_of(case):
    return lambda *inputs: tuple(case.outputs(inputs))


def assert_equal(actual, expected, tolerance=1e-9):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.numpy(), other.numpy(), tolerance, tolerance)


@EVERY_ROW
def test_values(row):
    arrays = batches(row)
    for mapped in choices(row):
        inputs = arguments(arrays, mapped)
        expected = looped(outputs_of(row), inputs, mapped)
        assert_equal(vmapped(outputs_of(row), inputs, mapped), expected)


@DIFFERENTIABLE
def test_gradients_of_each_example(row):
    arrays, numbers = batches(row), tuple(range(len(row.shapes)))
    gradient = ndl.grad(lambda *inputs: row.objective(inputs), numbers)
    for mapped in choices(row):
        inputs = arguments(arrays, mapped)
        expected = looped(gradient, inputs, mapped)
        assert_equal(vmapped(gradient, inputs, mapped), expected)


@DIFFERENTIABLE
def test_gradients_through_vmap(row):
    arrays, numbers = batches(row), tuple(range(len(row.shapes)))
    for mapped in choices(row):

        def total(run, *inputs, mapped=mapped):
            values = run(outputs_of(row), inputs, mapped)
            return sum(((y * y).sum() + y.sum() for y in values), start=Tensor(0.0))

        inputs = arguments(arrays, mapped)
        expected = ndl.grad(lambda *inputs: total(looped, *inputs), numbers)(*inputs)
        actual = ndl.grad(lambda *inputs: total(vmapped, *inputs), numbers)(*inputs)
        assert_equal(actual, expected)


@DIFFERENTIABLE
def test_second_derivatives_of_each_example(row):
    arrays, numbers = batches(row), tuple(range(len(row.shapes)))
    gradient = ndl.grad(lambda *inputs: row.objective(inputs), numbers)
    mapped = [True] * len(numbers)
    inputs = arguments(arrays, mapped)
    directions = arguments([np.cos(array) for array in arrays], mapped)

    def along(*both):
        inputs, directions = both[: len(both) // 2], both[len(both) // 2 :]
        return ndl.jvp(gradient, inputs, directions)[1]

    expected = looped(along, [*inputs, *directions], mapped * 2)
    assert_equal(vmapped(along, [*inputs, *directions], mapped * 2), expected, 1e-7)


@DIFFERENTIABLE
def test_tangents_through_vmap(row):
    arrays = batches(row)
    mapped = [True] * len(arrays)
    inputs = arguments(arrays, mapped)
    directions = arguments([np.cos(array) for array in arrays], mapped)
    _, expected = ndl.jvp(lambda *x: tuple(looped(outputs_of(row), x, mapped)), inputs, directions)
    _, actual = ndl.jvp(lambda *x: tuple(vmapped(outputs_of(row), x, mapped)), inputs, directions)
    assert_equal(actual, expected)


@EVERY_ROW
def test_two_axes(row):
    """Of a batch of batches."""
    arrays = batches(row)
    inputs = [Tensor(np.stack([array, array + 0.01])) for array in arrays]
    mapped = [True] * len(inputs)
    function = outputs_of(row)
    expected = ndl.vmap(lambda *x: tuple(looped(function, x, mapped)))(*inputs)
    actual = ndl.vmap(ndl.vmap(function))(*inputs)
    assert_equal(actual, expected)
