"""Groups: which nodes of a program are computed by one kernel.

A kernel runs over a space of axes. A node varies along all of them, or along the outer ones only: a
value per row. Reductions of rows give values per row, which the rest of the row may use: the kernel
passes over a row several times, while it is in the cache. Other reductions end a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..calls import Call
from ..program import Constant, Node, entry, getitem, kind_of, set_item, substitute
from .expressions import can_express
from .layout import Layout, axes_through, contiguous, dense, view, zeros
from .products import fits

__all__ = ["Group", "Grouping", "axis_of_join", "is_pick", "ordered"]

LARGEST = 48  # nodes of one kernel
_REDUCTIONS = {np.sum, np.max, np.min, np.prod, np.any, np.all}
_DTYPES = "?bhilqBHILQfd"


class Group:
    """Nodes that are computed together: those of one kernel, or a product, or a call of Python.

    `axes[node]` names the axis of the kernel's space along which each axis of a node varies, None
    for axes of length 1. `ends` are reductions whose results nothing in the kernel uses.
    """

    def __init__(self, kind: str, node: Node) -> None:
        self.kind = kind
        self.nodes = [node]
        self.axes: dict[Node, tuple[int | None, ...]] = {}
        self.whole: dict[Node, tuple[int | None, ...]] = {}
        """The same of the first operand, where its shape is another: of reductions and copies."""
        self.lengths: dict[int, int] = {}
        """The axes of the space in the order of memory, with their lengths."""
        self.outer: frozenset[int] | None = None
        """The axes that values per row vary along; None where there are no such values."""
        self.ends: set[Node] = set()

    def is_of_rows(self, node: Node) -> bool:
        """Whether what a node reduces has one value per row."""
        return self.outer is not None and frozenset(self.whole[node]) - {None} == self.outer

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.nodes))})"


class Grouping:
    """The groups of a program's nodes, in an order in which they can run."""

    def __init__(
        self, nodes: Iterable[Node], layouts: dict[Node, Layout], draws: Iterable[Node] = ()
    ) -> None:
        self.layouts = layouts
        self._draws = set(draws)  # which run in the order of `nodes`
        self._last_draw: set[Group] = set()
        self.group_of: dict[Node, Group] = {}
        self._before: dict[Group, set[Group]] = {}  # what a group needs directly
        self._axis = 0
        self._returned: dict[Node, Any] = {}
        for node in nodes:
            if node.function is None or self._is_view(node):
                continue
            self._add(node)
        self._returned.clear()

    # --- what nodes are

    def base(self, node: Node) -> Node:
        """The node whose values a view shows."""
        while node.function is not None and node not in self.group_of:
            node = node.operands[0]
        return node

    def _is_view(self, node: Node) -> bool:
        """Whether a node needs no computation; otherwise it owns memory from here on."""
        if kind_of(node) == "view":
            operand = node.operands[0]
            layout = view(node, self.layouts[operand])
            if layout is not None:
                self.layouts[node] = layout
                return True
        if node.shape is not None:
            self.layouts[node] = self._own_layout(node)
        return False

    def _own_layout(self, node: Node) -> Layout:
        """Of a new array: its axes stand as in the first operand, or as a call returns them."""
        if len(node.shape or ()) < 3:
            return contiguous(node)
        kind = kind_of(node)
        if kind == "call":
            strides = self._strides_of_calls(node)
            return contiguous(node) if strides is None else dense(node, strides)
        if kind == "elementwise":
            for operand in node.nodes:
                if operand.shape == node.shape and self.layouts[operand].is_dense:
                    return dense(node, self.layouts[operand].strides)
        return contiguous(node)

    def _strides_of_calls(self, node: Node) -> tuple[int, ...] | None:
        """The strides of what a call returns, found out by a call with zeros."""
        call = node.operands[0] if node.function is entry else node
        if not isinstance(call.function, Call) or call.function.op.is_random:
            return None
        if call not in self._returned:
            try:
                operands = substitute(call.operands, lambda each: zeros(self.layouts[each]))
                with np.errstate(all="ignore"):
                    self._returned[call] = call.function(*operands, **call.options)
            except Exception:  # zeros may be wrong for an op: its result is copied, then
                self._returned[call] = None
        returned = self._returned[call]
        array = returned[node.operands[1]] if isinstance(returned, tuple) else returned
        return None if array is None else array.strides

    def _kind(self, node: Node) -> str:
        nodes = [node, *node.nodes]
        if any(each.shape is None or each.size == 0 for each in nodes):
            return "call"
        if any(each.dtype.char not in _DTYPES or not each.dtype.isnative for each in nodes):
            return "call"
        kind = kind_of(node)
        if kind == "elementwise":
            return "kernel" if can_express(node) else "call"
        if kind == "reduction":
            return "kernel" if node.function in _REDUCTIONS else "call"
        if kind == "view" or is_pick(node):
            return "kernel"
        if kind == "product":
            is_alike = node.dtype.char in "fd" and all(n.dtype == node.dtype for n in node.nodes)
            return "product" if is_alike and fits(node, self.layouts.__getitem__) else "call"
        if node.function is np.concatenate and all(n.dtype == node.dtype for n in node.nodes):
            is_join = isinstance(axis_of_join(node), int) and len(node.nodes) == len(
                node.operands[0]
            )
            return "concatenation" if is_join else "call"
        return "call"

    def alone(self, node: Node) -> Group:
        """A group of one new node, which nothing joins."""
        group = self.group_of[node] = Group("kernel", node)
        self._before[group] = set()
        self._give_axes(group, node)
        return group

    def _add(self, node: Node) -> None:
        group = Group(self._kind(node), node)
        self.group_of[node] = group
        before = {self.group_of[b] for b in map(self.base, node.nodes) if b in self.group_of}
        self._before[group] = before
        if node in self._draws:  # before kernels are joined: none may be needed on both sides
            before |= self._last_draw
            self._last_draw = {group}
        if group.kind != "kernel":
            return
        self._give_axes(group, node)
        # the latest first: an earlier one may stand between it and the node
        for other in sorted(before, key=lambda each: each.nodes[-1].order, reverse=True):
            if other.kind == "kernel" and self.group_of[node] is not other:
                self._join(other, self.group_of[node], node)

    def _give_axes(self, group: Group, node: Node) -> None:
        """Axes of the space of a node alone."""
        whole = _space_of(node)
        names: list[int | None] = []
        for length in whole.shape or ():
            names.append(None if length == 1 else self._axis)
            if length != 1:
                self._axis += 1
        strides = self.layouts[whole].strides
        for stride, name, length in sorted(
            zip(strides, names, whole.shape or (), strict=True), key=lambda each: -each[0]
        ):
            if name is not None and stride >= 0:
                group.lengths[name] = length
        for name, length in zip(names, whole.shape or (), strict=True):
            if name is not None:
                group.lengths.setdefault(name, length)
        if whole is node and not is_pick(node):
            group.axes[node] = tuple(names)
            return
        group.whole[node] = tuple(names)
        group.axes[node] = _own_axes(node, tuple(names))
        if kind_of(node) == "view":
            return
        varying = names[:1] if is_pick(node) else group.axes[node]
        outer = frozenset(axis for axis in varying if axis is not None)
        if group.lengths and list(group.lengths)[-1] in outer:
            group.ends.add(node)
        else:
            group.outer = outer

    # --- joining

    def _join(self, other: Group, group: Group, node: Node) -> None:
        """Compute `other` and `group`, whose `node` uses it, by one kernel if that is possible."""
        if len(other.nodes) + len(group.nodes) > LARGEST or self._is_between(other, group):
            return
        renamed = self._renaming(other, group)
        if renamed is None:
            return
        joined = _joined(other, group, renamed)
        if joined is None and group.nodes == [node] and node.function in _REDUCTIONS:
            outer, group.outer = group.outer, None  # it ends the kernel, if it cannot go on
            group.ends.add(node)
            joined = _joined(other, group, renamed)
            if joined is None:
                group.outer = outer
                group.ends.clear()
        if joined is None:
            return
        for each in joined.nodes:
            self.group_of[each] = joined
        self._before[joined] = (self._before.pop(other) | self._before.pop(group)) - {other, group}
        for needs in self._before.values():
            if other in needs or group in needs:
                needs -= {other, group}
                needs.add(joined)

    def _is_between(self, first: Group, last: Group) -> bool:
        """Whether `last` depends on `first` by way of a third group."""
        return any(self.reaches(first, each) for each in self._before[last] if each is not first)

    def reaches(self, first: Group, last: Group) -> bool:
        """Whether `last` is `first` or depends on it."""
        seen, waiting = {last}, [last]
        while waiting:
            each = waiting.pop()
            if each is first:
                return True
            new = self._before[each] - seen
            seen |= new
            waiting += new
        return False

    def _renaming(self, other: Group, group: Group) -> dict[int, int] | None:
        """Which axes of `group` are those of `other`, from how it uses nodes of `other`."""
        renamed: dict[int, int] = {}
        for operand, own_axes in [use for node in group.nodes for use in self.uses(group, node)]:
            base = self.base(operand)
            if self.group_of.get(base) is not other:
                continue
            axes = self.axes_of(operand, other)
            if axes is None or base in other.ends:
                return None
            for theirs, own, length in zip(axes, own_axes, operand.shape or (), strict=True):
                if length == 1:
                    continue
                if theirs is None or own is None or renamed.setdefault(own, theirs) != theirs:
                    return None
        if len(set(renamed.values())) < len(renamed):
            return None
        return renamed

    def axes_of(self, operand: Node, group: Group) -> tuple[int | None, ...] | None:
        """The axes of a node of a group, or of a view of one."""
        if operand in group.axes:
            return None if kind_of(operand) == "view" else group.axes[operand]
        axes = self.axes_of(operand.operands[0], group)
        return None if axes is None else axes_through(operand, axes)

    def uses(self, group: Group, node: Node) -> Iterator[tuple[Node, tuple[int | None, ...]]]:
        """The operands of a node, with the axes of the kernel that their axes vary along."""
        if is_pick(node):
            whole = group.whole[node]
            yield node.operands[0], whole
            for each in (node.operands[1][1], *node.operands[2:]):
                if isinstance(each, Node):
                    yield each, whole[:1] if each.shape else ()
        elif node in group.whole:
            yield node.operands[0], group.whole[node]
        else:
            own = group.axes[node]
            for operand in node.operands:
                if isinstance(operand, Node):
                    yield operand, own[len(own) - len(operand.shape or ()) :]

    # --- the order

    def ordered(self) -> list[Group]:
        """All groups, those that others need first, otherwise in the order of their nodes."""
        return ordered(self._before)

    @property
    def before(self) -> dict[Group, set[Group]]:
        return self._before


