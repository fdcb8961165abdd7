"""Constants: what depends on no argument and no tensor from outside is computed once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program import Constant, Node, Program, kind_of, substitute
from .rewriting import rewritten

__all__ = ["fold_constants", "uniform"]

_LARGEST = 65_536  # elements: larger constants are cheaper to make than to keep


def fold_constants(program: Program) -> Program:
    """The program with constants in the place of calls on constants alone.

    What holds one number everywhere stays `broadcast_to` of that number.
    """
    draws = set(program.draws)

    def rule(node: Node) -> Node:
        if node.function is None or node in draws or node.shape is None or not node.nodes:
            return node
        if kind_of(node) == "elementwise":
            numbers = [uniform(each) for each in node.nodes]
            if all(number is not None for number in numbers):
                values = dict(zip(node.nodes, numbers, strict=True))
                return _broadcast(node, _computed(node, values))
        if node.function is np.broadcast_to or node.size > _LARGEST:
            return node
        if kind_of(node) == "view" and uniform(node) is not None:
            return _broadcast(node, uniform(node))
        if all(isinstance(each, Constant) for each in node.nodes):
            values = {each: each.array for each in node.nodes if isinstance(each, Constant)}
            return _in_place_of(node, _computed(node, values))
        return node

    return rewritten(program, rule)


def uniform(node: Any) -> Any:
    """The 0-d array of the number that all elements of a node are known to be, or None."""
    while isinstance(node, Node):
        if isinstance(node, Constant):
            return node.array.reshape(()) if node.array.size == 1 else None
        if kind_of(node) != "view" or node.size == 0:
            return None
        node = node.operands[0]
    return None


def _computed(node: Node, values: dict[Node, Any]) -> Any:
    assert node.function is not None
    with np.errstate(all="ignore"):
        result = node.function(*substitute(node.operands, values.__getitem__), **node.options)
    return np.asarray(result, node.dtype)


def _in_place_of(node: Node, array: Any) -> Node:
    constant = Constant(array)
    constant.order = node.order[0], constant.order[1]
    return constant


def _broadcast(node: Node, number: Any) -> Node:
    """The number in the shape of the node."""
    constant = _in_place_of(node, np.asarray(number, node.dtype).reshape(()))
    if node.shape == ():
        return constant
    return node.changed(np.broadcast_to, (constant, node.shape), options={})
