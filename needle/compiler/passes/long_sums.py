"""Long sums: many float32 numbers are added up in float64, unless they lie one after another.

A loop that adds one row after another to a row of sums has a rounding error that grows with the
number of rows. A kernel converts as it adds; sums along the last axes it makes in several parts.
"""

from __future__ import annotations

import math

import numpy as np

from ..program import Node, Program, cast
from .rewriting import rewritten

__all__ = ["widen_long_sums"]

_LONG = 512


def widen_long_sums(program: Program) -> Program:
    """The program with sums in float64 in the place of those of many float32 numbers."""
    return rewritten(program, _widened)


def _widened(node: Node) -> Node:
    if node.function is not np.sum or node.dtype.char != "f":
        return node
    (a,), axes = node.operands, node.options["axis"]
    count = math.prod([a.shape[axis] for axis in axes])
    is_of_rows = axes == tuple(range(len(a.shape) - len(axes), len(a.shape)))
    if a.dtype != node.dtype or is_of_rows or count <= _LONG:
        return node
    wide = np.dtype(np.float64)
    converted = node.changed(cast, (a, wide), shape=a.shape, dtype=wide, options={})
    total = node.changed(np.sum, (converted,), dtype=wide)
    return node.changed(cast, (total, node.dtype), options={})
