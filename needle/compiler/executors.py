"""Executors: what runs a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..autograd.abstract import AbstractArray, NeedsNumbers
from .passes import optimised
from .program import Captured, Constant, Input, Node, Program, evaluate, kind_of
from .unrolled import unrolled

__all__ = ["Executable"]


class Executable:
    """A program on the arrays of the captured tensors. This one calls one node after another.

    `arrays` are those of the arguments when the program is made.
    """

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        self._is_contiguous: dict[Node, bool] = {}
        self.arrays: list[Any] = []
        self._capture(program)
        self._early: list[tuple[Any, list[Any], list[tuple[int, Node]]]] = []
        program = self._with_late_checks(program, arrays)
        self.program, self.table = optimised(program, without=self.passes_left_out())
        self._capture(self.program)

    def _capture(self, program: Program) -> None:
        """Look up the captured arrays of a program."""
        leaves = [leaf for leaf, _ in program.assignments]
        self.captured = [
            node for node in dict.fromkeys([*program.nodes, *leaves]) if isinstance(node, Captured)
        ]
        self.arrays = []
        holders = [node.tensor for node in self.captured]
        self._are_same = unrolled(
            "if {0}.cached_data is not {1}: return False", holders, holders, last="return True"
        )
        self.bind()

    def _with_late_checks(self, program: Program, arrays: Sequence[Any]) -> Program:
        """The program with calls in the place of those checks that read computed values.

        The others are made before it runs; most look at shapes and at the values of arguments.
        """
        late = []
        for check in program.checks:
            operands = [_abstract(operand) for operand in check.operands]
            leaves = [
                (i, operand) for i, operand in enumerate(check.operands)
                if isinstance(operand, Node) and operand.function is None
            ]  # fmt: skip
            early = check.op, operands, leaves
            try:
                self._run_check(*early, arrays)
                self._early.append(early)
            except (NeedsNumbers, AttributeError):  # it has no methods that read numbers
                late.append(Node(check.op._checked, (list(check.operands),)))
        return replace(program, draws=[*program.draws, *late], checks=[])

    def bind(self) -> bool:
        """Look up where the captured arrays are now; False if one has another shape or layout."""
        if self._are_same():
            return True
        arrays = [node.read() for node in self.captured]
        for node, array in zip(self.captured, arrays, strict=True):
            is_alike = array.shape == node.shape and array.dtype == node.dtype
            if not is_alike or self._is_contiguous.setdefault(node, _in_rows(array)) != _in_rows(
                array
            ):
                return False
        self.arrays = arrays
        names = self._are_same.__globals__
        names.update((f"x1_{row}", array) for row, array in enumerate(arrays))
        self.bound()
        return True

    def passes_left_out(self) -> list[str]:
        """The passes whose nodes this executor has no fast way to compute."""
        return []

    def bound(self) -> None:
        """The captured arrays are others than before."""

    def check(self, arrays: Sequence[Any]) -> None:
        """Raise where the values of arguments are wrong, as far as these alone show it."""
        for op, operands, leaves in self._early:
            self._run_check(op, operands, leaves, arrays)

    def _run_check(
        self, op: Any, operands: list[Any], leaves: list[tuple[int, Node]], arrays: Sequence[Any]
    ) -> None:
        values = operands.copy()
        for i, leaf in leaves:
            if isinstance(leaf, Input):
                values[i] = arrays[leaf.position]
            elif isinstance(leaf, Constant):
                values[i] = leaf.array
            elif isinstance(leaf, Captured):
                values[i] = leaf.read()
        op._checked(values)

    def _leaves(self, arrays: Sequence[Any]) -> dict[Node, Any]:
        known: dict[Node, Any] = dict(zip(self.program.inputs, arrays, strict=True))
        known.update(zip(self.captured, self.arrays, strict=True))
        known.update(
            (node, node.array) for node in self.program.nodes if isinstance(node, Constant)
        )
        return known

    def run(self, arrays: Sequence[Any], on_written: Callable[[], Any] = bool) -> list[Any]:
        """New arrays of the results; assigns to the captured arrays at the end.

        If there is something to assign, `on_written` is called thereafter; Ctrl-C does not come
        in between.
        """
        known = self._leaves(arrays)
        values = [value for _, value in self.program.assignments]
        for draw in self.program.draws:
            evaluate([draw], known)
        evaluate([*self.program.results, *values], known)
        results = [np.array(known[node]) for node in self.program.results]
        changes = [np.array(known[value]) for value in values]
        for (leaf, _), change in zip(self.program.assignments, changes, strict=True):
            known[leaf][...] = change
        on_written()
        return results

    # --- looking at it

    def parts(self) -> list[tuple[str, Sequence[Node]]]:
        """What runs, one after another: its kind, and the nodes that are computed in one go."""
        calls = [node for node in self.program.nodes if node.function is not None]
        return [(kind_of(node), [node]) for node in calls]

    def memory_used(self) -> tuple[int, int]:
        """How many arrays lie between the parts, and how many bytes they take at most."""
        return 0, 0

    def source(self) -> str:
        return "\n".join(map(repr, self.program.nodes))


def _in_rows(array: Any) -> bool:
    return array.flags.c_contiguous


def _abstract(operand: Any) -> Any:
    """An operand of a check, of which only shape and dtype are known."""
    if isinstance(operand, Node) and operand.shape is not None:
        return AbstractArray(operand.shape, operand.dtype)
    return tuple(map(_abstract, operand)) if isinstance(operand, tuple) else operand
