"""Reductions over axes, cumulative sums and sorting along an axis.

`axes` is an int, several ints, or None for all axes, which disappear; with `keepdims`, and in the
formulas, they stay, at length 1.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .arithmetic import equal, masked
from .functions import astype, exp, in_single_precision, root
from .indexing import concatenate
from .kinds import (
    Axes,
    Reduction,
    constant_like,
    linear_tangent,
    normalize_axes,
    normalize_axis,
    stated,
    with_parameters,
)
from .views import flip, permute, reshape

__all__ = [
    "ArgMax", "argmax", "LogSoftmax", "logsoftmax", "LogSumExp", "logsumexp", "Max", "max",
    "Min", "min", "Softmax", "softmax", "Summation", "summation", "mean", "std", "var",
    "ArgSort", "argsort", "CumSum", "cumsum", "Prod", "prod", "TakeAlongAxis", "Sort", "sort",
]  # fmt: skip


_LONGEST_SUM = 4_096  # along rows; NumPy sums longer ones pairwise, with smaller rounding errors


def sum_over(a: Array, axes: tuple[int, ...]) -> Array:
    """a.sum(axes, keepdims=True), for NumPy's floats by products with ones.

    These are two to five times as fast as NumPy's sums. Leading and trailing axes are summed as
    those of a matrix, axes in between by NumPy. float16 is summed in float32.
    """
    dtype, shape = a.dtype.char, a.shape
    if dtype == "e":
        return a.sum(axis=axes, keepdims=True, dtype=np.float32).astype(a.dtype)
    if a.__class__ is not np.ndarray or dtype not in "fd":
        return a.sum(axis=axes, keepdims=True)
    if len(shape) == 2 and len(axes) == 1:
        length = shape[axes[0]]
        if axes[0] == 0:
            if length > _LONGEST_COLUMN:
                return _sum_of_blocks(a)
            return np.dot(_ones((1, length), dtype), a)
        if length <= _LONGEST_SUM:
            return np.dot(a, _ones((length, 1), dtype))
    elif 0 < len(axes) < len(shape) and a.flags.c_contiguous:
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        first, last = kept[0], kept[-1] + 1
        if last < len(shape):
            a = sum_over(a.reshape((math.prod(shape[:last]), math.prod(shape[last:]))), (1,))
        if first:
            a = sum_over(a.reshape((math.prod(shape[:first]), math.prod(shape[first:last]))), (0,))
        a = a.reshape((1,) * first + shape[first:last] + (1,) * (len(shape) - last))
        axes = tuple([axis for axis in axes if first < axis < last])
        if not axes:
            return a
    return a.sum(axis=axes, keepdims=True)


_LONGEST_COLUMN = 16_384  # longer ones are summed in blocks, with smaller rounding errors
_BLOCK = 256


def _sum_of_blocks(a: Array) -> Array:
    """The sums of the columns of a matrix."""
    length, columns = a.shape
    whole = length - length % _BLOCK
    ones = _ones((1, _BLOCK), a.dtype.char)
    sums = np.matmul(ones, a[:whole].reshape(-1, _BLOCK, columns)).reshape(-1, columns)
    is_long = len(sums) > _BLOCK
    total = _sum_of_blocks(sums) if is_long else np.dot(ones[:, : len(sums)], sums)
    return total + np.dot(ones[:, : length - whole], a[whole:])


@lru_cache(maxsize=64)
def _ones(shape: tuple[int, int], dtype: str) -> Array:
    return np.ones(shape, dtype)  # making them takes as long as a sum of a small matrix


class Summation(Reduction):
    """The sum over `axes`, Σ a. Adjoint: g, repeated along the reduced axes."""

    tangent = linear_tangent

    def compute(self, a: Array) -> Array:
        if self.axes == (0,) and a.ndim == 2:  # the adjoint of a bias
            row = sum_over(a, self.axes)
            return row if self.keepdims else row[0]
        axes = self.reduced_axes(a.ndim)
        if self.keepdims:
            return sum_over(a, axes)
        if len(axes) == a.ndim and a.dtype.char != "e":
            return a.sum(axis=axes)
        return np.squeeze(sum_over(a, axes), axis=axes)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        if self.axes is not None:
            out_grad = self.expand(out_grad, a)
        return out_grad.broadcast_to(a.shape)


class _Extremum(Reduction):
    method: ClassVar[str]  # of arrays: np.max takes longer

    def compute(self, a: Array) -> Array:
        extremum = getattr(a, self.method)
        return extremum(axis=self.reduced_axes(a.ndim), keepdims=self.keepdims)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        ties = equal(a, self.expand(node, a))
        # in the adjoint's precision; float64 where that is an integer
        counted = astype(ties, np.result_type(out_grad.dtype, 0.0))
        count = summation(counted, self.axes, keepdims=True)
        return masked(self.expand(out_grad, a), ties) / count


class Max(_Extremum):
    """The maximum over `axes`. Adjoint: g·[a = y] / (number of a equal to y): ties share it."""

    method = "max"


class Min(_Extremum):
    """The minimum over `axes`. Adjoint: as of Max."""

    method = "min"


ArgMax, argmax = stated(
    TensorOp, "ArgMax", "argmax", lambda a, /, axis=None, keepdims=False: np.argmax(
        a, axis=None if axis is None else normalize_axis(axis, a.ndim), keepdims=keepdims
    ), None,
    "The index of the first maximum along `axis`, or of the flattened tensor. No gradient.",
)  # fmt: skip


def _shifted(a: Array, axes: tuple[int, ...]) -> tuple[Array, Array | float]:
    """a - m and m, the maximum of a along `axes`, so that exp does not overflow.

    m is 0 where the maximum is infinite, since inf - inf is NaN, and where there are no elements.
    """
    floats = a.astype(np.result_type(a.dtype, 0.0), copy=False)
    if not a.size:
        return floats, 0.0
    maximum = floats.max(axis=axes, keepdims=True)
    maximum = np.where(np.isfinite(maximum), maximum, 0)
    return floats - maximum, maximum


class LogSumExp(Reduction):
    """ln Σ eᵃ over `axes`, -inf where every a is -inf. Adjoint: g·eᵃ⁻ʸ = g·softmax(a).

    Computed as ln Σ eᵃ⁻ᵐ + m with m = max a, which is finite for any finite a.
    """

    def compute(self, a: Array) -> Array:
        axes = self.reduced_axes(a.ndim)
        shifted, maximum = _shifted(a, axes)
        total = np.exp(shifted).sum(axis=axes, keepdims=True)
        is_empty = total == 0  # every a is -inf, and NumPy would warn of ln 0
        logarithm = np.log(np.where(is_empty, 1, total)) + maximum
        result = np.where(is_empty, -np.inf, logarithm)
        return result if self.keepdims else np.squeeze(result, axis=axes)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        return self.expand(out_grad, a) * softmax(a, self.axes)


class Softmax(Reduction):
    """eᵃ / Σ eᵃ; 0 where every a is -inf. Adjoint: y·(g - Σ g·y). Keeps the shape."""

    def __init__(self, axes: Axes = -1) -> None:
        super().__init__(axes)

    def compute(self, a: Array) -> Array:
        axes = self.reduced_axes(a.ndim)
        weights = np.exp(_shifted(a, axes)[0])
        total = weights.sum(axis=axes, keepdims=True)
        return weights / np.where(total == 0, 1, total)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        weighted = out_grad * node
        return weighted - node * summation(weighted, self.axes, keepdims=True)


class LogSoftmax(Softmax):
    """a - ln Σ eᵃ; -inf where every a is. Adjoint: g - eʸ·Σ g. Keeps the shape."""

    def compute(self, a: Array) -> Array:
        axes = self.reduced_axes(a.ndim)
        # not a - logsumexp(a): beside a large maximum, adding the logarithm would round it off
        shifted, _ = _shifted(a, axes)
        total = np.exp(shifted).sum(axis=axes, keepdims=True)
        return shifted - np.log(np.where(total == 0, 1, total))  # 0 where every a is -inf

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad - exp(node) * summation(out_grad, self.axes, keepdims=True)


summation = with_parameters(Summation)
max = with_parameters(Max)
min = with_parameters(Min)
logsumexp = in_single_precision(with_parameters(LogSumExp))
softmax = in_single_precision(with_parameters(Softmax))
logsoftmax = in_single_precision(with_parameters(LogSoftmax))


@in_single_precision
def mean(a: Tensor, axes: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axes`, Σ a / n."""
    if a.dtype.kind != "f":  # sums of integers may wrap around
        a = astype(a, np.float64)
    return summation(a, axes, keepdims) / _count(a, axes)


