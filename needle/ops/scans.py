"""Running sums, products and order along axes.

In the formulas g is the adjoint of the result.
"""

import math

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .indexing import concatenate
from .kinds import Axes, Reduction, constant_like, normalize_axes
from .views import flip, permute, reshape

__all__ = [
    "ArgSort", "argsort", "CumSum", "cumsum", "Prod", "prod", "TakeAlongAxis", "Sort", "sort",
]  # fmt: skip


class CumSum(TensorOp):
    """y_i = Σ_{j ≤ i} a_j along an axis. Adjoint: Σ_{j ≥ i} g_j."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def compute(self, a: Array) -> Array:
        return np.cumsum(a, axis=normalize_axes(self.axis, a.ndim)[0])

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return flip(cumsum(flip(out_grad, self.axis), self.axis), self.axis)


class Prod(Reduction):
    """Π a. Adjoint: g·Π_{j ≠ i} a_j, without a division, so that zeros do no harm."""

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
    """Π_{j < i} a_j along the last axis, by doubling: ops all the way, so of every order."""
    length = factors.shape[-1]
    products = _shifted(factors, 1) if length else factors
    step = 1
    while step < length:
        products = products * _shifted(products, step)
        step *= 2
    return products


def _shifted(factors: Tensor, step: int) -> Tensor:
    """The last axis moved on by `step`, filled up with ones."""
    ones = constant_like(factors[..., :step], 1)
    return concatenate((ones, factors[..., :-step]), axis=-1)


class ArgSort(TensorOp):
    """The indices that sort a along an axis; equal elements keep their order. No gradient."""

    differentiable = False

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def compute(self, a: Array) -> Array:
        return np.argsort(a, axis=normalize_axes(self.axis, a.ndim)[0], kind="stable")


class Sort(TensorOp):
    """a in ascending order along an axis. Adjoint: g, put back where the elements came from."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def compute(self, a: Array) -> Array:
        return np.sort(a, axis=normalize_axes(self.axis, a.ndim)[0])

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        ranks = argsort(argsort(node.inputs[0], self.axis), self.axis)
        return TakeAlongAxis(self.axis)(out_grad, ranks)


class TakeAlongAxis(TensorOp):
    """a[order] along an axis, where `order` holds each index once. Adjoint: g[order⁻¹]."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def compute(self, a: Array, order: Array) -> Array:
        return np.take_along_axis(a, order, axis=self.axis)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        return TakeAlongAxis(self.axis)(out_grad, argsort(node.inputs[1], self.axis)), None


def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The running sums along `axis`, by default of the flattened tensor.

    Example:
        >>> import needle as ndl
        >>> ndl.cumsum(ndl.Tensor([1.0, 2.0, 3.0])).numpy()
        array([1., 3., 6.])
    """
    return CumSum(0)(reshape(a, (a.size,))) if axis is None else CumSum(axis)(a)


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
    """The indices that sort a along `axis` (flattened if None); equal elements keep their order.

    Example:
        >>> import needle as ndl
        >>> ndl.argsort(ndl.Tensor([3.0, 1.0, 2.0])).numpy()
        array([1, 2, 0])
    """
    return ArgSort(0)(reshape(a, (a.size,))) if axis is None else ArgSort(axis)(a)


def sort(a: Tensor, axis: int | None = -1) -> Tensor:
    """The values in ascending order along `axis` (flattened if None).

    Example:
        >>> import needle as ndl
        >>> ndl.sort(ndl.Tensor([3.0, 1.0, 2.0])).numpy()
        array([1., 2., 3.])
    """
    return Sort(0)(reshape(a, (a.size,))) if axis is None else Sort(axis)(a)
