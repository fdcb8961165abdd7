"""Norms of vectors and matrices.; in the formulas the reduced axes stay, at length 1."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import Array, Tensor
from ..arithmetic import divide_or_zero, masked, not_equal, where
from ..functions import abs, astype, in_single_precision, sign
from ..kinds import Axes, Reduction, normalize_axes, plain_number
from ..names import by_any_name
from ..order import max, min
from ..reductions import summation
from ..views import permute
from .factorizations import svdvals

__all__ = ["Norm", "PowerNorm", "norm", "vector_norm"]


class Norm(Reduction):
    """√Σ a². Adjoint: g·a/y, which is 0 where y = 0."""

    def compute(self, a: Array) -> Array:
        axes = self.reduced_axes(a.ndim)
        return np.sqrt(np.square(a).sum(axis=axes, keepdims=self.keepdims))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        return a * self.expand(divide_or_zero(out_grad, node), a)


class PowerNorm(Reduction):
    """(Σ |a|ᵖ)^(1/p). Adjoint: g·sign(a)·|a/y|^(p-1), which is 0 where a = 0."""

    def __init__(self, p: float, axes: Axes = None, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)
        self.p = plain_number(p)

    def compute(self, a: Array) -> Array:
        axes = self.reduced_axes(a.ndim)
        powers = np.absolute(a) ** self.p
        return powers.sum(axis=axes, keepdims=self.keepdims) ** (1 / self.p)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        counts = not_equal(a, 0)
        # powers of 0 may be infinite
        ratio = where(counts, divide_or_zero(abs(a), self.expand(node, a)), 1)
        return masked(self.expand(out_grad, a), counts) * (ratio ** (self.p - 1) * sign(a))


@by_any_name
@in_single_precision
def vector_norm(x: Tensor, ord: Any = 2, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over `axis`, by default of all elements; `ord` is p, inf, -inf or 0.

    Example:
        >>> import needle as ndl
        >>> ndl.vector_norm(ndl.Tensor([[3.0, 4.0]]), 1).item()
        7.0
    """
    if x.dtype.kind != "f":  # the absolute value of -128 is no int8
        x = astype(x, np.float64)
    return _vector_norm(x, plain_number(ord), normalize_axes(axis, x.ndim), keepdims)


@by_any_name
def norm(
    x: Tensor, ord: Any = None, axis: int | tuple[int, int] | None = None, keepdims: bool = False
) -> Tensor:
    """The norm of vectors or matrices: `needle.linalg.norm`, which is np.linalg.norm.

    A matrix and a number as `ord`, without `axis`, are a ValueError here: torch.norm and
    np.linalg.norm give different numbers.

    Example:
        >>> import needle as ndl
        >>> ndl.norm(ndl.Tensor([[3.0, 4.0]])).item()
        5.0
    """
    if axis is None and x.ndim == 2 and isinstance(ord, int | float | np.number):
        raise ValueError(
            f"norm(x, {ord}) of a matrix is ambiguous: needle.linalg.norm(x, {ord}) is the norm of "
            f"the matrix (np.linalg.norm), needle.vector_norm(x, {ord}) that of all its elements "
            "(torch.norm)"
        )
    return numpys_norm(x, ord, axis, keepdims)


@by_any_name
@in_single_precision
def numpys_norm(
    x: Tensor, ord: Any = None, axis: int | tuple[int, int] | None = None, keepdims: bool = False
) -> Tensor:
    """The norm of vectors (`axis` an int) or matrices (`axis` two ints), as np.linalg.norm.

    Args:
        ord: of vectors: None or 2 (√Σ x²), 1, inf, -inf, 0 (the number of nonzero elements), or
            another number p ((Σ |x|ᵖ)^(1/p)); of matrices: None or "fro" (√Σ x²), "nuc" (the sum
            of the singular values), 1, -1, inf, -inf (the largest or smallest sum of |x| of a
            column or row), 2, -2 (the largest and the smallest singular value).
        axis: by default all: x flattened if `ord` is None, else one vector or one matrix.
        keepdims: whether the reduced axes stay, at length 1.

    The gradient of the 2-norm at 0 is 0.

    Example:
        >>> import needle as ndl
        >>> ndl.linalg.norm(ndl.Tensor([3.0, 4.0])).item()
        5.0
    """
    ord = plain_number(ord)
    if x.dtype.kind != "f":  # the absolute value of -128 is no int8
        x = astype(x, np.float64)
    if axis is None and ord is None:
        return Norm(None, keepdims)(x)
    axes = normalize_axes(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(
        f"norm takes one axis (vectors) or two (matrices), got {len(axes)} of shape {x.shape}: "
        "give `axis`, or leave `ord` out to flatten x"
    )


def _vector_norm(x: Tensor, order: Any, axis: Axes, keepdims: bool) -> Tensor:
    if order is None or order == 2:
        return Norm(axis, keepdims)(x)
    if order == 0:
        return summation(not_equal(x, 0).astype(x.dtype), axis, keepdims)
    if order in _OF_SIZES:
        return _OF_SIZES[order](abs(x), axes=axis, keepdims=keepdims)
    if not isinstance(order, int | float):
        raise ValueError(f"norm of vectors takes a number as ord, got {order!r}")
    return PowerNorm(order, axis, keepdims)(x)


_OF_SIZES: dict[float, Callable[..., Tensor]] = {1: summation, np.inf: max, -np.inf: min}
_OF_SINGULAR_VALUES: dict[Any, Callable[..., Tensor]] = {2: max, -2: min, "nuc": summation}
# how sums of |x| are compared, and whether they are of columns (0) or rows (1)
_OF_LINES = {1: (max, 0), -1: (min, 0), np.inf: (max, 1), -np.inf: (min, 1)}


def _matrix_norm(x: Tensor, order: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if order is None or order == "fro":
        return Norm(axes, keepdims)(x)
    if order in _OF_LINES:
        extremum, line = _OF_LINES[order]
        along, across = axes[line], axes[1 - line]
        across -= not keepdims and across > along  # an axis has gone
        return extremum(summation(abs(x), along, keepdims), axes=across, keepdims=keepdims)
    if order in _OF_SINGULAR_VALUES:
        matrices = permute(x, [axis for axis in range(x.ndim) if axis not in axes] + list(axes))
        norms = _OF_SINGULAR_VALUES[order](svdvals(matrices), axes=-1)
        back = tuple(None if axis in axes else slice(None) for axis in range(x.ndim))
        return norms[back] if keepdims else norms
    raise ValueError(
        f"norm of matrices takes 'fro', 'nuc', 1, -1, 2, -2, inf or -inf as ord, got {order!r}"
    )
