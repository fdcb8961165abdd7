"""Contractions: sums of products, where the time goes."""

import math
from collections.abc import Sequence

import numpy as np

from ..autograd import Array, Tensor
from .kinds import Contraction, unbroadcast
from .views import Transpose, expand_dims, reshape, transpose

__all__ = ["MatMul", "matmul"]


class MatMul(Contraction):
    """a·b over the last axis of a and the last but one of b; leading axes broadcast.

    A 1-d operand is a row on the left, a column on the right, and its axis disappears.
    Adjoints: g·bᵀ, aᵀ·g, summed over the axes along which an operand was repeated.
    """

    def compute(self, a: Array, b: Array) -> Array:
        if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
            return np.matmul(_as_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
        return np.matmul(a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = node.inputs
        if a.ndim == 1 or b.ndim == 1:
            return self._gradient_of_vectors(out_grad, a, b)
        adjoint_a = adjoint_b = None
        if a.requires_grad:
            adjoint_a = _apply(_matmul, (out_grad, _apply(_swap_last_axes, (b,))))
            adjoint_a = unbroadcast(adjoint_a, a.shape)
        if b.requires_grad:
            if a.ndim > 2 and b.ndim == 2:
                a, out_grad = _as_rows(a), _as_rows(out_grad)
            adjoint_b = _apply(_matmul, (_apply(_swap_last_axes, (a,)), out_grad))
            adjoint_b = unbroadcast(adjoint_b, b.shape)
        return adjoint_a, adjoint_b

    def _gradient_of_vectors(self, out_grad: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        row = a if a.ndim > 1 else expand_dims(a, 0)
        column = b if b.ndim > 1 else expand_dims(b, 1)
        if b.ndim == 1:
            out_grad = expand_dims(out_grad, -1)
        if a.ndim == 1:
            out_grad = expand_dims(out_grad, -2)
        adjoint_row = unbroadcast(matmul(out_grad, transpose(column)), row.shape)
        adjoint_column = unbroadcast(matmul(transpose(row), out_grad), column.shape)
        return reshape(adjoint_row, a.shape), reshape(adjoint_column, b.shape)

    def tangent(self, tangents: Sequence[Tensor | None], node: Tensor) -> Tensor:
        a, b = node.inputs
        tangent_a, tangent_b = tangents
        if tangent_a is None:
            assert tangent_b is not None
            return matmul(a, tangent_b)
        of_a = matmul(tangent_a, b)
        return of_a if tangent_b is None else of_a + matmul(a, tangent_b)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a, b = arrays
        if not (a.ndim and b.ndim):
            return "a tensor without axes has no matrix product: use *"
        inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
        if a.shape[-1] != inner:
            return f"the inner axes must have equal lengths, got {a.shape[-1]} and {inner}"
        return "the leading axes do not broadcast"


def _as_rows(a: Array) -> Array:
    """A tensor or an array of rows along its last axis, as a matrix."""
    return a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))


_matmul = MatMul()
_swap_last_axes = Transpose()
_apply = Tensor.make_from_op


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product, batched over leading axes, which broadcast; 1-d operands as in NumPy."""
    return _apply(_matmul, (a, b))
