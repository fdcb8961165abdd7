"""Picking elements out and putting them back.

Arrays of indices are operands; `index` holds the rest of the index, with `ARRAY` in the place of
each array.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from ..device import Device, to_numpy
from .arithmetic import masked, not_equal
from .kinds import check_whole_numbers, constant_like, linear_tangent, normalize_axis
from .names import by_any_name
from .views import stop_gradient

__all__ = ["Concatenate", "concatenate", "Embedding", "GetItem", "getitem", "ScatterAdd"]

ARRAY = "array"
Index = tuple[Any, ...]  # of integers, slices, None, Ellipsis and ARRAY


class _Indexed(TensorOp):
    """An op on a and arrays of indices. It is linear in a, and constant in the others."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def tangent(self, tangents: Sequence[Any], node: Tensor) -> Tensor | None:
        moving = tangents[0]
        return None if moving is None else self(moving, *node.inputs[1:])

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return super()._error(cause, arrays[:1])

    def _filled(self, arrays: tuple[Array, ...]) -> Index:
        """The whole index."""
        if not arrays:
            return self.index
        remaining = iter(arrays)
        return tuple([next(remaining) if part is ARRAY else part for part in self.index])


class GetItem(_Indexed):
    """a[index], with NumPy's basic and advanced indexing. Adjoint: g added up into zeros."""

    shares_memory = True

    def compute(self, a: Array, *arrays: Array) -> Array:
        return a[self._filled(arrays)]

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        a, *arrays = node.inputs
        return ScatterAdd(self.index, a.shape)(out_grad, *arrays), *[None] * len(arrays)


class ScatterAdd(_Indexed):
    """Zeros of `shape` with a added at `index`, as often as it occurs there. Adjoint: g[index]."""

    def __init__(self, index: Index, shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape

    def compute(self, a: Array, *arrays: Array) -> Array:
        result = np.zeros_like(a, shape=self.shape, order="C")
        index = self._filled(arrays)
        are_integers = [part.dtype.kind != "b" for part in arrays]
        if not any(are_integers):  # slices and masks meet each element once
            result[index] = a
        elif all(are_integers) and len(arrays) == len(index):
            _add_rows(result, index, a)
        else:
            np.add.at(result, index, a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        arrays = node.inputs[1:]
        return GetItem(self.index)(out_grad, *arrays), *[None] * len(arrays)


class Embedding(GetItem):
    """The rows of a matrix that indices name, whole numbers in any dtype. Adjoint: as GetItem.

    The row `padding_idx` gets no adjoint; with `scale_grad_by_freq` those of the others are divided
    by how often the indices name them.
    """

    constant_operands = slice(1, 2)

    def __init__(self, padding_idx: int | None = None, scale_grad_by_freq: bool = False) -> None:
        super().__init__((ARRAY,))
        self.padding_idx = padding_idx
        self.scale_grad_by_freq = scale_grad_by_freq

    def check(self, weight: Array, rows: Array) -> None:
        check_whole_numbers(rows, "Embedding expected whole numbers")
        if not ((rows >= 0) & (rows < weight.shape[0])).all().item():
            rows = to_numpy(rows)
            places = np.argwhere((rows < 0) | (rows >= weight.shape[0]))
            place = tuple(places[0].tolist())
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            raise ValueError(
                f"Embedding expected indices from 0 to {weight.shape[0] - 1}, "
                f"got {rows[place]} at {place}{more}"
            )

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return cause

    def compute(self, weight: Array, rows: Array) -> Array:
        return weight[rows.astype(np.intp)]

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        weight, rows = node.inputs
        rows = rows.astype(np.intp)
        if self.scale_grad_by_freq:
            ones = constant_like(rows, 1).astype(weight.dtype)
            counts = ScatterAdd((ARRAY,), weight.shape[:1])(ones, rows)
            out_grad = out_grad / GetItem((ARRAY,))(counts, rows).expand_dims(-1)
        if self.padding_idx is not None:
            out_grad = masked(out_grad, not_equal(rows, self.padding_idx).expand_dims(-1))
        return ScatterAdd((ARRAY,), weight.shape)(out_grad, rows), None


class Concatenate(TensorOp):
    """Tensors one after another along an axis. Adjoints: the pieces of g."""

    tangent = linear_tangent

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def compute(self, *arrays: Array) -> Array:
        axis = normalize_axis(self.axis, arrays[0].ndim)
        return np.concatenate(arrays, axis)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, ...]:
        axis = normalize_axis(self.axis, out_grad.ndim)
        pieces, start = [], 0
        for operand in node.inputs:
            stop = start + operand.shape[axis]
            pieces.append(out_grad[(slice(None),) * axis + (slice(start, stop),)])
            start = stop
        return tuple(pieces)


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
    columns = np.arange(width, like=result)
    elements, addends = result.reshape(-1), a.reshape(len(starts), width)
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(starts), step):
        block = slice(start, start + step)
        positions = starts[block] + columns
        np.add.at(elements, positions.reshape(-1), addends[block].reshape(-1))


def getitem(a: Tensor, index: Any) -> Tensor:
    """a[index]: integers, slices, None, Ellipsis, and integer or boolean arrays or Tensors.

    An element that is picked several times gets the sum of the adjoints.
    """
    static, arrays = taken_apart(index, a.device)
    return GetItem(static)(a, *arrays)


def taken_apart(index: Any, device: Device) -> tuple[Index, list[Tensor]]:
    """An index with ARRAY in the place of each array, and the arrays as Tensors."""
    arrays: list[Tensor] = []
    parts = index if isinstance(index, tuple) else (index,)
    return tuple([_static_part(part, arrays, device) for part in parts]), arrays


def _static_part(part: Any, arrays: list[Tensor], device: Device) -> Any:
    """One entry of an index; in the place of a Tensor, array or list, which joins `arrays`."""
    if part is None or part is Ellipsis or isinstance(part, int | slice):
        return part
    if isinstance(part, np.integer):
        return int(part)
    if not isinstance(part, Tensor):
        if not hasattr(part, "dtype"):
            part = np.asarray(part)
            part = part if part.size else part.astype(int)  # of floats, for an empty list
        part = Tensor.make_const(device.array(part))  # a copy: its owner may write to it
    if part.dtype.kind not in "biu":
        raise TypeError(
            f"an index holds integers or booleans, got {part.dtype}: use astype('int64')"
        )
    arrays.append(stop_gradient(part) if part.requires_grad else part)
    return ARRAY


@by_any_name
def concatenate(args: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors, equal in all other axes, one after another along an existing axis."""
    if not len(args):
        raise ValueError("concatenate needs at least one tensor")
    return Concatenate(axis)(*args)