def ordered(before: dict[Group, set[Group]]) -> list[Group]:
    """Groups after those that they need."""
    done: dict[Group, None] = {}
    for group in sorted(before, key=lambda each: each.nodes[0].order):
        stack = [(group, False)]
        while stack:
            each, is_ready = stack.pop()
            if each in done:
                continue
            if is_ready:
                done[each] = None
                continue
            stack.append((each, True))
            needs = sorted(before[each], key=lambda n: n.nodes[0].order, reverse=True)
            stack += [(need, False) for need in needs if need not in done]
    return list(done)


def _joined(other: Group, group: Group, renamed: dict[int, int]) -> Group | None:
    """One group of the nodes of both, or None."""
    joined = Group("kernel", other.nodes[0])
    joined.nodes = [*other.nodes, *group.nodes]

    def rename(axes: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(None if axis is None else renamed.get(axis, axis) for axis in axes)

    joined.axes = {**other.axes, **{node: rename(axes) for node, axes in group.axes.items()}}
    joined.whole = {**other.whole, **{node: rename(axes) for node, axes in group.whole.items()}}
    new = {renamed.get(axis, axis): length for axis, length in group.lengths.items()}
    larger = other.lengths if len(other.lengths) >= len(new) else new
    joined.lengths = dict(larger)
    if not {*other.lengths, *new} <= set(joined.lengths):
        return None  # each has axes that the other one lacks
    joined.ends = other.ends | group.ends
    own = group.outer
    theirs = None if own is None else frozenset(renamed.get(axis, axis) for axis in own)
    outers = {outer for outer in (other.outer, theirs) if outer is not None}
    everything = frozenset(joined.lengths)
    for node in joined.nodes:
        axes = joined.whole[node] if kind_of(node) == "view" else joined.axes[node]
        varying = frozenset(axis for axis in axes if axis is not None)
        if node not in joined.ends and varying != everything:
            outers.add(varying)
    if len(outers) > 1:
        return None
    joined.outer = next(iter(outers), None)
    for axes in joined.whole.values():  # elsewhere an element would be added up several times
        if frozenset(axes) - {None} not in (everything, joined.outer):
            return None
    if joined.outer is not None:
        if everything and joined.outer and list(joined.lengths)[-1] in joined.outer:
            return None  # rows would not be in one piece
        if joined.outer == everything:
            return None
    return joined


def _space_of(node: Node) -> Node:
    """The node whose shape is the space of a node alone."""
    is_other = node.function in _REDUCTIONS or is_pick(node) or kind_of(node) == "view"
    return node.operands[0] if is_other else node


def _own_axes(node: Node, names: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The axes of a node from those of its first operand."""
    if node.function is getitem:  # a pick
        return names[:1]
    if node.function not in _REDUCTIONS:
        return names
    axes = node.options["axis"]
    if node.options["keepdims"]:
        return tuple(None if i in axes else name for i, name in enumerate(names))
    return tuple(name for i, name in enumerate(names) if i not in axes)


def is_pick(node: Node) -> bool:
    """Whether a node takes one element of each row, or is a matrix with one of each row changed."""
    if node.function not in (getitem, set_item) or not isinstance(node.operands[1], tuple):
        return False
    if len(node.operands[1]) != 2 or len(node.operands[0].shape) != 2:
        return False
    rows, columns = node.operands[1]
    if not isinstance(rows, Constant) or not isinstance(columns, Node):
        return False
    count = node.operands[0].shape[0]
    is_each = rows.shape == (count,) and np.array_equal(rows.array, np.arange(count))
    is_matrix = min(node.operands[0].shape) > 1
    return is_each and is_matrix and columns.shape == (count,) and columns.dtype.kind == "i"


def axis_of_join(node: Node) -> Any:
    """The axis of a concatenation, which is an operand or an option."""
    return [*node.operands[1:], *node.options.values(), 0][0]
