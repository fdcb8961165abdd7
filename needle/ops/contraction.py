"""Contractions: sums of products, where the time goes."""

import math
from collections.abc import Sequence

import numpy as np

from ..autograd import Array, Tensor
from .kinds import Contraction, unbroadcast
from .views import expand_dims, reshape

__all__ = ["MatMul", "matmul"]


class MatMul(Contraction):
    """a·b over the last axis of a and the last but one of b; leading axes broadcast.

    A 1-d operand is a row on the left, a column on the right, and its axis disappears.
    Adjoints: g·bᵀ, aᵀ·g, summed over the axes along which an operand was repeated.

    Args:
        transposes_a: whether the last two axes of a are swapped first: aᵀ·b.
        transposes_b: the same of b. What is swapped must have two axes.
    """

    def __init__(self, transposes_a: bool = False, transposes_b: bool = False) -> None:
        self.transposes_a = transposes_a
        self.transposes_b = transposes_b

    def compute(self, a: Array, b: Array) -> Array:
        if self.transposes_a:
            a = _transpose(a)
        if self.transposes_b:
            b = _transpose(b)
        if a.ndim == b.ndim == 2:
            return np.dot(a, b)  # as np.matmul, which takes longer to begin
        if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
            return np.dot(_as_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
        return np.matmul(a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = node.inputs
        left, right = a, b
        if a.ndim == 1 or b.ndim == 1:
            left, right, out_grad = _as_matrices(a, b, out_grad)
        of_a = self._adjoint_of_a(out_grad, left, right) if a.requires_grad else None
        of_b = self._adjoint_of_b(out_grad, left, right) if b.requires_grad else None
        if left is not a and of_a is not None:
            of_a = reshape(of_a, a.shape)
        if right is not b and of_b is not None:
            of_b = reshape(of_b, b.shape)
        return of_a, of_b

    def _adjoint_of_a(self, out_grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if self.transposes_a:
            product = _multiply(b, out_grad, self.transposes_b, True)
        else:
            product = _multiply(out_grad, b, False, not self.transposes_b)
        return unbroadcast(product, a.shape)

    def _adjoint_of_b(self, out_grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if a.ndim > 2 and b.ndim == 2 and not self.transposes_a:
            a, out_grad = _as_rows(a), _as_rows(out_grad)
        if self.transposes_b:
            product = _multiply(out_grad, a, True, self.transposes_a)
        else:
            product = _multiply(a, out_grad, not self.transposes_a, False)
        return unbroadcast(product, b.shape)

    def tangent(self, tangents: Sequence[Tensor | None], node: Tensor) -> Tensor:
        a, b = node.inputs
        tangent_a, tangent_b = tangents
        if tangent_a is None:
            return self(a, tangent_b)
        of_a = self(tangent_a, b)
        return of_a if tangent_b is None else of_a + self(a, tangent_b)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        a, b = arrays
        if not (a.ndim and b.ndim):
            return "a tensor without axes has no matrix product: use *"
        if (self.transposes_a and a.ndim < 2) or (self.transposes_b and b.ndim < 2):
            return "an operand that is to be transposed needs two axes"
        a = _transpose(a) if self.transposes_a else a
        b = _transpose(b) if self.transposes_b else b
        inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
        if a.shape[-1] != inner:
            return f"the inner axes must have equal lengths, got {a.shape[-1]} and {inner}"
        return "the leading axes do not broadcast"


def _as_matrices(a: Tensor, b: Tensor, out_grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a as a row and b as a column, if they are 1-d, and the adjoint of their product."""
    if b.ndim == 1:
        b, out_grad = expand_dims(b, 1), expand_dims(out_grad, -1)
    if a.ndim == 1:
        a, out_grad = expand_dims(a, 0), expand_dims(out_grad, -2)
    return a, b, out_grad


def _transpose(a: Array) -> Array:
    return a.T if a.ndim == 2 else np.swapaxes(a, -2, -1)


def _as_rows(a: Array) -> Array:
    """A tensor or an array of rows along its last axis, as a matrix."""
    return a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))


_products = {(a, b): MatMul(a, b) for a in (False, True) for b in (False, True)}
_matmul = _products[False, False]
_apply = Tensor.make_from_op


def _multiply(a: Tensor, b: Tensor, transposes_a: bool, transposes_b: bool) -> Tensor:
    return _apply(_products[transposes_a, transposes_b], (a, b))


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product, batched over leading axes, which broadcast; 1-d operands as in NumPy."""
    return _apply(_matmul, (a, b))
