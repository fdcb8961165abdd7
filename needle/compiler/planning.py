"""Planning: which memory each array of a program lives in, by the lifetimes of all.

Everything that a step computes lies in one arena that is allocated once. A result of an elementwise
call takes the memory of an operand that nothing needs any more. New values of tensors are computed
where they are to be, once nothing reads the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .calls import Call
from .program import (
    Node,
    Program,
    add_at,
    gemm,
    getitem,
    kind_of,
    nodes_in,
    put_along_axis,
    set_item,
)

__all__ = ["Buffer", "Part", "Plan", "may_be_view", "pack"]

_ALIGNMENT = 64  # bytes: a cache line


@dataclass(eq=False)
class Buffer:
    """Memory for `nbytes` from the step number `first` to `last`, at an offset of the arena."""

    nbytes: int
    first: int
    last: int
    offset: int = 0


@dataclass(eq=False)
class Part:
    """A part of the buffer of a joined array, `shift` bytes from its start."""

    whole: Buffer
    shift: int


class Plan:
    """Where each node of a program lives.

    `order` are the calls in the order in which they run; those from `updates_from` on serve only
    the assignments. `home[node]` is a Buffer, a Part of one, a leaf (for a new value that is
    computed in its place), "result" (memory of its own, which the user gets), "dynamic" (what a
    call returns), or the node that it is a view of.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        nodes = program.nodes
        self.leaves = [node for node in nodes if node.function is None]
        self.assigned = dict(program.assignments)
        calls = [node for node in nodes if node.function is not None]
        self.order, self.updates_from = _updates_last(program, calls)
        self.number = {node: i for i, node in enumerate(self.order)}
        self.users: dict[Node, list[Node]] = {node: [] for node in nodes}
        for node in self.order:
            for operand in dict.fromkeys(node.nodes):
                self.users[operand].append(node)
        self.home: dict[Node, Any] = {}
        self.buffers: list[Buffer] = []
        self._wholes: dict[Node, Buffer] = {}  # of joined arrays
        self._results = set(program.results)
        self._kept = {value for _, value in program.assignments}
        self._end = self._ends()
        self.joined: dict[Node, tuple[Node, int]] = {}
        """Nodes that are computed where they are joined: the joined array, and how far into it."""
        for node in self.order:
            if node.function is np.concatenate and node not in self._results:
                self._join(node)
        for node in self.order:
            self._place(node)
        self.copied = [
            (leaf, value)
            for leaf, value in program.assignments
            if self.home.get(value) is not leaf or kind_of(value) == "view"
        ]
        self.nbytes = pack(self.buffers)

    # --- homes

    def owner(self, node: Node) -> Node:
        """The node whose memory a node lies in."""
        while isinstance(self.home.get(node), Node) and self.home[node].function is not None:
            node = self.home[node]
        home = self.home.get(node)
        return home if isinstance(home, Node) and kind_of(node) == "view" else node

    def _place(self, node: Node) -> None:
        kind = kind_of(node)
        is_gathered = kind == "gather" and node.function is getitem
        is_called = kind in ("call", "draw") and node.function not in _WITH_OUT
        if is_gathered or is_called or node.shape is None or node.function in _DYNAMIC:
            self.home[node] = "dynamic"
        elif node in self.joined:
            whole, start = self.joined[node]
            self.home[node] = Part(self._whole(whole, node), start * node.dtype.itemsize)
        elif node in self._wholes:
            self.home[node] = self._wholes[node]
        elif kind == "view" and self.is_view(node):
            self.home[node] = node.operands[0]
        elif node in self._results:
            self.home[node] = "result"
        else:
            self.home[node] = self._target(node) or self._reused(node) or self._new(node)

    def _join(self, node: Node) -> None:
        """Find what of a joined array can be computed where it is needed."""
        arrays, *axis = node.operands
        if axis not in ([], [0]) or any(
            each.shape is None or len(each.shape) != 1 for each in arrays
        ):
            return
        start = 0
        for array in arrays:
            made = array
            while made.function is np.reshape:
                made = made.operands[0]
            is_own = made not in self._results and made not in self._kept
            is_made = kind_of(made) in ("elementwise", "reduction", "product")
            is_made = is_made and made.function not in (*_DYNAMIC, gemm)
            if is_own and is_made and made not in self.joined and made.dtype == node.dtype:
                self.joined[made] = node, start
            start += array.size

    def _whole(self, joined: Node, first: Node) -> Buffer:
        """The buffer of a joined array, which is needed from the first of its parts on."""
        if joined not in self._wholes:
            parts = [part for part, (whole, _) in self.joined.items() if whole is joined]
            end = max(self._end[node] for node in (joined, *parts))
            self._wholes[joined] = Buffer(joined.nbytes, self.number[first], end)
            self.buffers.append(self._wholes[joined])
        return self._wholes[joined]

    def is_view(self, node: Node) -> bool:
        """Whether a view needs no copy: it has the memory of its operand."""
        if node.function is not np.reshape:
            return True
        return self.is_contiguous(node.operands[0])

    def is_contiguous(self, node: Node) -> bool:
        """Whether the array of a node has C's memory order, as far as the plan determines it."""
        if kind_of(node) != "view":
            return node.function is not None and self.home.get(node) != "dynamic"
        if node.function is np.reshape:
            return self.is_contiguous(node.operands[0])
        if node.function is np.broadcast_to or node.function is np.transpose:
            return False
        base = node.operands[0]
        if not self.is_contiguous(base):
            return False
        probe = np.empty(base.shape, np.bool)[node.operands[1]]
        return bool(probe.flags.c_contiguous)

    def _new(self, node: Node) -> Buffer:
        buffer = Buffer(node.nbytes, self.number[node], self._end[node])
        self.buffers.append(buffer)
        return buffer

    def _reused(self, node: Node) -> Buffer | None:
        """The buffer of an operand that ends here."""
        if kind_of(node) != "elementwise" and node.function not in _IN_PLACE:
            return None
        for operand in node.nodes[:1] if node.function in _IN_PLACE else node.nodes:
            home = self.home.get(operand)
            if not isinstance(home, Buffer) or kind_of(operand) == "view":
                continue
            fits = operand.shape == node.shape and operand.dtype == node.dtype
            if fits and home.last <= self.number[node]:
                home.last = self._end[node]
                return home
        return None

    def _ends(self) -> dict[Node, int]:
        """The number of the last call that reads each node, or what may be a view of it."""
        ends: dict[Node, int] = {}
        for node in [*reversed(self.order), *self.leaves]:
            end = self.number.get(node, -1)
            for user in self.users[node]:
                end = max(end, ends[user] if may_be_view(user) else self.number[user])
            is_kept = node in self._kept or node in self._results
            ends[node] = len(self.order) if is_kept else end
        return ends

    def _target(self, node: Node) -> Node | None:
        """The leaf that a node is the new value of, if it may be computed in its place."""
        if node not in self._kept or self.number[node] < self.updates_from:
            return None
        if not _is_safe(node):
            return None
        for leaf, value in self.assigned.items():
            fits = value is node and leaf.shape == node.shape and leaf.dtype == node.dtype
            if fits and self._reads_end(leaf, node):
                return leaf
        return None

    def _reads_end(self, leaf: Node, node: Node) -> bool:
        """Whether nothing reads a leaf after the call that makes its new value.

        That call itself may, element by element.
        """
        if node.function is gemm and leaf in node.operands[:2]:
            return False
        for user in self.users.get(leaf, ()):
            if may_be_view(user):
                if self._end[user] >= self.number[node]:
                    return False
            elif user is not node and self.number[user] > self.number[node]:
                return False
        return leaf not in self._results and leaf not in self._kept


