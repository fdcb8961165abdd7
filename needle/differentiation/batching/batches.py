"""Batches: tensors whose axis 0 counts examples, and what the batching rules do with them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...autograd import AbstractArray, Tensor, TensorTuple
from ...ops import broadcast_to, make_tuple, permute, reshape, stack
from ...ops.kinds import normalize_axes, normalize_axis

__all__ = [
    "Operand", "aligned", "by_loop", "changed", "entries_of", "full", "moved_axes", "shifted",
    "widened",
]  # fmt: skip


class Operand(NamedTuple):
    """A tensor, or a tuple of tensors; a batch if `is_batched`."""

    value: Any
    is_batched: bool

    @property
    def shape(self) -> Any:
        """That of one example; for a tuple the shapes of its entries."""
        if isinstance(self.value, tuple | TensorTuple):
            return tuple([entry.shape for entry in entries_of(self)])
        return self.value.shape[1:] if self.is_batched else self.value.shape

    def abstract(self) -> Any:
        """The array of one example, without its numbers."""
        if isinstance(self.value, tuple | TensorTuple):
            return tuple([entry.abstract() for entry in entries_of(self)])
        return AbstractArray(self.shape, self.value.dtype)


def entries_of(operand: Operand) -> list[Operand]:
    """The entries of a tuple."""
    return [Operand(entry, operand.is_batched) for entry in operand.value]


def full(operand: Operand, size: int) -> Any:
    """The value as a batch: what is not a batch is repeated."""
    value = operand.value
    if operand.is_batched:
        return value
    if isinstance(value, TensorTuple):
        return tuple([full(entry, size) for entry in entries_of(operand)])
    return broadcast_to(value, (size, *value.shape))


def aligned(operands: Sequence[Operand], cores: Sequence[int]) -> list[Tensor]:
    """The values, so that all axes but the last ones (of these numbers) broadcast with a batch."""
    leading = max(len(operand.shape) - core for operand, core in zip(operands, cores, strict=True))
    return [widened(operand, leading + core) for operand, core in zip(operands, cores, strict=True)]


def widened(operand: Operand, ndim: int) -> Tensor:
    """The value with axes of length 1 behind that of the batch: `ndim` axes for one example."""
    missing = ndim - len(operand.shape)
    if not operand.is_batched or not missing:
        return operand.value
    size, *shape = operand.value.shape
    return reshape(operand.value, (size, *[1] * missing, *shape))


def moved_axes(a: Tensor, sources: Sequence[int], targets: Sequence[int]) -> Tensor:
    """a with axes moved to other places, as np.moveaxis; none is negative."""
    if tuple(sources) == tuple(targets):
        return a
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return permute(a, order)


def shifted(axes: Any, ndim: int) -> Any:
    """Axes of one example as axes of a batch; None means all."""
    if isinstance(axes, int):
        return normalize_axis(axes, ndim) + 1
    return tuple([axis + 1 for axis in normalize_axes(axes, ndim)])


def changed(op: Any, **parameters: Any) -> Any:
    """The op with other parameters."""
    result = copy.copy(op)
    vars(result).update(parameters)
    return result


def by_loop(op: Any, operands: Sequence[Operand], size: int) -> Any:
    """The op on one example after the other."""
    if not size:
        return _nothing(op, operands)

    def example(operand: Operand, index: int) -> Any:
        if not operand.is_batched:
            return operand.value
        if isinstance(operand.value, tuple):
            return make_tuple(*[entry[index] for entry in operand.value])
        return operand.value[index]

    results = [op(*[example(operand, index) for operand in operands]) for index in range(size)]
    if isinstance(results[0], TensorTuple):
        return tuple([stack(each) for each in zip(*map(tuple, results), strict=True)])
    return stack(results)


def _nothing(op: Any, operands: Sequence[Operand]) -> Any:
    """The results for no examples."""

    def zeros(array: Any) -> Tensor:
        return Tensor.make_const(np.zeros((0, *array.shape), array.dtype))

    result = op.infer(*[operand.abstract() for operand in operands])
    return tuple(map(zeros, result)) if isinstance(result, tuple) else zeros(result)
