"""Changes of memory: nothing is computed from other numbers than those that its graph was made of.

A node notes the time when it is made, and the memory of a tensor the time of its last change. If
the gradient of a node reads a value that changed after the node was made, `backward` raises an
error. A lazy value is computed before a change of what it reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from . import modes

__all__ = [
    "Changes",
    "before_change",
    "changes_of",
    "gradient_of_changed",
    "last_change",
    "tick",
    "unchanged",
]

tick = itertools.count(1).__next__
"""The time: another number at each call, higher than all former ones."""

last_change = [0]
"""The time of the last change of any memory."""


class Changes:
    """The last change of some memory, and who waits to read it; shared as the memory is."""

    __slots__ = ("readers", "time")

    def __init__(self) -> None:
        self.time = 0
        self.readers: WeakValueDictionary[int, Any] | None = None
        """Lazy values that read the memory and may not be computed yet, by id."""

    def add_reader(self, value: Any) -> None:
        """Have a lazy value computed before the next change."""
        if self.readers is None:
            self.readers = WeakValueDictionary()
        self.readers[id(value)] = value

    def compute_readers(self) -> None:
        """Compute the lazy values that read the memory."""
        readers: Any = self.readers or {}
        for key, reader in list(readers.items()):
            reader.realize_cached_data()
            if reader.cached_data.__class__ is tuple and reader._changes is not self:
                reader._changes.compute_readers()  # a tuple may hold the memory of its entries
            else:
                readers.pop(key, None)
        if not readers:
            self.readers = None  # asking whether it is empty takes longer


unchanged = Changes()
"""Those of all values that were never changed and share no memory with others."""


def changes_of(value: Any) -> Changes:
    """The changes of a value's memory, which may be that of the value it is a view of."""
    while value.inputs and _shares_memory(value.cached_data, value.inputs[0].cached_data):
        value = value.inputs[0]
    if value._changes is unchanged:
        value._changes = Changes()
    return value._changes


def _shares_memory(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    parts = [each if isinstance(each, tuple) else (each,) for each in (a, b)]
    return any(
        type(one) is type(other) and np.may_share_memory(one, other)
        for one in parts[0]
        for other in parts[1]
    )


def before_change(values: Iterable[Any], is_replaced: bool = False) -> None:
    """To be called before the memory of `values` is written to, or before they get other memory."""
    last_change[0] = now = tick()
    for value in values:
        changes = value._changes
        if changes is unchanged or value.op is not None:
            changes = changes_of(value)
        if changes.readers:
            changes.compute_readers()
        if is_replaced:
            value._replaced = now
        else:
            changes.time = now


def gradient_of_changed(gradient: Callable[..., Any], out_grad: Any, node: Any) -> Any:
    """`gradient(out_grad, node)` for a node that is older than the last change.

    Raises:
        RuntimeError: the gradient reads a value that changed after the node was made.
    """
    read = (*node.inputs, node)
    times = [max(value._replaced, changes_of(value).time) for value in read]
    changed = [value for value, time in zip(read, times, strict=True) if time > node.made]
    if not changed:
        return gradient(out_grad, node)

    def refuse(result: Any, op: Any, inputs: tuple[Any, ...]) -> None:
        for value in changed:
            if any(value is operand for operand in inputs):
                raise RuntimeError(_explanation(node, value))

    with modes.override(modes.observers, (*modes.observers.get(), refuse)):
        return gradient(out_grad, node)


def _explanation(node: Any, changed: Any) -> str:
    name = f" {changed._name!r}" if hasattr(changed, "_name") else ""
    role = "its result" if changed is node else "an operand"
    return (
        f"backward() through {type(node.op).__name__} needs the value of {role}, a "
        f"{type(changed).__name__}{name} of shape {changed.shape}, which was changed after the "
        "forward pass (by optimizer.step(), data, load_state_dict() or in place): call backward() "
        "before the change, or compute the forward pass again"
    )
