"""A matrix product and the addition of a row in one op.

In the formulas g is the adjoint of the result.
"""

import math

import numpy as np

from ..autograd import Array, Tensor
from .contraction import MatMul
from .kinds import Contraction, unbroadcast
from .views import reshape

__all__ = ["Affine", "affine"]


class Affine(Contraction):
    """x·W + b over the last axis of x. Adjoints: g·Wᵀ, xᵀ·g, and g summed over its rows."""

    def compute(self, x: Array, weight: Array, bias: Array) -> Array:
        if weight.ndim != 2:
            raise ValueError
        result = _matmul.compute(x, weight)
        if result.ndim < 2 or bias.size != weight.shape[1]:
            return result + bias
        return np.add(result, bias, out=result)

    def gradient(
        self, out_grad: Tensor, node: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, bias = node.inputs
        of_x = of_weight = of_bias = None
        if x.requires_grad:
            of_x = _apply(_by_transposed, (out_grad, weight))
            of_x = of_x if x.ndim > 1 else reshape(of_x, x.shape)
        if weight.requires_grad:
            of_weight = _apply(_transposed_by, (_as_rows(x), _as_rows(out_grad)))
        if bias.requires_grad:
            of_bias = unbroadcast(out_grad, bias.shape)
        return of_x, of_weight, of_bias

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        x, weight, bias = arrays
        if weight.ndim != 2:
            return f"the weight is a matrix, got {weight.ndim} axes"
        if x.ndim and x.shape[-1] == weight.shape[0]:
            return f"a bias of shape {bias.shape} does not fit {weight.shape[1]} outputs"
        return _matmul._reason(cause, x, weight)


def _as_rows(a: Tensor) -> Tensor:
    return a if a.ndim == 2 else reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))


_matmul = MatMul()
_by_transposed = MatMul(transposes_b=True)
_transposed_by = MatMul(transposes_a=True)
_affine = Affine()
_apply = Tensor.make_from_op


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x·W + b: x (..., in), weight (in, out), bias (out,) or (1, out)."""
    return _apply(_affine, (x, weight, bias))
