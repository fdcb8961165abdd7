"""Diagonals, traces and triangles of matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import Array, Tensor, TensorOp
from ..kinds import View, normalize_axes, stated, unbroadcast
from ..names import by_any_name

__all__ = [
    "Diagonal", "diagonal", "DiagonalMatrix", "trace", "Tril", "tril", "Triu", "triu",
]  # fmt: skip


def _on_diagonal(
    a: Array, /, shape: tuple[int, ...], offset: int = 0, axis1: int = -2, axis2: int = -1
) -> Array:
    axes = normalize_axes((axis1, axis2), len(shape))
    rows, columns = (shape[axis] for axis in axes)
    # in a flat matrix the elements of a diagonal are columns + 1 apart
    start = offset if offset >= 0 else -offset * columns
    step = columns + 1
    matrices = np.zeros_like(a, shape=(*a.shape[:-1], rows * columns))
    matrices[..., start : start + a.shape[-1] * step : step] = a
    return np.moveaxis(np.reshape(matrices, (*a.shape[:-1], rows, columns)), (-2, -1), axes)


DiagonalMatrix: Callable[..., Any]  # used by the derivative of Diagonal
# fmt: off
Diagonal, diagonal = stated(View, "Diagonal", "diagonal",
    lambda a, /, offset=0, axis1=0, axis2=1: np.diagonal(
        a, offset, *normalize_axes((axis1, axis2), a.ndim)),
    lambda g, y, a, **diagonal: DiagonalMatrix(a.shape, **diagonal)(g),
    """The elements a[i, i + offset] of two axes, as the last axis of the result.

    `needle.linalg.diagonal` takes the last two axes. Adjoint: zeros with g on that diagonal.
    """)
DiagonalMatrix, _ = stated(TensorOp, "DiagonalMatrix", "diagonal_matrix",
    _on_diagonal, lambda g, y, a, shape, **parameters: diagonal(g, **parameters),
    "Zeros of `shape` with a on the diagonal of two axes. Adjoint: that diagonal of g.")
# fmt: on


class _Triangle(TensorOp):
    def _reason(self, cause: Exception, *arrays: Array) -> str:
        return str(cause) if arrays[0].ndim else "it takes matrices in the last two axes"


# fmt: off
Tril, tril = stated(_Triangle, "Tril", "tril",
    lambda a, /, k=0: np.tril(a, k),
    # NumPy makes a vector the rows of a matrix
    lambda g, y, a, k: unbroadcast(y.op(g), a.shape),
    """The lower triangles of the last two axes: zeros above the k-th diagonal. Adjoint: that of g.

    Example:
        >>> import needle as ndl
        >>> ndl.tril(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()
        array([[1., 0.],
               [3., 4.]])
    """)
Triu, triu = stated(_Triangle, "Triu", "triu",
    lambda a, /, k=0: np.triu(a, k), lambda g, y, a, k: unbroadcast(y.op(g), a.shape),
    "The upper triangles of the last two axes: zeros below the k-th diagonal. Adjoint: as Tril.")
# fmt: on


def diagonal_matrix(values: Tensor) -> Tensor:
    """Square matrices with the last axis of `values` on the diagonal, else zeros."""
    return DiagonalMatrix((*values.shape, values.shape[-1]))(values)


@by_any_name
def trace(a: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal. `needle.linalg.trace` takes the last two axes."""
    return diagonal(a, offset, axis1, axis2).sum(-1)


def diagonal_mask(values: Array) -> Array:
    """(n, n), True on the diagonal, for values (..., n)."""
    # not np.eye(..., like=values), which hands on an argument `device` that CuPy's eye lacks
    rows = np.arange(values.shape[-1], like=values)
    return rows[:, None] == rows
