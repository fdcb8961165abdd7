"""Cumulative sums, products and sorting along axes."""

import math

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .indexing import concatenate
from .kinds import Axes, Reduction, constant_like, normalize_axis
from .views import flip, permute, reshape

__all__ = [
    "ArgSort", "argsort", "CumSum", "cumsum", "Prod", "prod", "TakeAlongAxis", "Sort", "sort",
]  # fmt: skip


class _AlongAxis(TensorOp):
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class CumSum(_AlongAxis):
    """y_i = Σ_{j ≤ i} a_j along an axis. Adjoint: Σ_{j ≥ i} g_j."""

    def compute(self, a: Array) -> Array:
        return np.cumsum(a, axis=normalize_axis(self.axis, a.ndim))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return flip(cumsum(flip(out_grad, self.axis), self.axis), self.axis)


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


class ArgSort(_AlongAxis):
    """The indices that sort a along an axis; equal elements keep their order. No gradient."""

    differentiable = False

    def compute(self, a: Array) -> Array:
        return np.argsort(a, axis=normalize_axis(self.axis, a.ndim), kind="stable")


class Sort(_AlongAxis):
    """a in ascending order along an axis. Adjoint: g, moved back to where the elements were."""

    def compute(self, a: Array) -> Array:
        return np.sort(a, axis=normalize_axis(self.axis, a.ndim))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        ranks = argsort(argsort(node.inputs[0], self.axis), self.axis)
        return TakeAlongAxis(self.axis)(out_grad, ranks)


class TakeAlongAxis(_AlongAxis):
    """a[order] along an axis, where `order` holds each index once. Adjoint: g[order⁻¹]."""

    def compute(self, a: Array, order: Array) -> Array:
        return np.take_along_axis(a, order, axis=self.axis)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        return self(out_grad, argsort(node.inputs[1], self.axis)), None


def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The cumulative sums along `axis`, by default of the flattened tensor."""
    return CumSum(0)(reshape(a, -1)) if axis is None else CumSum(axis)(a)


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
    return ArgSort(0)(reshape(a, -1)) if axis is None else ArgSort(axis)(a)


def sort(a: Tensor, axis: int | None = -1) -> Tensor:
    """The values in ascending order along `axis` (flattened if None)."""
    return Sort(0)(reshape(a, -1)) if axis is None else Sort(axis)(a)