@in_single_precision
def var(a: Tensor, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over `axes`, Σ (a - mean)² / (n - ddof), as in NumPy.

    Where n ≤ ddof, the denominator is 0.
    """
    deviation = a - mean(a, axes, keepdims=True)
    degrees = _count(a, axes) - ddof
    return summation(deviation**2, axes, keepdims) / (degrees if degrees > 0 else 0)


@in_single_precision
def std(a: Tensor, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over `axes`, √var, as in NumPy. Its gradient is 0 where it is 0."""
    return root(var(a, axes, keepdims, ddof))


def _count(a: Tensor, axes: Axes) -> int:
    return math.prod(a.shape[axis] for axis in normalize_axes(axes, a.ndim))


# --- products, cumulative sums and sorting


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
    products = _moved(factors, 1) if length else factors
    step = 1
    while step < length:
        products = products * _moved(products, step)
        step *= 2
    return products


def _moved(factors: Tensor, step: int) -> Tensor:
    """The elements moved by `step` along the last axis, with ones in front."""
    ones = constant_like(factors[..., :step], 1)
    return concatenate((ones, factors[..., :-step]), axis=-1)


TakeAlongAxis: Callable[..., Any]  # used by derivatives that come first
CumSum: Callable[..., Any]
# fmt: off
CumSum, _cumsum = stated(TensorOp, "CumSum", "cumsum",
    lambda a, /, axis=-1: np.cumsum(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: flip(CumSum(axis)(flip(g, axis)), axis),
    "y_i = Σ_{j ≤ i} a_j along an axis. Adjoint: Σ_{j ≥ i} g_j.")
ArgSort, _argsort = stated(TensorOp, "ArgSort", "argsort",
    lambda a, /, axis=-1: np.argsort(a, axis=normalize_axis(axis, a.ndim), kind="stable"), None,
    "The indices that sort a along an axis; equal elements keep their order. No gradient.")
Sort, _sort = stated(TensorOp, "Sort", "sort",
    lambda a, /, axis=-1: np.sort(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: TakeAlongAxis(axis)(g, argsort(argsort(a, axis), axis)),
    "a in ascending order along an axis. Adjoint: g, moved back to where the elements were.")
TakeAlongAxis, _ = stated(TensorOp, "TakeAlongAxis", "take_along_axis",
    lambda a, order, /, axis=-1: np.take_along_axis(a, order, axis=axis),
    lambda g, y, a, order, axis: (TakeAlongAxis(axis)(g, argsort(order, axis)), None),
    "a[order] along an axis, where `order` holds each index once. Adjoint: g[order⁻¹].")
# fmt: on


@in_single_precision
def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The cumulative sums along `axis`, by default of the flattened tensor."""
    return _cumsum(reshape(a, -1), 0) if axis is None else _cumsum(a, axis)


@in_single_precision
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
