"""Common subexpressions: equal calls of equal operands are made once. Never draws."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..program import Constant, Node, Program, kind_of
from .rewriting import rewritten

__all__ = ["merge_common"]


def merge_common(program: Program) -> Program:
    """The program with one node for equal calls, and for equal small constants."""
    first: dict[Hashable, Node] = {}
    draws = set(program.draws)

    def rule(node: Node) -> Node:
        if isinstance(node, Constant):
            if node.array.size > _SMALL:
                return node
            key: Any = node.shape, node.dtype, node.array.tobytes()
        elif node.function is None or node in draws or kind_of(node) == "draw":
            return node
        else:
            try:
                key = node.function, _frozen(node.operands), _frozen(node.options), node.dtype
                hash(key)
            except TypeError:
                return node
        return first.setdefault(key, node)

    return rewritten(program, rule)


_SMALL = 1_024


def _frozen(tree: Any) -> Hashable:
    """Operands as a key; 1, 1.0 and True differ, as do 0.0 and -0.0."""
    if isinstance(tree, tuple | list):
        return tuple(map(_frozen, tree))
    if isinstance(tree, dict):
        return tuple([(name, _frozen(value)) for name, value in sorted(tree.items())])
    if isinstance(tree, slice):
        return slice, _frozen((tree.start, tree.stop, tree.step))
    if isinstance(tree, float | np.floating):
        return type(tree), repr(tree)
    return tree if isinstance(tree, Node) else (type(tree), tree)
