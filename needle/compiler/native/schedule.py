"""Schedule: the groups of a program in order, and what is written straight into parameters."""

from __future__ import annotations

from typing import Any

from numpy.lib.array_utils import byte_bounds

from ..program import Constant, Input, Node, Program, cast, gemm, kind_of, sorted_nodes
from .groups import Group, Grouping, ordered
from .layout import Layout, Place, contiguous
from .memory import Memory, may_overwrite
from .passes import Passes

__all__ = ["Schedule"]


class Schedule:
    """Groups in an order in which new values may overwrite old ones where they stand.

    New values are computed in the place of the old ones if nothing reads those afterwards;
    otherwise they are computed elsewhere and copied at the end.
    """

    def __init__(self, program: Program, arrays: dict[Any, Any]) -> None:
        self.arrays = arrays
        self.strides = [array.strides for array in arrays.values()]
        self.results, self.assigned = _with_own_nodes(program)
        layouts = {leaf: _layout_of_leaf(leaf, arrays) for leaf in _leaves(program, arrays)}
        nodes = sorted_nodes([*self.results, *self.assigned.values(), *program.draws])
        nodes = [node for node in nodes if node not in layouts]
        self.grouping = Grouping(nodes, layouts, program.draws)
        self.before = {group: set(needs) for group, needs in self.grouping.before.items()}
        self._shared = _shared(self.assigned, arrays)
        self.in_place: dict[Node, Node] = {}
        for leaf, value in self.assigned.items():
            if self._may_be_in_place(leaf, value):
                self.in_place[value] = leaf
                self._write_after_reads(leaf, self.grouping.group_of[value])
        for leaf, value in self.assigned.items():
            if value not in self.in_place:
                self._copy_at_the_end(leaf, value)
        self.order = ordered(self.before)
        kept = {self.grouping.base(node) for node in self.results}
        kept = {node for node in kept if node in self.grouping.group_of}
        self.memory = Memory(self.grouping, self.order, self.in_place, kept)

    # --- order

    def _reaches(self, first: Group, last: Group) -> bool:
        """Whether `last` is `first` or must come after it."""
        seen, waiting = {last}, [last]
        while waiting:
            each = waiting.pop()
            if each is first:
                return True
            new = self.before[each] - seen
            seen |= new
            waiting += new
        return False

    def _readers(self, leaf: Node) -> list[Group]:
        """The groups that read the memory of a leaf, and those that call Python."""
        readers = []
        for group in self.before:
            read = [self.grouping.base(o) for node in group.nodes for o in node.nodes]
            if leaf in read or group.kind == "call":
                readers.append(group)
        return readers

    def _write_after_reads(self, leaf: Node, group: Group) -> None:
        self.before[group].update(each for each in self._readers(leaf) if each is not group)

    # --- new values of leaves

    def _may_be_in_place(self, leaf: Node, value: Node) -> bool:
        group = self.grouping.group_of[value]
        layout = self.grouping.layouts[leaf]
        own = self.grouping.layouts[value]
        is_alike = layout.strides == own.strides and layout.dtype == value.dtype
        is_alike = is_alike and own.is_contiguous
        if not is_alike or leaf.shape != value.shape or leaf in self._shared:
            return False
        if group.kind not in ("kernel", "product"):
            return False
        if any(self._reaches(group, each) for each in self._readers(leaf) if each is not group):
            return False
        if value.function is gemm:
            return value.operands[2] is leaf and leaf not in map(
                self.grouping.base, value.operands[:2]
            )
        if group.kind == "product":
            return leaf not in map(self.grouping.base, value.operands[:2])
        if value in group.ends or kind_of(value) == "view":
            return False
        passes = Passes(self.grouping, group)

        def place_of(node: Node) -> Place:
            own = self.grouping.layouts[node]
            return Place(own.owner, own)

        return may_overwrite(self.grouping, passes, value, place_of(leaf), place_of)

    def _copy_at_the_end(self, leaf: Node, value: Node) -> None:
        copy = Node(cast, (value, leaf.dtype), {}, leaf.shape, leaf.dtype)
        self.grouping.layouts[copy] = self.grouping.layouts[leaf]
        group = self.grouping.alone(copy)
        needs = self.grouping.group_of[self.grouping.base(value)]
        self.before[group] = {needs}
        self.in_place[copy] = leaf
        self._write_after_reads(leaf, group)


def _leaves(program: Program, arrays: dict[Any, Any]) -> list[Node]:
    found = [node for node in program.nodes if node.function is None]
    return list(dict.fromkeys([*found, *arrays, *program.inputs]))


def _layout_of_leaf(leaf: Node, arrays: dict[Any, Any]) -> Layout:
    array = arrays.get(leaf)
    if array is None or isinstance(leaf, Input | Constant):
        return contiguous(leaf)
    if not array.flags.aligned or any(stride % array.itemsize for stride in array.strides):
        raise ValueError(f"an array of strides {array.strides} bytes holds no whole elements")
    strides = tuple(0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True))
    return Layout(leaf, 0, array.shape, strides, array.dtype)


def _with_own_nodes(program: Program) -> tuple[list[Node], dict[Node, Node]]:
    """Results, and the new value of each leaf, as nodes that own their memory.

    Leaves and views of leaves change while a step runs: they are copied before.
    """

    def copied(node: Node) -> Node:
        return Node(cast, (node, node.dtype), {}, node.shape, node.dtype)

    results = [copied(node) if _root(node).function is None else node for node in program.results]
    assigned: dict[Node, Node] = {}
    for leaf, value in program.assignments:
        is_taken = value in assigned.values()
        is_own = value.function is not None and kind_of(value) != "view"
        assigned[leaf] = value if is_own and not is_taken else copied(value)
    return results, assigned


def _root(node: Node) -> Node:
    while kind_of(node) == "view":
        node = node.operands[0]
    return node


def _shared(assigned: dict[Node, Node], arrays: dict[Any, Any]) -> set[Node]:
    """Leaves whose memory others may share."""
    found = set()
    extents = {node: byte_bounds(array) for node, array in arrays.items()}
    for leaf in assigned:
        if leaf not in extents:
            found.add(leaf)
            continue
        low, high = extents[leaf]
        for other, (start, end) in extents.items():
            if other is not leaf and start < high and low < end:
                found.add(leaf)
    return found