_WITH_OUT: set[Any] = {np.concatenate}
"""Calls that write where they are told to."""
_DYNAMIC: set[Any] = {np.argmax, np.argmin}
_IN_PLACE: set[Any] = {set_item, add_at, put_along_axis}
"""Functions that change a copy of their first operand, or itself where nothing else needs it."""


def may_be_view(node: Node) -> bool:
    """Whether the array of a node may lie in the memory of an operand."""
    kind, function = kind_of(node), node.function
    if kind == "gather" and function is getitem:
        index = node.operands[1]  # arrays in it, not in its slices, make a copy
        parts = index if isinstance(index, tuple) else (index,)
        return not any(isinstance(part, Node | list) for part in parts)
    if isinstance(function, Call):
        return function.may_share_memory
    is_new = isinstance(function, np.ufunc) or function in _WITH_OUT or function in _IN_PLACE
    return kind == "view" or (kind == "call" and not is_new)


def _updates_last(program: Program, calls: list[Node]) -> tuple[list[Node], int]:
    """The calls with those last that only assignments need and that cannot raise."""
    others = {*program.results, *program.draws}
    needed: set[Node] = set()
    waiting = list(others)
    waiting += [node for node in calls if not _is_safe(node)]
    for node in calls:
        if node.function is gemm:  # its numbers are known before
            waiting += nodes_in(node.operands[3:])
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.nodes
    first = [node for node in calls if node in needed]
    last = [node for node in calls if node not in needed]
    return first + last, len(first)


def _is_safe(node: Node) -> bool:
    """Whether a call cannot raise, nor be interrupted."""
    kind = kind_of(node)
    if node.function is gemm:
        return True
    return kind == "view" or (kind == "elementwise" and isinstance(node.function, np.ufunc))


def pack(buffers: list[Buffer]) -> int:
    """Give each buffer an offset, the largest first, where none overlaps that lives as long.

    Returns the bytes of the arena. As in Pisarchyk & Lee 2020, greedy by size.
    """
    placed: list[Buffer] = []
    total = 0
    for buffer in sorted(buffers, key=lambda each: -each.nbytes):
        size = -(-buffer.nbytes // _ALIGNMENT) * _ALIGNMENT
        rivals = [x for x in placed if x.first <= buffer.last and buffer.first <= x.last]
        offset = 0
        for rival in sorted(rivals, key=lambda each: each.offset):
            if rival.offset - offset >= size:
                break
            offset = max(offset, -(-(rival.offset + rival.nbytes) // _ALIGNMENT) * _ALIGNMENT)
        buffer.offset = offset
        placed.append(buffer)
        total = max(total, offset + size)
    return total
