"""Passes of a kernel over the elements of a row, each of which needs reductions of those before."""

from __future__ import annotations

from functools import cached_property
from typing import TypeGuard

from ..program import Constant, Node, kind_of
from .expressions import costs_much
from .groups import Group, Grouping, is_pick

__all__ = ["Passes", "is_number"]


def is_number(node: Node) -> TypeGuard[Constant]:
    """Whether a node is written into the source, as a number."""
    return isinstance(node, Constant) and node.array.size == 1


class Passes:
    """In which pass over a row each node of a group is known, and what must be kept for later."""

    def __init__(self, grouping: Grouping, group: Group) -> None:
        self.grouping, self.group = grouping, group
        self.inside = set(group.nodes)
        self.number: dict[Node, int] = {}
        for node in group.nodes:
            self.number[node] = self._number(node)

    def is_row(self, node: Node) -> bool:
        """Whether a node of the group has one value per row."""
        group = self.group
        if group.outer is None or node in group.ends or kind_of(node) == "view":
            return False
        return frozenset(group.axes[node]) - {None} == group.outer

    def is_sum(self, node: Node) -> bool:
        """Whether a node is a reduction of rows, which takes a pass over their elements."""
        if node not in self.group.whole or is_pick(node) or kind_of(node) == "view":
            return False
        return not self.group.is_of_rows(node)

    def _number(self, node: Node) -> int:
        """The first pass that may use the value of a row, or the pass that computes an element."""
        known = [0]
        for operand, _ in self.grouping.uses(self.group, node):
            base = self.grouping.base(operand)
            if base in self.inside:
                known.append(self.number[base])
        return max(known) + (self.is_row(node) and self.is_sum(node))

    @cached_property
    def last(self) -> dict[Node, int]:
        """The last pass that may compute each node, as those that use it may compute it again."""
        last = dict(self.number)
        for node in reversed(self.group.nodes):
            # a reduction is known one pass later; a pick comes before a pass
            now = self.number[node] - (not is_pick(node)) if self.is_row(node) else last[node]
            for operand, _ in self.grouping.uses(self.group, node):
                base = self.grouping.base(operand)
                if base in self.inside and not self.is_row(base):
                    last[base] = max(last[base], now)
        return last

    def kept(self, stored: set[Node]) -> set[Node]:
        """Nodes that a later pass needs and that are better kept than computed again."""
        kept: set[Node] = set()
        for node in self.group.nodes:
            if not self.is_row(node):
                self._keep(node, self.number[node], stored, kept)
            elif self.is_sum(node):
                whole = self.grouping.base(node.operands[0])
                if whole in self.inside:
                    self._keep(whole, self.number[whole], stored, kept)
        return kept

    def _keep(self, node: Node, now: int, stored: set[Node], kept: set[Node]) -> None:
        """Keep what a node, computed in the pass `now`, would have to compute again."""
        waiting, seen = [node], {node}
        while waiting:
            for operand, _ in self.grouping.uses(self.group, waiting.pop()):
                base = self.grouping.base(operand)
                is_known = base not in self.inside or self.is_row(base) or base in stored
                if is_known or base in seen or self.number[base] >= now:
                    continue
                seen.add(base)
                if costs_much(base):
                    kept.add(base)
                else:
                    waiting.append(base)
