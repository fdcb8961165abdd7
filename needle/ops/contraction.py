"""Contractions: sums of products, where most of the time goes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .kinds import Contraction, binary, unbroadcast
from .views import expand_dims, reshape

__all__ = ["Affine", "affine", "MatMul", "matmul"]


class MatMul(Contraction):
    """The matrix product a·b, batched over leading axes, which broadcast.

    As in NumPy, a 1-d operand is a row on the left, a column on the right, and its axis
    disappears. Adjoints: g·bᵀ, aᵀ·g, summed over the axes along which an operand was broadcast.
    """

    def __init__(self, transposes_a: bool = False, transposes_b: bool = False) -> None:
        """aᵀ·b, a·bᵀ or aᵀ·bᵀ: the last two axes of an operand, which needs two, are swapped."""
        self.transposes_a = transposes_a
        self.transposes_b = transposes_b

    def compute(self, a: Array, b: Array) -> Array:
        if self.transposes_a:
            a = _transpose(a)
        if self.transposes_b:
            b = _transpose(b)
        if a.ndim == b.ndim == 2:
            return _product(a, b)
        if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
            return _product(_as_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
        return np.matmul(a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = node.inputs
        left, right = a, b
        if a.ndim == 1 or b.ndim == 1:
            left, right, out_grad = _as_matrices(a, b, out_grad)
        of_a = self._adjoint_of_a(out_grad, left, right) if a.requires_grad else None
        of_b = self._adjoint_of_b(out_grad, left, right) if b.requires_grad else None
        if left is not a and of_a is not None:
            of_a = reshape(unbroadcast(of_a, left.shape), a.shape)
        if right is not b and of_b is not None:
            of_b = reshape(unbroadcast(of_b, right.shape), b.shape)
        return of_a, of_b

    def _fit(self, adjoint: Any, operand: Any, node: Any) -> Any:
        return super()._fit(unbroadcast(adjoint, operand.shape), operand, node)

    def _adjoint_of_a(self, out_grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if self.transposes_a:
            return Tensor.make_from_op(_products[self.transposes_b, True], (b, out_grad))
        return Tensor.make_from_op(_products[False, not self.transposes_b], (out_grad, b))

    def _adjoint_of_b(self, out_grad: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if b.ndim == 2 and not self.transposes_a:
            a, out_grad = _as_rows(a), _as_rows(out_grad)
        if self.transposes_b:
            return Tensor.make_from_op(_products[True, self.transposes_a], (out_grad, a))
        return Tensor.make_from_op(_products[not self.transposes_a, False], (a, out_grad))

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
        last = a.shape[-2 if self.transposes_a else -1]
        inner = b.shape[-1 if self.transposes_b or b.ndim == 1 else -2]
        if last != inner:
            return f"the inner axes must have equal lengths, got {last} and {inner}"
        return "the leading axes do not broadcast"


_LARGE = 16_384


def _product(a: Array, b: Array) -> Array:
    """The product of matrices: np.dot begins sooner, but fills its result with zeros first."""
    return np.dot(a, b) if len(a) * b.shape[1] < _LARGE else np.matmul(a, b)


def _as_matrices(a: Tensor, b: Tensor, out_grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a as a row and b as a column, if they are 1-d, and the adjoint of their product."""
    if b.ndim == 1:
        b, out_grad = expand_dims(b, 1), expand_dims(out_grad, -1)
    if a.ndim == 1:
        a, out_grad = expand_dims(a, 0), expand_dims(out_grad, -2)
    return a, b, out_grad


def _transpose(a: Array) -> Array:
    return a.T if a.ndim == 2 else np.swapaxes(a, -2, -1)


def _as_rows(a: Any) -> Any:
    """A tensor or an array of rows along its last axis, as a matrix."""
    return a if a.ndim == 2 else a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))


_products = {
    (transposes_a, transposes_b): MatMul(transposes_a, transposes_b)
    for transposes_a in (False, True)
    for transposes_b in (False, True)
}
_matmul = _products[False, False]
_by_transposed = _products[False, True]
_transposed_by = _products[True, False]
matmul = binary(_matmul)


class Affine(Contraction):
    """x·W + b over the last axis of x. Adjoints: g·Wᵀ, xᵀ·g, and g summed over its rows."""

    def compute(self, x: Array, weight: Array, bias: Array) -> Array:
        if weight.ndim != 2:
            raise ValueError
        result = _product(x, weight) if x.ndim == 2 else _matmul.compute(x, weight)
        if result.ndim < 2 or bias.size != weight.shape[1]:
            return result + bias
        return np.add(result, bias, out=result)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        make = Tensor.make_from_op
        x, weight, bias = node.inputs
        of_x = of_weight = of_bias = None
        if x.requires_grad:
            of_x = make(_by_transposed, (out_grad, weight))
        if weight.requires_grad:
            rows = (x, out_grad) if x.ndim == 2 else (_as_rows(x), _as_rows(out_grad))
            of_weight = make(_transposed_by, rows)
        if bias.requires_grad:
            of_bias = unbroadcast(out_grad, bias.shape)
        return of_x, of_weight, of_bias

    def _fit(self, adjoint: Any, operand: Any, node: Any) -> Any:
        if operand is node.inputs[0]:  # without axes but one, where the bias has two
            adjoint = reshape(adjoint, operand.shape)
        return super()._fit(adjoint, operand, node)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        x, weight, bias = arrays
        if weight.ndim != 2:
            return f"the weight is a matrix, got {weight.ndim} axes"
        if x.ndim and x.shape[-1] == weight.shape[0]:
            return f"a bias of shape {bias.shape} does not fit {weight.shape[1]} outputs"
        return _matmul._reason(cause, x, weight)


_affine = Affine()


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x·W + b: x (..., in), weight (in, out), bias (out,) or (1, out)."""
    if isinstance(x, Tensor) and isinstance(weight, Tensor) and isinstance(bias, Tensor):
        return Tensor.make_from_op(_affine, (x, weight, bias))
    return _affine(x, weight, bias)  # which makes constants of arrays
