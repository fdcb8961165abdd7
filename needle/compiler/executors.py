"""Executors: what runs a program."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.abstract import AbstractArray, NeedsNumbers
from .passes import optimised
from .program import Captured, Check, Constant, Input, Node, Program, evaluate, nodes_in, substitute

__all__ = ["Executable"]

_cached_data = operator.attrgetter("cached_data")


class Executable:
    """A program on the arrays of the captured tensors. This one calls one node after another."""

    def __init__(self, program: Program) -> None:
        self.program, self.table = optimised(program, without=self.passes_left_out())
        program = self.program
        leaves = [leaf for leaf, _ in program.assignments]
        self.captured = [
            node for node in dict.fromkeys([*program.nodes, *leaves]) if isinstance(node, Captured)
        ]
        self.tensors = [node.tensor for node in self.captured]
        self.arrays: list[Any] = []
        self._is_contiguous: dict[Node, bool] = {}
        self._early = [_with_leaves(check) for check in program.checks]
        self._late: list[Check] = []  # they read values that are computed
        self.bind()

    def bind(self) -> bool:
        """Look up where the captured arrays are now; False if one has another shape or dtype."""
        if [*map(id, map(_cached_data, self.tensors))] == [*map(id, self.arrays)]:
            return True
        arrays = [node.read() for node in self.captured]
        for node, array in zip(self.captured, arrays, strict=True):
            is_alike = array.shape == node.shape and array.dtype == node.dtype
            if not is_alike or self._is_contiguous.setdefault(node, _in_rows(array)) != _in_rows(array):
                return False
        self.arrays = arrays
        self.bound()
        return True

    def passes_left_out(self) -> list[str]:
        """The passes whose nodes this executor has no fast way to compute."""
        return []

    def bound(self) -> None:
        """The captured arrays are others than before."""

    def check(self, arrays: Sequence[Any]) -> None:
        """Raise where the values of arguments are wrong, as far as these alone show it."""
        for check, leaves, abstract in self._early:
            values = dict(zip(leaves, self._values(leaves, arrays), strict=True))
            operands = substitute(check.operands, lambda node: values.get(node, abstract.get(node)))  # noqa: B023
            try:
                check.op._checked(operands)
            except NeedsNumbers:
                self._late.append(check)
        if self._late:
            self._early = [each for each in self._early if each[0] not in self._late]

    def _values(self, leaves: Sequence[Node], arrays: Sequence[Any]) -> list[Any]:
        """The arrays of leaves."""
        return [
            arrays[leaf.position] if isinstance(leaf, Input)
            else leaf.array if isinstance(leaf, Constant)
            else self.arrays[self.captured.index(leaf)]  # type: ignore[arg-type]
            for leaf in leaves
        ]  # fmt: skip

    def _leaves(self, arrays: Sequence[Any]) -> dict[Node, Any]:
        known: dict[Node, Any] = dict(zip(self.program.inputs, arrays, strict=True))
        known.update(zip(self.captured, self.arrays, strict=True))
        known.update(
            (node, node.array) for node in self.program.nodes if isinstance(node, Constant)
        )
        return known

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """New arrays of the results; assigns to the captured arrays at the end."""
        known = self._leaves(arrays)
        values = [value for _, value in self.program.assignments]
        for draw in self.program.draws:
            evaluate([draw], known)
        evaluate([*self.program.results, *values], known)
        for check in self._late:
            evaluate(nodes_in(check.operands), known)
            check.op._checked(substitute(check.operands, known.__getitem__))
        results = [np.array(known[node]) for node in self.program.results]
        changes = [np.array(known[value]) for value in values]
        for (leaf, _), change in zip(self.program.assignments, changes, strict=True):
            known[leaf][...] = change
        return results

    def report(self) -> str:
        return repr(self.program)

    def source(self) -> str:
        return "\n".join(map(repr, self.program.nodes))


def _in_rows(array: Any) -> bool:
    return array.flags.c_contiguous


def _with_leaves(check: Check) -> tuple[Check, list[Node], dict[Node, Any]]:
    """A check, the leaves among its operands, and abstract arrays for the others."""
    nodes = list(nodes_in(check.operands))
    leaves = [node for node in nodes if node.function is None]
    abstract = {
        node: AbstractArray(node.shape, node.dtype) for node in nodes if node.shape is not None
    }
    return check, leaves, abstract
