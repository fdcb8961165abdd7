"""Products of matrices with many rows and few columns, in stacks of smaller ones.

OpenBLAS multiplies small matrices in the thread that asks for it. Threads that share work can then
multiply at the same time, where each large product would take all of BLAS's threads.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from ..autograd import Array

__all__ = ["is_adjoint_stackable", "is_stackable", "tall_adjoint_product", "tall_product"]

_LARGEST = 2**19 - 1  # multiplications that OpenBLAS makes in one thread
_ROWS = 32  # of a matrix of a stack, at least
_TERMS = 128  # that are added up for a number of a matrix of a stack, at least


def is_stackable(columns: int, outputs: int) -> bool:
    """Whether `tall_product` pays, for a matrix of this shape on the right."""
    return _ROWS * columns * outputs <= _LARGEST


def is_adjoint_stackable(width: int, outputs: int) -> bool:
    """Whether `tall_adjoint_product` pays, for results of this shape."""
    return _TERMS * width * outputs <= _LARGEST


def tall_product(a: Array, b: Array, out: Array) -> Array:
    """a (G, M, K) times b (G, K, N), into `out`, in stacks."""
    for rows, stack in _stacks(a.shape[1], _LARGEST // (b.shape[1] * b.shape[2])):
        left, target = _stacked(a[:, rows], stack), _stacked(out[:, rows], stack)
        np.matmul(left, b[:, None], out=target)
    return out


def tall_adjoint_product(a: Array, b: Array, width: int) -> Array:
    """The transpose of a (G, M, K) times b (G, M, N), by `width` columns of a at a time."""
    groups, _, columns = a.shape
    if is_adjoint_stackable(columns, b.shape[2]):
        width = columns
    total: Any = 0
    for rows, stack in _stacks(a.shape[1], _LARGEST // (width * b.shape[2])):
        left = a[:, rows].reshape((groups, -1, stack, columns // width, width))
        right = _stacked(b[:, rows], stack)[:, None]
        total = total + np.matmul(left.transpose((0, 3, 1, 4, 2)), right).sum(axis=2)
    return total.reshape((groups, columns, -1))


@lru_cache(maxsize=256)
def _stacks(count: int, most: int) -> list[tuple[slice, int]]:
    """Slices of `count` rows, with the number of rows of the matrices that they are stacks of."""
    if count <= most:
        return [(slice(0, count), count)]
    even = [rows for rows in range(most, most // 2, -1) if count % rows == 0]
    rows = even[0] if even else most
    whole = count - count % rows
    parts = [(slice(0, whole), rows), (slice(whole, count), count - whole)]
    return [part for part in parts if part[1]]


def _stacked(a: Array, rows: int) -> Array:
    return a.reshape((a.shape[0], -1, rows, a.shape[2]))
