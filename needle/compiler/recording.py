"""RecordingArray: an array without numbers, on which NumPy's functions record nodes of a program.

An op's `compute`, run on recording arrays, opens the op: each NumPy function that it calls becomes
a node. What is written in place (`out=`, `+=`, `a[index] = b`) becomes a node too, and from then on
the array stands for the new one; so do its views, and what it is a view of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..autograd.abstract import AbstractArray, NeedsNumbers
from ..device import Device, cpu
from .program import Constant, Node, add_at, cast, getitem, set_item

__all__ = [
    "Escaped", "RecordingArray", "TooLong", "changed_by", "count", "nodes_left", "operands_of",
    "tracer_of",
]  # fmt: skip


class Escaped(RuntimeError):
    """A tensor from inside a function that was being compiled is used after that."""


class TooLong(Exception):
    """An op makes more nodes than it is worth."""


nodes_left: ContextVar[list[int] | None] = ContextVar("nodes_left", default=None)
"""How many nodes may still be recorded, in a list; one more raises `TooLong`."""


def count() -> None:
    """One more node is recorded."""
    left = nodes_left.get()
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise TooLong


class RecordingArray(AbstractArray):
    """The array of a node. `tracer` is asked whether it still records, and what to say of reads."""

    __slots__ = ("_node", "_seen", "_viewed", "tracer", "version")

    def __init__(self, tracer: Any, node: Node, viewed: Any = None) -> None:
        super().__init__(node.shape, node.dtype)
        self.tracer, self._node = tracer, node
        self.version = 0  # how often it was written to
        self._viewed: RecordingArray | None = viewed  # the array that this one is a view of
        self._seen = viewed.version if viewed is not None else 0

    @property
    def node(self) -> Node:
        viewed = self._viewed
        if viewed is not None and (now := viewed.node) is not None and viewed.version != self._seen:
            self._node = _view_of(now, self._node)
            self._seen = viewed.version
            self.version += 1
        return self._node

    def write(self, values: Any, index: Any = Ellipsis) -> None:
        """self[index] = values, by nodes."""
        own, tracer = self.node, self.tracer
        if index is Ellipsis or index == slice(None):
            value = tracer.recorded(cast, _cast_like(values, own.dtype), own.dtype)
            if value.shape != own.shape:
                value = np.broadcast_to(value, self.shape)
            new = value.node
        else:
            new = changed_by(set_item, own, index, values)
        self._become(new)

    def _become(self, new: Node) -> None:
        viewed, view = self._viewed, self._node
        if viewed is not None:
            inverse = _WRITE_BACK.get(view.function)
            if inverse is None or (view.function is np.reshape and viewed._viewed is not None):
                raise NeedsNumbers("a view is written to")
            inverse(viewed, view, new)
            self._seen = viewed.version
        # a view is made again from what it views, so its node stays that of the view
        if viewed is None:
            self._node = new
        else:
            self._node = _view_of(viewed.node, view)
        self.version += 1

    # --- attributes and methods of arrays

    @property
    def device(self) -> Device:
        return cpu()

    itemsize = property(lambda self: self.dtype.itemsize)
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Any:
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        return self.tracer.recorded(cast, self, np.dtype(dtype))

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def copy(self, order: str = "C") -> Any:
        return RecordingArray(self.tracer, self.node)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        self._refuse()

    def flatten(self, order: str = "C") -> Any:
        return np.reshape(self, -1)

    def __getitem__(self, index: Any) -> Any:
        abstract = super().__getitem__(index)
        return self.tracer.recorded_as(getitem, (self, index), {}, abstract)

    def __setitem__(self, index: Any, value: Any) -> None:
        self[index]  # whether the index fits
        self.write(value, index)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        tracer = tracer_of(inputs, options.get("out", ()))
        if method == "at" and ufunc is np.add:
            target, index, values = inputs
            target._become(changed_by(add_at, target.node, index, values))
            return None
        if method != "__call__" or options.get("where", True) is not True:
            raise NeedsNumbers(f"np.{ufunc.__name__}.{method} cannot be recorded")
        out = options.pop("out", None)
        options.pop("where", None)
        result = tracer.recorded(ufunc, *inputs, **options)
        if out is None:
            return result
        for target, value in zip(
            out, result if isinstance(result, tuple) else (result,), strict=True
        ):
            if not isinstance(target, RecordingArray):
                raise NeedsNumbers("an array outside of the recording is written to")
            target.write(value)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        self.tracer.check_open()
        return self.tracer.recorded(function, *args, like=self, **options)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise self.tracer.error_of_reading()

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = _refuse
    item = tolist = get = _refuse


def _view_of(viewed: Node, view: Node) -> Node:
    """The view of another node."""
    return Node(view.function, (viewed, *view.operands[1:]), {}, view.shape, view.dtype)


def changed_by(function: Callable[..., Any], own: Node, *args: Any) -> Node:
    """A changed copy of the array of a node."""
    return Node(function, (own, *operands_of(args)), {}, own.shape, own.dtype)


def tracer_of(*trees: Any) -> Any:
    for array in _arrays_in(trees):
        array.tracer.check_open()
        return array.tracer
    raise NeedsNumbers("no recording array")


def _arrays_in(tree: Any) -> Iterator[RecordingArray]:
    if isinstance(tree, RecordingArray):
        yield tree
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _arrays_in(part)


def operands_of(tree: Any) -> Any:
    """Recording arrays as their nodes, other arrays as constants."""
    if isinstance(tree, RecordingArray):
        return tree.node
    if isinstance(tree, np.ndarray):
        return Constant(tree)
    if isinstance(tree, tuple | list):
        return type(tree)([operands_of(part) for part in tree])
    if isinstance(tree, slice):
        return slice(*operands_of((tree.start, tree.stop, tree.step)))
    if isinstance(tree, AbstractArray):
        raise NeedsNumbers("an abstract array")
    return tree


def _cast_like(values: Any, dtype: Any) -> Any:
    """Something with a shape: a number is an array of the dtype."""
    return values if hasattr(values, "shape") else np.asarray(values, dtype)


def _write_item(viewed: RecordingArray, view: Node, new: Node) -> None:
    viewed.write(RecordingArray(viewed.tracer, new), view.operands[1])


def _write_reshaped(viewed: RecordingArray, view: Node, new: Node) -> None:
    viewed._become(RecordingArray(viewed.tracer, new).reshape(viewed.shape).node)


def _write_transposed(viewed: RecordingArray, view: Node, new: Node) -> None:
    axes = tuple(np.argsort(view.operands[1]).tolist())
    viewed._become(RecordingArray(viewed.tracer, new).transpose(axes).node)


_WRITE_BACK: dict[Any, Callable[..., None]] = {
    getitem: _write_item, np.reshape: _write_reshaped, np.transpose: _write_transposed,
}  # fmt: skip
