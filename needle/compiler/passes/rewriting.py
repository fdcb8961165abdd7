"""Rewriting a program node by node, operands first."""

from __future__ import annotations

from collections.abc import Callable

from ..program import Node, Program, substitute

__all__ = ["rewritten"]


def rewritten(program: Program, rule: Callable[[Node], Node]) -> Program:
    """The program with rule(node) in the place of each node, whose operands are new already.

    The rule returns the node itself where it has nothing to change. What it returns is not given to
    the rule again.
    """
    new: dict[Node, Node] = {}
    for node in program.nodes:
        replaced = node
        if any(new[operand] is not operand for operand in node.nodes):
            assert node.function is not None
            replaced = node.changed(node.function, substitute(node.operands, new.__getitem__))
        new[node] = rule(replaced)
    return program.rebuilt(new.__getitem__)
