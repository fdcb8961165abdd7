"""Where the nodes of grouped programs live: in leaves, in an arena, or inside of another node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..planning import Buffer, pack
from ..program import Node, kind_of
from .groups import Group, Grouping, axis_of_join
from .layout import Layout, Place
from .passes import Passes

__all__ = ["Memory"]


class Memory:
    """The home of each node that is stored: a leaf or a Buffer, and an offset in it.

    `stored` are the nodes that must be in memory; `in_place` those that are computed in leaves.
    """

    def __init__(
        self,
        grouping: Grouping,
        order: list[Group],
        in_place: dict[Node, Node],
        kept: Iterable[Node],
    ) -> None:
        self.grouping, self.order = grouping, order
        self.where: dict[Node, tuple[Any, int]] = {
            node: (leaf, 0) for node, leaf in in_place.items()
        }
        self.buffers: list[Buffer] = []
        self._replaced: set[tuple[Group, Buffer]] = set()
        self.number = {group: i for i, group in enumerate(order)}
        self.passes = {group: Passes(grouping, group) for group in order if group.kind == "kernel"}
        self.stored = self._stored(set(kept) | set(in_place))
        self._ends = self._last_uses(set(kept))
        for group in order:
            if group.kind == "concatenation":
                self._gather(group)
        for group in order:
            for node in group.nodes:
                if node in self.stored and node not in self.where and node.shape is not None:
                    self.where[node] = self._home(group, node), 0
        self.nbytes = pack(self.buffers)

    def place(self, node: Node) -> Place:
        """Where the values of a node, a view or a leaf are."""
        layout = self.grouping.layouts[node]
        home, offset = self.where.get(layout.owner, (layout.owner, 0))
        return Place(home, replace(layout, offset=layout.offset + offset) if offset else layout)

    # --- what is in memory

    def _stored(self, kept: set[Node]) -> set[Node]:
        """What other groups need, what a kernel ends with, and what a later pass needs."""
        grouping, stored = self.grouping, kept
        for group in self.order:
            if group.kind != "kernel":
                stored.update(group.nodes)
            stored |= group.ends
            for node in group.nodes:
                for operand in node.nodes:
                    base = grouping.base(operand)
                    if grouping.group_of.get(base, group) is not group:
                        stored.add(base)
        for group, passes in self.passes.items():
            stored |= passes.kept(stored & set(group.nodes))
        return stored

    def _last_uses(self, kept: set[Node]) -> dict[Node, int]:
        """The number of the last group that needs each node; beyond all for what is kept."""
        ends = {node: self.number[self.grouping.group_of[node]] for node in self.stored}
        for group in self.order:
            for node in group.nodes:
                for operand in node.nodes:
                    base = self.grouping.base(operand)
                    if base in ends:
                        ends[base] = max(ends[base], self.number[group])
        ends.update({node: len(self.order) for node in kept})
        return ends

    # --- homes

    def _gather(self, group: Group) -> None:
        """Compute the parts of a concatenation inside of it, where that is possible."""
        (node,) = group.nodes
        axis = axis_of_join(node) % len(node.shape or ())
        if node in self.where or any(length != 1 for length in (node.shape or ())[:axis]):
            return  # parts are not in one piece
        first = self.number[group]
        home = Buffer(node.nbytes, first, self._ends[node])
        self.buffers.append(home)
        self.where[node] = home, 0
        offset = 0
        for part in node.operands[0]:
            layout = self.grouping.layouts[part]
            base = self.grouping.base(part)
            is_whole = layout.is_contiguous and layout.offset == 0 and layout.owner is base
            is_free = base in self.stored and base not in self.where
            if is_whole and is_free and base.nbytes == part.nbytes and base.dtype == node.dtype:
                self.where[base] = home, offset
                own = self.grouping.group_of[base]
                home.first = min(home.first, self.number[own])
                home.last = max(home.last, self._ends[base])
            offset += part.nbytes

    def _home(self, group: Group, node: Node) -> Buffer:
        """Memory for a node: that of an operand which nothing needs any more, or new."""
        number = self.number[group]
        for operand, axes in self._replaceable(group, node):
            found = self.where.get(operand)
            if found is None or not isinstance(found[0], Buffer) or found[1]:
                continue
            home = found[0]
            fits = home.nbytes == node.nbytes and operand.dtype == node.dtype
            fits = fits and (group, home) not in self._replaced
            if fits and home.last == number and self._is_replaced(group, node, operand, axes):
                home.last = self._ends[node]
                self._replaced.add((group, home))
                return home
        buffer = Buffer(node.nbytes, number, self._ends[node])
        self.buffers.append(buffer)
        return buffer

    def _replaceable(self, group: Group, node: Node) -> list[tuple[Node, Any]]:
        """Operands from other groups in whose memory a node of a kernel may be written."""
        if group.kind != "kernel" or node in group.ends or kind_of(node) == "view":
            return []
        found = []
        for each in group.nodes:
            for operand, axes in self.grouping.uses(group, each):
                layout = self.grouping.layouts[operand]
                own = self.grouping.layouts[node]
                is_whole = layout.owner is operand and layout.strides == own.strides
                is_whole = is_whole and self.grouping.group_of.get(operand) is not group
                if is_whole and axes == group.axes[node] and operand.shape == node.shape:
                    found.append((operand, axes))
        return found

    def _is_replaced(self, group: Group, node: Node, operand: Node, axes: Any) -> bool:
        return may_overwrite(
            self.grouping, self.passes[group], node, self.place(operand), self.place
        )


def may_overwrite(
    grouping: Grouping, passes: Passes, node: Node, target: Place, place_of: Any
) -> bool:
    """Whether a kernel may write a node where it reads `target`: nothing reads it afterwards.

    All reads of that memory must be of the same element, in the pass that writes or before it.
    """
    group = passes.group
    for each in group.nodes:
        for operand, axes in grouping.uses(group, each):
            if grouping.base(operand) in passes.inside:
                continue
            place = place_of(operand)
            if place.home is not target.home:
                continue
            if each in group.whole and kind_of(each) != "reduction":
                return False  # a pick or a copy reads other elements
            layout = place.layout
            is_same = layout.offset == target.layout.offset and layout.dtype == node.dtype
            if not is_same or not _walks_alike(axes, layout, group.axes[node], target.layout):
                return False
            if passes.is_row(node) and not _is_row_use(passes, each):
                return False
            if passes.last[each] > passes.number[node]:
                return False
    return True


def _walks_alike(axes: Any, layout: Layout, own: Any, target: Layout) -> bool:
    steps = [(a, s) for a, s in zip(axes, layout.strides, strict=True) if a is not None]
    wanted = [(a, s) for a, s in zip(own, target.strides, strict=True) if a is not None]
    return sorted(steps) == sorted(wanted)


def _is_row_use(passes: Passes, node: Node) -> bool:
    return passes.is_row(node) and node not in passes.group.whole
