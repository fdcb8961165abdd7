"""The passes in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Container

from ..program import Node, Program
from .common import merge_common
from .constants import fold_constants
from .identities import simplify
from .joined_products import join_products
from .long_sums import widen_long_sums
from .products import fold_updates
from .reuse import reuse

__all__ = ["PASSES", "optimised"]

PASSES: dict[str, Callable[[Program], Program]] = {
    "constants": fold_constants,
    "identities": simplify,
    "joined products": join_products,
    "common subexpressions": merge_common,
    "reuse": reuse,
    "long sums": widen_long_sums,
    "updates in products": fold_updates,
}
"""In the order in which they run. Nodes that nothing needs vanish by themselves: no root reaches
them."""


def optimised(
    program: Program, without: Container[str] = ()
) -> tuple[Program, list[tuple[str, int, int]]]:
    """The program after all passes, and its nodes and bytes before them and after each."""
    table = [("recorded", *_size(program))]
    for name, transform in PASSES.items():
        if name not in without:
            program = transform(program)
            table.append((name, *_size(program)))
    return program, table


def _size(program: Program) -> tuple[int, int]:
    """How many calls a program has, and the bytes of their results."""
    calls: list[Node] = [node for node in program.nodes if node.function is not None]
    return len(calls), sum(node.nbytes for node in calls)
