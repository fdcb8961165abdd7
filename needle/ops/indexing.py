"""Picking elements out and putting them back.

In the formulas g is the adjoint of the result.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .kinds import linear_tangent, normalize_axes

__all__ = ["Concatenate", "concatenate", "GetItem", "getitem", "ScatterAdd"]


class GetItem(TensorOp):
    """a[index], with NumPy's basic and advanced indexing. Adjoint: g added up into zeros."""

    tangent = linear_tangent

    def __init__(self, index: Any) -> None:
        parts = index if isinstance(index, tuple) else (index,)
        self.index = tuple(_plain(part) for part in parts)

    def compute(self, a: Array) -> Array:
        return a[self.index]

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return ScatterAdd(self.index, node.inputs[0].shape)(out_grad)


class ScatterAdd(TensorOp):
    """Zeros of `shape` with a added at `index`, as often as it stands there. Adjoint: g[index]."""

    tangent = linear_tangent

    def __init__(self, index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape

    def compute(self, a: Array) -> Array:
        result = np.zeros_like(a, shape=self.shape, order="C")
        arrays = [_is_integer_array(part) for part in self.index]
        if not any(arrays):  # slices and masks meet each element once
            result[self.index] = a
        elif all(arrays):
            _add_rows(result, self.index, a)
        else:
            np.add.at(result, self.index, a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return GetItem(self.index)(out_grad)


class Concatenate(TensorOp):
    """Tensors one after another along an axis. Adjoints: the pieces of g."""

    tangent = linear_tangent

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def compute(self, *arrays: Array) -> Array:
        (axis,) = normalize_axes(self.axis, arrays[0].ndim)
        return np.concatenate(arrays, axis)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, ...]:
        (axis,) = normalize_axes(self.axis, out_grad.ndim)
        pieces, start = [], 0
        for operand in node.inputs:
            stop = start + operand.shape[axis]
            pieces.append(out_grad[(slice(None),) * axis + (slice(start, stop),)])
            start = stop
        return tuple(pieces)


def _is_integer_array(part: Any) -> bool:
    return bool(getattr(part, "ndim", 0)) and part.dtype.kind != "b"


_BLOCK = 65_536  # elements that are added at once: their positions take this much, not all of a


def _add_rows(result: Array, index: tuple[Array, ...], a: Array) -> None:
    """np.add.at(result, index, a) for integer arrays and a `result` in row-major order.

    The same sums in the same order. On several axes np.add.at is several times slower than on
    one, so the elements of `result` are numbered.
    """
    rows: Any = 0
    for part, length in zip(index, result.shape, strict=False):
        rows = rows * length + part.astype(np.intp) % length  # counted from the start
    width = math.prod(result.shape[len(index) :])
    starts = rows.reshape(-1, 1) * width
    columns = np.arange(width, like=rows)
    elements, addends = result.reshape(-1), a.reshape(len(starts), width)
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(starts), step):
        block = slice(start, start + step)
        positions = starts[block] + columns
        np.add.at(elements, positions.reshape(-1), addends[block].reshape(-1))


def _plain(part: Any) -> Any:
    """One entry of an index, with an array in place of a Tensor or a sequence."""
    if part is None or part is Ellipsis or isinstance(part, int | slice):
        return part
    if isinstance(part, Tensor):
        part = part.realize_cached_data()
    elif not hasattr(part, "dtype"):
        part = np.asarray(part)
        part = part if part.size else part.astype(int)
    if part.dtype.kind not in "biu":
        raise TypeError(
            f"an index holds integers or booleans, got {part.dtype}: use astype('int64')"
        )
    return part


def getitem(a: Tensor, index: Any) -> Tensor:
    """a[index]: integers, slices, None, Ellipsis, and integer or boolean arrays or Tensors.

    An element that is picked several times gets the sum of the adjoints.
    """
    return GetItem(index)(a)


def concatenate(args: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors, equal in all other axes, one after another along an existing axis."""
    if not len(args):
        raise ValueError("concatenate needs at least one tensor")
    return Concatenate(axis)(*args)
