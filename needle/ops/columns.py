"""Normalisation of the columns of a matrix, for images with their channels last in memory.

An image (N, C, ...) in that order is a matrix with a column for each channel. NumPy takes a row of
channels at a time where their statistics are broadcast; here some rows are joined to a long one and
the statistics repeated. What several passes go over is taken in blocks that stay in the cache.
"""

from typing import Any

import numpy as np

from ..autograd import Array
from .sums import sum_over
from .threads import in_threads, scratch

__all__ = [
    "as_columns", "from_columns", "normalize_columns", "normalize_columns_adjoint",
    "order_of_columns",
]  # fmt: skip

_LEAST = 2**15  # elements of an image for which this pays
_LONG = 2**11  # elements of a joined row
_BLOCK = 2**18  # elements of a block


def order_of_columns(a: Array, axes: tuple[int, ...]) -> list[int] | None:
    """The order in memory of the axes of an image, where `axes` are all but the last of them."""
    if a.__class__ is not np.ndarray or len(axes) != a.ndim - 1 or a.size < _LEAST:
        return None
    (kept,) = set(range(a.ndim)).difference(axes)
    order = [*sorted(axes, key=a.strides.__getitem__, reverse=True), kept]
    return order if a.transpose(order).flags.c_contiguous else None


def as_columns(a: Array, order: list[int]) -> Array:
    """An image as a matrix (rows, channels), in this order of its axes."""
    turned = a.transpose(order)
    return turned.reshape(-1, turned.shape[-1])


def from_columns(matrix: Array, shape: tuple[int, ...], order: list[int]) -> Array:
    """The inverse of `as_columns`, for an image of this shape."""
    image = matrix.reshape([shape[axis] for axis in order])
    return image.transpose([order.index(axis) for axis in range(len(order))])


def _joined(matrix: Array) -> tuple[Array, int]:
    """The matrix with some of its rows joined to one, and how many."""
    rows, columns = matrix.shape
    count = 1
    while rows % (2 * count) == 0 and 2 * count * columns <= _LONG:
        count *= 2
    return matrix.reshape(rows // count, count * columns), count


def _blocks(matrix: Array) -> list[slice]:
    """Slices of the rows of a matrix, for threads."""
    step = max(1, _BLOCK // matrix.shape[1])
    return [slice(start, start + step) for start in range(0, len(matrix), step)]


def normalize_columns(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, ...]:
    """(y, mean, variance, r) of a matrix, as `Normalize` has them, the statistics (1, columns)."""
    rows, columns = x.shape
    joined, count = _joined(x)
    blocks = _blocks(joined)
    y = np.empty_like(joined)

    def sum_of(block: slice) -> Array:
        return sum_over(joined[block].reshape(-1, columns), (0,))

    def squares_of(block: slice) -> Array:
        deviation = np.subtract(joined[block], repeated, out=y[block])
        squares = np.multiply(deviation, deviation, out=scratch("squares", y, deviation.shape))
        return sum_over(squares.reshape(-1, columns), (0,))

    def scaled(block: slice) -> None:
        part = y[block]
        part *= factor
        part += shift

    average: Any = sum(in_threads(sum_of, blocks))
    average = average / rows
    repeated = np.tile(average, count)
    variance: Any = sum(in_threads(squares_of, blocks))
    variance = variance / rows
    scale = 1 / np.sqrt(variance + eps)
    factor, shift = np.tile(scale * weight, count), np.tile(bias, count)
    in_threads(scaled, blocks)
    return y.reshape(x.shape), average, variance, scale


def normalize_columns_adjoint(
    g: Array, x: Array, average: Array, scale: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """The adjoints of x, w and b: r·w·(g - m(g) - x̂·m(g·x̂)), Σ g·x̂ and Σ g."""
    rows, columns = x.shape
    joined, count = _joined(x)
    blocks = _blocks(joined)
    adjoint = g.reshape(joined.shape)
    repeated = np.tile(average, count)
    result = np.empty_like(joined)

    def sums_of(block: slice) -> Array:
        deviation = np.subtract(joined[block], repeated, out=result[block])
        part = adjoint[block]
        along = np.multiply(deviation, part, out=scratch("along", part, part.shape))
        return np.concatenate([sum_over(each.reshape(-1, columns), (0,)) for each in (part, along)])

    def scaled(block: slice) -> None:
        part = result[block]  # x - mean
        part *= slope
        part += shift
        part += adjoint[block]
        part *= factor

    sums: Any = sum(in_threads(sums_of, blocks))
    of_bias, of_weight = sums[:1], sums[1:] * scale
    settings: Any = of_weight * scale / -rows, of_bias / -rows, scale * weight
    slope, shift, factor = [np.tile(each, count) for each in settings]
    in_threads(scaled, blocks)
    return result.reshape(x.shape), of_weight, of_bias
