"""Zeros between the elements of a tensor, and their removal."""

from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp
from .indexing import getitem
from .kinds import normalize_axes
from .names import by_any_name
from .windows import each_axis

__all__ = ["Dilate", "dilate", "UnDilate", "undilate"]


class Dilate(TensorOp):
    """a with `dilation` zeros behind each slice along `axes`. Adjoint: g without them.

    Example:
        >>> import needle as ndl
        >>> print(ndl.ops.Dilate((0,), 2)(ndl.Tensor([1.0, 2.0])))
        [1. 0. 0. 2. 0. 0.]
    """

    def __init__(self, axes: Any, dilation: int) -> None:
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        (self.dilation,) = each_axis(dilation, 1, "dilation", 0)

    def compute(self, a: Array) -> Array:
        step = self.dilation + 1
        axes = normalize_axes(self.axes, a.ndim)
        shape = [length * step if i in axes else length for i, length in enumerate(a.shape)]
        result = np.zeros_like(a, shape=tuple(shape))
        result[_every(step, axes, a.ndim)] = a
        return result

    def infer(self, a: Array) -> AbstractArray:
        axes = normalize_axes(self.axes, a.ndim)
        lengths = enumerate(a.shape)
        shape = [n * (self.dilation + 1) if axis in axes else n for axis, n in lengths]
        return AbstractArray(tuple(shape), a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return undilate(out_grad, self.axes, self.dilation)


class UnDilate(TensorOp):
    """Every (dilation + 1)-th slice of a along `axes`, from the first. Adjoint: g with zeros.

    Example:
        >>> import needle as ndl
        >>> print(ndl.ops.UnDilate((0,), 2)(ndl.Tensor([1.0, 0.0, 0.0, 2.0])))
        [1. 2.]
    """

    shares_memory = True

    def __init__(self, axes: Any, dilation: int) -> None:
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        (self.dilation,) = each_axis(dilation, 1, "dilation", 0)

    def compute(self, a: Array) -> Array:
        axes = normalize_axes(self.axes, a.ndim)
        return a[_every(self.dilation + 1, axes, a.ndim)]

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        wide = dilate(out_grad, self.axes, self.dilation)
        return wide if wide.shape == a.shape else getitem(wide, tuple(map(slice, a.shape)))


def _every(step: int, axes: tuple[int, ...], ndim: int) -> tuple[slice, ...]:
    return tuple([slice(None, None, step if axis in axes else None) for axis in range(ndim)])


@by_any_name
def dilate(a: Tensor, axes: Any, dilation: int) -> Tensor:
    """a with `dilation` zeros behind each slice along `axes`.

    Example:
        >>> import needle as ndl
        >>> print(ndl.dilate(ndl.Tensor([1.0, 2.0]), 0, 1))
        [1. 0. 2. 0.]
    """
    return Dilate(axes, dilation)(a)


@by_any_name
def undilate(a: Tensor, axes: Any, dilation: int) -> Tensor:
    """Every (dilation + 1)-th slice of a along `axes`: the inverse of `dilate`.

    Example:
        >>> import needle as ndl
        >>> print(ndl.undilate(ndl.Tensor([1.0, 0.0, 2.0, 0.0]), 0, 1))
        [1. 2.]
    """
    return UnDilate(axes, dilation)(a)
