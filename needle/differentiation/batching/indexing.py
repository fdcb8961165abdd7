"""Batching rules of indexing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...autograd import Tensor
from ...ops.indexing import ARRAY
from .batches import Operand, aligned, by_loop, full, moved_axes

__all__ = ["embedding", "getitem", "put", "scatter_add"]


def getitem(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    a, *arrays = operands
    if _has_flags(op.index, arrays):
        return by_loop(op, operands, size)
    plan = _plan(op.index, len(a.shape), a.is_batched, arrays, size)
    return plan.to_front(type(op)(plan.parts)(a.value, *plan.arrays))


def scatter_add(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    a, *arrays = operands
    if _has_flags(op.index, arrays):
        return by_loop(op, operands, size)
    if len(arrays) == len(op.index) and arrays[0].value.dtype != bool:
        # with indices for each example all parts are arrays, and the op is several times as fast
        arrays[0] = Operand(full(arrays[0], size), True)
    plan = _plan(op.index, len(op.shape), True, arrays, size)
    addends = plan.from_front(full(a, size))
    return type(op)(plan.parts, (size, *op.shape))(addends, *plan.arrays)


def put(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    a, b, *arrays = operands
    if _has_flags(op.index, arrays):
        return by_loop(op, operands, size)
    plan = _plan(op.index, len(a.shape), True, arrays, size)
    return type(op)(plan.parts)(full(a, size), plan.from_front(full(b, size)), *plan.arrays)


def _has_flags(index: Sequence[Any], arrays: Sequence[Operand]) -> bool:
    """Whether True, False or a boolean array without axes is among the parts of an index."""
    return any(isinstance(part, bool) for part in index) or any(
        array.value.dtype == bool and not array.shape for array in arrays
    )


class _Plan(NamedTuple):
    """An index of a batch. NumPy gives the batch, and the axes that arrays pick, their places."""

    parts: tuple[Any, ...]
    arrays: list[Tensor]
    sources: tuple[int, ...]  # axes of NumPy's result, and where they belong
    targets: tuple[int, ...]

    def to_front(self, result: Tensor) -> Tensor:
        return moved_axes(result, self.sources, self.targets)

    def from_front(self, result: Tensor) -> Tensor:
        return moved_axes(result, self.targets, self.sources)


def _plan(
    index: tuple[Any, ...], ndim: int, is_batched: bool, arrays: Sequence[Operand], size: int
) -> _Plan:
    """How a batch is indexed (`is_batched`), or how one array is, by batches of indices."""
    values = [array.value for array in arrays]
    masks = [array for array in arrays if array.value.dtype == bool]
    if any(mask.is_batched for mask in masks):
        raise RuntimeError(
            "vmap: a boolean mask picks a different number of elements from each example: "
            "use needle.where(mask, x, 0)"
        )
    # NumPy puts what arrays pick in front, unless they stand side by side
    advanced = [
        place
        for place, part in enumerate(index)
        if arrays and (part is ARRAY or isinstance(part, int))
    ]
    width = max([1 if array in masks else len(array.shape) for array in arrays], default=0)
    is_together = not advanced or advanced[-1] - advanced[0] == len(advanced) - 1
    before = _axes_of(index[: advanced[0]], index, ndim, masks) if advanced else 0
    first = before if is_together else 0
    if not any(array.is_batched for array in arrays):
        here = 0 if is_together else width
        return _Plan((slice(None), *index), values, (here,), (0,))
    values = aligned(arrays, [0] * len(arrays))
    if not is_batched:
        return _Plan(index, values, (first,), (0,))
    numbers = np.arange(size).reshape((size,) + (1,) * width)
    picked = tuple(range(1, width + 1))
    wanted = tuple(range(first + 1, first + width + 1))
    return _Plan((ARRAY, *index), [Tensor.make_const(numbers), *values], picked, wanted)


def _axes_of(
    parts: Sequence[Any], index: Sequence[Any], ndim: int, masks: Sequence[Operand]
) -> int:
    """How many axes of the result the first `parts` of an index make, which are no arrays."""
    named = sum(part is not None and part is not Ellipsis for part in index)
    named += sum(len(mask.shape) - 1 for mask in masks)
    return sum(ndim - named if part is Ellipsis else 1 for part in parts)


def embedding(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    weight, rows = operands
    # the loop checks and counts the indices of each example
    if weight.is_batched or op.scale_grad_by_freq:
        return by_loop(op, operands, size)
    return op(weight.value, rows.value)
