"""Tuples of tensors as values of the graph, and the ops that make or take them apart.

In the formulas g is the adjoint of the result, for a tuple a tuple of adjoints.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp, TensorTuple, TensorTupleOp
from .kinds import linear_tangent, normalize_axis, plain_number
from .names import by_any_name

__all__ = [
    "FusedAddScalars", "fused_add_scalars", "MakeTensorTuple", "make_tuple", "Split", "split",
    "Stack", "stack", "TupleGetItem", "tuple_get_item",
]  # fmt: skip


class MakeTensorTuple(TensorTupleOp):
    """(a, b, ...). Adjoints: the entries of g."""

    tangent = linear_tangent

    def compute(self, *arrays: Array) -> tuple[Array, ...]:
        return arrays

    def gradient(self, out_grad: TensorTuple, node: Tensor) -> tuple[Tensor, ...]:
        return out_grad.tuple()


class TupleGetItem(TensorOp):
    """The entry `index` of a tuple. Adjoint: g at that entry, zeros at the others."""

    shares_memory = True
    tangent = linear_tangent

    def __init__(self, index: int) -> None:
        if not isinstance(index, int | np.integer):
            raise TypeError(f"an entry of a tuple of tensors has an integer, got {index!r}")
        self.index = int(index)

    def compute(self, arrays: tuple[Array, ...]) -> Array:
        return arrays[self.index]

    def _error(self, cause: Exception, arrays: Sequence[Any]) -> Exception:
        return IndexError(f"entry {self.index} of a tuple of {len(arrays[0])} tensors")

    def gradient(self, out_grad: Tensor, node: Tensor) -> TensorTuple:
        return with_entries(node.inputs[0], [(self.index, out_grad)])

    def gradient_as_tuple(self, out_grad: Tensor, node: Tensor) -> tuple[dict[int, Tensor]]:
        index = self.index if self.index >= 0 else self.index % len(node.inputs[0])
        return ({index: out_grad},)  # no zeros for the others


class Stack(TensorOp):
    """Tensors of a tuple along a new axis. Adjoint: g, split along it."""

    tangent = linear_tangent

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def compute(self, arrays: tuple[Array, ...]) -> Array:
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1:
            raise ValueError(f"stack takes one or more tensors of one shape, got {sorted(shapes)}")
        axis = normalize_axis(self.axis, arrays[0].ndim + 1)
        return np.stack(arrays, axis)

    def gradient(self, out_grad: Tensor, node: Tensor) -> TensorTuple:
        return split(out_grad, self.axis)


class Split(TensorTupleOp):
    """The slices along an axis, which is removed. Adjoint: g, stacked along it."""

    shares_memory = True
    tangent = linear_tangent

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def compute(self, a: Array) -> tuple[Array, ...]:
        axis = normalize_axis(self.axis, a.ndim)
        slices = np.moveaxis(a, axis, 0)
        # the Ellipsis keeps a slice without axes an array
        return tuple(slices[index, ...] for index in range(a.shape[axis]))

    def gradient(self, out_grad: TensorTuple, node: Tensor) -> Tensor:
        return stack(out_grad, self.axis)


class FusedAddScalars(TensorTupleOp):
    """(a + c0, a + c1). Adjoint: g0 + g1."""

    def __init__(self, c0: float, c1: float) -> None:
        self.c0 = plain_number(c0)
        self.c1 = plain_number(c1)

    def compute(self, a: Array) -> tuple[Array, Array]:
        return a + self.c0, a + self.c1

    def gradient(self, out_grad: TensorTuple, node: Tensor) -> Tensor:
        return out_grad[0] + out_grad[1]


_FIRST = [TupleGetItem(index) for index in range(8)]  # one instance for all calls


def make_tuple(*args: Tensor) -> TensorTuple:
    """Several tensors as a TensorTuple, one value of the graph."""
    return MakeTensorTuple()(*args)


def tuple_get_item(value: TensorTuple, index: int) -> Tensor:
    """The entry `index` of a tuple."""
    op = _FIRST[index] if index.__class__ is int and 0 <= index < 8 else TupleGetItem(index)
    if value.op.__class__ is MakeTensorTuple:  # the graph needs no detour through the tuple
        return op._run((value.inputs,))
    return Tensor.make_from_op(op, (value,))


def add_tuples(a: TensorTuple, b: TensorTuple) -> TensorTuple:
    """The sums of the entries of two tuples of equal length."""
    if not isinstance(b, TensorTuple):
        return NotImplemented
    if len(a) != len(b):
        raise ValueError(f"tuples of {len(a)} and {len(b)} entries do not add")
    return make_tuple(*[first + second for first, second in zip(a, b, strict=True)])


def with_entries(like: TensorTuple, entries: Iterable[tuple[int, Tensor]]) -> TensorTuple:
    """A tuple with the lengths and shapes of `like`: zeros, and `entries` added at their index."""
    arrays = like.realize_cached_data()
    sums: list[Any] = [None] * len(arrays)
    for index, entry in entries:  # -1 names the last one too
        sums[index] = entry if sums[index] is None else sums[index] + entry
    return make_tuple(
        *[
            Tensor.make_const(np.zeros_like(array)) if entry is None else entry
            for entry, array in zip(sums, arrays, strict=True)
        ]
    )


@by_any_name
def stack(args: Sequence[Tensor] | TensorTuple, axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return Stack(axis)(args if isinstance(args, TensorTuple) else make_tuple(*args))


@by_any_name
def split(a: Tensor, axis: int = 0) -> TensorTuple:
    """The slices of a along `axis`, each without that axis."""
    return Split(axis)(a)


def fused_add_scalars(a: Tensor, c0: float, c1: float) -> TensorTuple:
    """The pair (a + c0, a + c1), as one op."""
    return FusedAddScalars(c0, c1)(a)
