"""Cumulative sums, products and sorting along axes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .indexing import concatenate
from .kinds import Axes, Reduction, constant_like, normalize_axis, stated
from .views import flip, permute, reshape

__all__ = [
    "ArgSort", "argsort", "CumSum", "cumsum", "Prod", "prod", "TakeAlongAxis", "Sort", "sort",
]  # fmt: skip


class Prod(Reduction):
    """Π a. Adjoint: g·Π_{j ≠ i} a_j, computed without a division, so that factors may be 0."""

    def compute(self, a: Array) -> Array:
        return np.prod(a, axis=self.reduced_axes(a.ndim), keepdims=self.keepdims)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        reduced = self.reduced_axes(a.ndim)
        order = [axis for axis in range(a.ndim) if axis not in reduced] + list(reduced)
        ordered = permute(a, order)
        kept = ordered.shape[: a.ndim - len(reduced)]
        factors = reshape(ordered, (*kept, math.prod(ordered.shape[len(kept) :])))
        others = flip(_products_before(flip(factors, -1)), -1) * _products_before(factors)
        others = reshape(others, ordered.shape)
        back = permute(others, sorted(range(a.ndim), key=order.__getitem__))
        return self.expand(out_grad, a) * back


def _products_before(factors: Tensor) -> Tensor:
    """Π_{j < i} a_j along the last axis, by doubling; made of ops, so differentiable again."""
    length = factors.shape[-1]
    products = _shifted(factors, 1) if length else factors
    step = 1
    while step < length:
        products = products * _shifted(products, step)
        step *= 2
    return products


def _shifted(factors: Tensor, step: int) -> Tensor:
    """The elements moved by `step` along the last axis, with ones in front."""
    ones = constant_like(factors[..., :step], 1)
    return concatenate((ones, factors[..., :-step]), axis=-1)


TakeAlongAxis: Callable[..., Any]  # used by derivatives that come first
# fmt: off
CumSum, _cumsum = stated(TensorOp, "CumSum", "cumsum",
    lambda a, *, axis=-1: np.cumsum(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: flip(cumsum(flip(g, axis), axis), axis),
    "y_i = Σ_{j ≤ i} a_j along an axis. Adjoint: Σ_{j ≥ i} g_j.")
ArgSort, _argsort = stated(TensorOp, "ArgSort", "argsort",
    lambda a, *, axis=-1: np.argsort(a, axis=normalize_axis(axis, a.ndim), kind="stable"), None,
    "The indices that sort a along an axis; equal elements keep their order. No gradient.")
Sort, _sort = stated(TensorOp, "Sort", "sort",
    lambda a, *, axis=-1: np.sort(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: TakeAlongAxis(axis)(g, argsort(argsort(a, axis), axis)),
    "a in ascending order along an axis. Adjoint: g, moved back to where the elements were.")
TakeAlongAxis, _ = stated(TensorOp, "TakeAlongAxis", "take_along_axis",
    lambda a, order, *, axis=-1: np.take_along_axis(a, order, axis=axis),
    lambda g, y, a, order, axis: (TakeAlongAxis(axis)(g, argsort(order, axis)), None),
    "a[order] along an axis, where `order` holds each index once. Adjoint: g[order⁻¹].")
# fmt: on


def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The cumulative sums along `axis`, by default of the flattened tensor."""
    return _cumsum(reshape(a, -1), 0) if axis is None else _cumsum(a, axis)


def prod(a: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`; its derivatives of every order are right where factors are 0.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([0.0, 2.0, 3.0])
        >>> ndl.prod(x).backward()
        >>> x.grad.numpy()
        array([6., 0., 0.])
    """
    return Prod(axis, keepdims)(a)


def argsort(a: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that sort a along `axis` (flattened if None); equal elements keep their order."""
    return _argsort(reshape(a, -1), 0) if axis is None else _argsort(a, axis)


def sort(a: Tensor, axis: int | None = -1) -> Tensor:
    """The values in ascending order along `axis` (flattened if None)."""
    return _sort(reshape(a, -1), 0) if axis is None else _sort(a, axis)
