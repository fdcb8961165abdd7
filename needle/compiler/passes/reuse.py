"""Reuse: what another call has computed already makes a call easier, and frees memory sooner."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program import Node, Program, kind_of
from .constants import uniform
from .rewriting import rewritten

__all__ = ["reuse"]


def reuse(program: Program) -> Program:
    """The program with two identities that need a look at other nodes.

    - a > 0 is max(a, 0) > 0: after ReLU, only its result must be kept for the gradient.
    - exp(a - ln s) is exp(a)/s where exp(a) is known: softmax from the loss's log-softmax. Only
      for a = x - max(x), whose exponentials do not overflow.
    """
    rectified: dict[Node, Node] = {}
    exponentials: dict[Node, Node] = {}

    def rule(node: Node) -> Node:
        if node.function is np.maximum and _is_zero(node.operands[1]):
            rectified[node.operands[0]] = node
        elif node.function is np.greater and _is_zero(node.operands[1]):
            known = rectified.get(node.operands[0])
            if known is not None and known.shape == node.operands[0].shape:
                return node.changed(np.greater, (known, 0))
        elif node.function is np.exp:
            return _exponential(node, exponentials)
        return node

    return rewritten(program, rule)


def _exponential(node: Node, known: dict[Node, Node]) -> Node:
    (a,) = node.operands
    if a.function is np.subtract:
        numerator, logarithm = a.operands
        is_logarithm = isinstance(logarithm, Node) and logarithm.function is np.log
        is_known = numerator in known and known[numerator].shape == node.shape
        if is_logarithm and is_known and _is_shifted(numerator):
            return node.changed(np.divide, (known[numerator], logarithm.operands[0]))
    known[a] = node
    return node


def _is_shifted(node: Node) -> bool:
    """Whether a node is x - max(x), or x - 0 in rows without a finite maximum."""
    if node.function is not np.subtract:
        return False
    x, largest = node.operands
    while isinstance(largest, Node) and (
        largest.function is np.where or kind_of(largest) == "view"
    ):
        largest = largest.operands[-1 if largest.function is np.where else 0]
    return isinstance(largest, Node) and largest.function is np.max and largest.operands[0] is x


def _is_zero(operand: Any) -> bool:
    number = uniform(operand) if isinstance(operand, Node) else operand
    return number is not None and number == 0
