"""Sums, largest elements and all elements of windows that slide over images (N, C, ...).

In the instances a setting is a tuple of numbers, one for each spatial axis, and the padding one of
pairs (before, after). Results keep the order of the axes in memory.
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .arithmetic import mask
from .kinds import linear_tangent
from .windows import Lengths, Padding, output_lengths, reach, taps

__all__ = ["Fold", "Unfold", "WindowArgMax", "WindowMax", "WindowSum"]

Index = tuple[Any, ...]


class _Windows(TensorOp):
    """An op with windows over images whose spatial axes have the lengths `lengths`."""

    def __init__(
        self,
        lengths: Lengths,
        kernel: Lengths,
        stride: Lengths,
        padding: Padding,
        dilation: Lengths,
        ceil: bool = False,
    ) -> None:
        self.lengths = lengths
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceil = ceil

    @property
    def settings(self) -> tuple[Any, ...]:
        """What another op with the same windows is made of."""
        return self.lengths, self.kernel, self.stride, self.padding, self.dilation, self.ceil

    @property
    def outputs(self) -> Lengths:
        """How many windows there are along each axis."""
        return output_lengths(*self.settings)

    def _taps(self) -> Iterator[tuple[Lengths, Index, Index]]:
        """(tap, index of the windows, index of what they read there) for all axes together."""
        before = tuple([first for first, _ in self.padding])
        window = taps(self.lengths, self.kernel, self.stride, before, self.dilation, self.outputs)
        for tap, written, read in window:
            yield tap, (..., *written), (..., *read)

    def _taps_along(self, axis: int) -> Iterator[tuple[Index, Index]]:
        """The same for one axis alone."""
        every = (slice(None),) * (axis + 2)
        for tap in range(self.kernel[axis]):
            offset = tap * self.dilation[axis] - self.padding[axis][0]
            pair = reach(offset, self.stride[axis], self.lengths[axis], self.outputs[axis])
            yield (*every, pair[0]), (*every, pair[1])

    def _like(self, a: Array, lengths: Lengths, value: float = 0) -> Array:
        """An array like a with other spatial lengths, in the same order in memory."""
        return np.full_like(a, value, shape=(*a.shape[:2], *lengths))

    def infer(self, a: Array, *others: Array) -> Array:
        return self._like(a, self.outputs)


class WindowSum(_Windows):
    """The sum of each window, in which padding counts as 0; axis by axis.

    Adjoint: each element gets the sum of g over the windows that it is in.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.WindowSum((4,), (2,), (2,), ((0, 0),), (1,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0, 3.0, 5.0]]])))
        [[[3. 8.]]]
    """

    tangent = linear_tangent

    def compute(self, a: Array) -> Array:
        for axis in range(len(self.lengths)):
            total = self._like(a, (*self.outputs[: axis + 1], *self.lengths[axis + 1 :]))
            for written, read in self._taps_along(axis):
                total[written] += a[read]
            a = total
        return a

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(_spread(*self.settings), (out_grad,))


class _WindowSpread(_Windows):
    """The adjoint of `WindowSum`. Adjoint: `WindowSum`."""

    tangent = linear_tangent

    def compute(self, a: Array) -> Array:
        for axis in range(len(self.lengths)):
            total = self._like(a, (*self.lengths[: axis + 1], *self.outputs[axis + 1 :]))
            for written, read in self._taps_along(axis):
                total[read] += a[written]
            a = total
        return a

    def infer(self, a: Array, *others: Array) -> Array:
        return self._like(a, self.lengths)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(window_sum(*self.settings), (out_grad,))


class WindowMax(_Windows):
    """The largest element of each window; padding does not count. NaN if there is one.

    Adjoint: g where the window's first largest element is, added up over the windows.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.WindowMax((4,), (2,), (2,), ((0, 0),), (1,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0, 5.0, 3.0]]])))
        [[[2. 5.]]]
    """

    def compute(self, a: Array) -> Array:
        result = self._like(a, self.outputs, _least(a.dtype))
        for _, written, read in self._taps():
            np.maximum(result[written], a[read], out=result[written])
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(_scatter(*self.settings), (out_grad, *node.inputs, node))

    def tangent(self, tangents: Any, node: Tensor) -> Tensor:
        return Tensor.make_from_op(_pick(*self.settings), (tangents[0], *node.inputs, node))


class _WindowPick(_Windows):
    """Of h, like a, what lies where each window of a has its first largest element, one of y.

    Adjoint, for that of the result, g: g there, added up over the windows.
    """

    constant_operands = slice(1, 3)

    def compute(self, h: Array, a: Array, y: Array) -> Array:
        result = self._like(h, self.outputs)
        for written, read, chosen in self._chosen(a, y):
            result[written] += mask(h[read], chosen)
        return result

    def _chosen(self, a: Array, y: Array) -> Iterator[tuple[Index, Index, Array]]:
        """For each tap where it writes and reads, and in which windows it is the first largest."""
        is_found = np.zeros_like(y, dtype=bool)
        for _, written, read in self._taps():
            chosen = np.equal(a[read], y[written])
            np.greater(chosen, is_found[written], out=chosen)  # and not found
            is_found[written] |= chosen
            yield written, read, chosen

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        _, *others = node.inputs
        return Tensor.make_from_op(_scatter(*self.settings), (out_grad, *others)), None, None

    def tangent(self, tangents: Any, node: Tensor) -> Tensor | None:
        moving = tangents[0]
        return None if moving is None else Tensor.make_from_op(self, (moving, *node.inputs[1:]))


class _WindowScatter(_WindowPick):
    """The adjoint of `_WindowPick`, of g, a and y. Adjoint: `_WindowPick`."""

    def compute(self, g: Array, a: Array, y: Array) -> Array:
        result = self._like(g, self.lengths)
        for written, read, chosen in self._chosen(a, y):
            result[read] += mask(g[written], chosen)
        return result

    def infer(self, a: Array, *others: Array) -> Array:
        return self._like(a, self.lengths)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        _, *others = node.inputs
        return Tensor.make_from_op(_pick(*self.settings), (out_grad, *others)), None, None


class WindowArgMax(_Windows):
    """Where the largest element of each window is, as an index into the flattened spatial axes.

    The first of several; a NaN if there is one. No gradient.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.WindowArgMax((4,), (2,), (2,), ((0, 0),), (1,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0, 5.0, 3.0]]])))
        [[[1 2]]]
    """

    differentiable = False

    def compute(self, a: Array) -> Array:
        largest = self._like(a, self.outputs, _least(a.dtype))
        where = np.full_like(a, -1, shape=largest.shape, dtype=np.int64)
        places = np.arange(math.prod(self.lengths), like=a).reshape(self.lengths)
        for _, written, read in self._taps():
            values, best = a[read], largest[written]
            is_better = (values > best) | (values != values) | (where[written] < 0)
            where[written] = np.where(is_better, places[read], where[written])
            largest[written] = np.where(is_better, values, best)
        return where

    def infer(self, a: Array, *others: Array) -> Array:
        return np.full_like(a, 0, shape=(*a.shape[:2], *self.outputs), dtype=np.int64)


def _least(dtype: Any) -> Any:
    return -math.inf if dtype.kind == "f" else np.iinfo(dtype).min


class Unfold(_Windows):
    """The elements of each window in a column: (N, C, ...) → (N, C·taps, windows), padding is 0.

    Adjoint: `Fold` of g.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.Unfold((4,), (2,), (2,), ((0, 0),), (1,))
        >>> print(op(ndl.Tensor([[[1.0, 2.0, 5.0, 3.0]]])))
        [[[1. 5.]
          [2. 3.]]]
    """

    tangent = linear_tangent

    def compute(self, a: Array) -> Array:
        result = np.zeros_like(a, shape=(*a.shape[:2], *self.kernel, *self.outputs), order="C")
        every = (slice(None), slice(None))
        for tap, (_, *written), read in self._taps():
            result[(*every, *tap, *written)] = a[read]
        return result.reshape(self._columns(a))

    def _columns(self, a: Array) -> tuple[int, ...]:
        return a.shape[0], a.shape[1] * math.prod(self.kernel), math.prod(self.outputs)

    def infer(self, a: Array, *others: Array) -> Array:
        return np.zeros_like(a, shape=self._columns(a))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(_fold(*self.settings), (out_grad,))


class Fold(_Windows):
    """Columns (N, C·taps, windows) added up to images (N, C, ...), each where `Unfold` reads it.

    Adjoint: `Unfold` of g.

    Example:
        >>> import needle as ndl
        >>> op = ndl.ops.Fold((4,), (2,), (2,), ((0, 0),), (1,))
        >>> print(op(ndl.Tensor([[[1.0, 5.0], [2.0, 3.0]]])))
        [[[1. 2. 5. 3.]]]
    """

    tangent = linear_tangent

    def compute(self, a: Array) -> Array:
        channels = a.shape[1] // math.prod(self.kernel)
        a = a.reshape((a.shape[0], channels, *self.kernel, *self.outputs))
        result = np.zeros_like(a, shape=(*a.shape[:2], *self.lengths), order="C")
        every = (slice(None), slice(None))
        for tap, (_, *written), read in self._taps():
            result[read] += a[(*every, *tap, *written)]
        return result

    def infer(self, a: Array, *others: Array) -> Array:
        channels = a.shape[1] // math.prod(self.kernel)
        return np.zeros_like(a, shape=(a.shape[0], channels, *self.lengths))

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(_unfold(*self.settings), (out_grad,))


WINDOW_ADJOINTS = (_WindowSpread, _WindowPick, _WindowScatter)

# one instance for all calls with equal settings
window_sum = cache(WindowSum)
window_max = cache(WindowMax)
_spread = cache(_WindowSpread)
_pick = cache(_WindowPick)
_scatter = cache(_WindowScatter)
_unfold = cache(Unfold)
_fold = cache(Fold)
