"""Diagonals, traces and triangles of matrices."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

RNG = np.random.default_rng(0)
SHAPES = [(3, 3), (2, 4), (4, 2), (1, 1), (0, 2), (2, 3, 4), (2, 3, 0, 2)]


@pytest.mark.parametrize("offset", [-5, -2, -1, 0, 1, 2, 5])
@pytest.mark.parametrize("axes", [(0, 1), (-2, -1), (1, 0), (-1, 0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_diagonal_and_trace(shape, axes, offset, mode, check_derivatives):
    array = RNG.normal(size=shape)
    x = Tensor(array)
    np.testing.assert_array_equal(
        ndl.diagonal(x, offset, *axes).numpy(), np.diagonal(array, offset, *axes)
    )
    np.testing.assert_allclose(ndl.trace(x, offset, *axes).numpy(), np.trace(array, offset, *axes))
    check_derivatives(lambda a: ndl.diagonal(a, offset, *axes), array)
    check_derivatives(lambda a: ndl.trace(a, offset, *axes), array)


@pytest.mark.parametrize("k", [-2, 0, 1, 5])
@pytest.mark.parametrize("shape", [*SHAPES, (3,)])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles(name, shape, k, mode, check_derivatives):
    array = RNG.normal(size=shape)
    value = getattr(ndl, name)(Tensor(array), k)
    np.testing.assert_array_equal(value.numpy(), getattr(np, name)(array, k))
    check_derivatives(lambda a: getattr(ndl, name)(a, k), array)


def test_a_diagonal_is_no_window_into_its_matrix():
    x = Tensor(np.eye(2))
    ndl.diagonal(x).realize_cached_data()[:] = 7
    np.testing.assert_array_equal(x.numpy(), np.eye(2))


def test_float32_stays_float32():
    x = Tensor(np.ones((3, 3)), dtype="float32")
    value = ndl.trace(ndl.tril(x) @ ndl.triu(x)) + ndl.diagonal(x).sum()
    value.backward()
    assert value.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("axes", "error", "complaint"),
    [((0, 0), ValueError, "twice"), ((0, 2), IndexError, "axis 2 is out of range for 2 axes")],
)
def test_axes_that_make_no_matrix_are_refused(axes, error, complaint):
    with pytest.raises(error, match=complaint):
        ndl.diagonal(Tensor(np.ones((2, 2))), 0, *axes)
    with pytest.raises(error, match=complaint):
        ndl.trace(Tensor(np.ones((2, 2))), 0, *axes)


@pytest.mark.parametrize("function", [ndl.tril, ndl.triu])
def test_a_number_has_no_triangle(function):
    with pytest.raises(TypeError, match="it takes matrices"):
        function(Tensor(1.0))
