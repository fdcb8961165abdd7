"""Reductions over axes, and cumulative sums and products along an axis.

`axes` is an int, several ints, or None for all axes, which disappear; with `keepdims`, and in the
formulas, they stay, at length 1.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .arithmetic import equal, masked, multiply
from .functions import astype, exp, in_single_precision, logaddexp, root
from .indexing import concatenate
from .kinds import (
    Axes,
    Reduction,
    constant_like,
    linear_tangent,
    normalize_axes,
    normalize_axis,
    repeated_axes,
    stated,
    with_parameters,
)  # fmt: skip
from .names import by_any_name
from .sums import sum_over
from .views import flip, permute, reshape, transpose

__all__ = [
    "AllTrue", "all", "AnyTrue", "any", "LogSoftmax", "logsoftmax", "log_softmax", "LogSumExp",
    "logsumexp", "Max", "Min", "Softmax", "softmax", "Summation", "sum", "summation", "mean", "std",
    "var", "cumprod", "CumSum", "cumsum", "logcumsumexp", "Prod", "prod",
]  # fmt: skip


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


class AnyTrue(Reduction):
    """Whether any element over `axes` is true, or not 0. No gradient."""

    differentiable = False

    def compute(self, a: Array) -> Array:
        return np.any(a, axis=self.reduced_axes(a.ndim), keepdims=self.keepdims)


class AllTrue(Reduction):
    """Whether all elements over `axes` are true, or not 0. No gradient."""

    differentiable = False

    def compute(self, a: Array) -> Array:
        return np.all(a, axis=self.reduced_axes(a.ndim), keepdims=self.keepdims)


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


@lru_cache
def _sum_of_repeated(wide: tuple[int, ...], shape: tuple[int, ...]) -> Summation:
    return Summation(repeated_axes(wide, shape), keepdims=len(wide) == len(shape))


def sum_to(a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum of a over the axes along which broadcasting `shape` to that of a repeats."""
    total = Tensor.make_from_op(_sum_of_repeated(a.shape, shape), (a,))
    return total if total.shape == shape else reshape(total, shape)


summation = with_parameters(Summation)
sum = with_parameters(Summation, "sum")
any = with_parameters(AnyTrue, "any")
all = with_parameters(AllTrue, "all")
logsumexp = in_single_precision(with_parameters(LogSumExp))
softmax = in_single_precision(with_parameters(Softmax))
logsoftmax = in_single_precision(with_parameters(LogSoftmax))
log_softmax = logsoftmax  # PyTorch's name


@by_any_name
@in_single_precision
def mean(a: Tensor, axes: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axes`, Σ a / n."""
    if a.dtype.kind != "f":  # sums of integers may wrap around
        a = astype(a, np.float64)
    return summation(a, axes, keepdims) / _count(a, axes)


@by_any_name
@in_single_precision
def var(a: Tensor, axes: Axes = None, *, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over `axes`, Σ (a - mean)² / (n - ddof), as in NumPy (in PyTorch ddof is 1).

    Where n ≤ ddof, the denominator is 0.
    """
    deviation = a - mean(a, axes, keepdims=True)
    degrees = _count(a, axes) - ddof
    return summation(deviation**2, axes, keepdims) / (degrees if degrees > 0 else 0)


@by_any_name
@in_single_precision
def std(a: Tensor, axes: Axes = None, *, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over `axes`, √var, as in NumPy. Its gradient is 0 where it is 0.

    In PyTorch ddof is 1 unless given.
    """
    return root(var(a, axes, keepdims=keepdims, ddof=ddof))


def _count(a: Tensor, axes: Axes) -> int:
    if axes is None:
        return math.prod(a.shape)
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
    """Π_{j < i} a_j along the last axis."""
    return _scan(multiply, 1, _moved(factors, 1, 1) if factors.shape[-1] else factors)


def _scan(operation: Callable[..., Tensor], neutral: float, a: Tensor) -> Tensor:
    """a_0 ∘ a_1 ∘ ... ∘ a_i along the last axis, by doubling.

    Made of ops, so that its derivatives of every order are right where a product is 0.
    """
    step = 1
    while step < a.shape[-1]:
        a = operation(a, _moved(a, step, neutral))
        step *= 2
    return a


def _moved(a: Tensor, step: int, neutral: float) -> Tensor:
    """The elements moved by `step` along the last axis, with `neutral` in front."""
    return concatenate((constant_like(a[..., :step], neutral), a[..., :-step]), axis=-1)


def _scanned(operation: Callable[..., Tensor], neutral: float, a: Tensor, axis: int) -> Tensor:
    ends = (normalize_axis(axis, a.ndim), a.ndim - 1)
    if ends[0] == ends[1]:
        return _scan(operation, neutral, a)
    return transpose(_scan(operation, neutral, transpose(a, ends)), ends)


CumSum: Callable[..., Any]  # used by its own derivative
# fmt: off
CumSum, _cumsum = stated(TensorOp, "CumSum", "cumsum",
    lambda a, /, axis=-1: np.cumsum(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: flip(CumSum(axis)(flip(g, axis)), axis),
    "y_i = Σ_{j ≤ i} a_j along an axis. Adjoint: Σ_{j ≥ i} g_j.")
# fmt: on


@by_any_name
@in_single_precision
def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The cumulative sums along `axis`, by default of the flattened tensor."""
    return _cumsum(reshape(a, -1), 0) if axis is None else _cumsum(a, axis)


@by_any_name
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


@by_any_name
@in_single_precision
def cumprod(a: Tensor, axis: int | None = None) -> Tensor:
    """The cumulative products along `axis`, by default of the flattened tensor.

    Its derivatives of every order are right where factors are 0.

    Example:
        >>> import needle as ndl
        >>> ndl.cumprod(ndl.Tensor([1.0, 2.0, 3.0])).numpy()
        array([1., 2., 6.])
    """
    wide = np.prod(np.ones(1, a.dtype)).dtype
    if a.dtype != wide:  # as NumPy: int8 would overflow
        a = a + np.zeros((), wide)
    return _scanned(multiply, 1, *((reshape(a, -1), 0) if axis is None else (a, axis)))


@by_any_name
@in_single_precision
def logcumsumexp(a: Tensor, axis: int | None = None) -> Tensor:
    """ln Σ_{j ≤ i} exp a_j along `axis`, by default of the flattened tensor, without overflow.

    Example:
        >>> import needle as ndl
        >>> ndl.logcumsumexp(ndl.Tensor([1000.0, 1000.0])).numpy().round(3)
        array([1000.   , 1000.693])
    """
    a = a if a.dtype.kind == "f" else astype(a, np.result_type(a.dtype, 0.0))
    return _scanned(logaddexp, -np.inf, *((reshape(a, -1), 0) if axis is None else (a, axis)))
