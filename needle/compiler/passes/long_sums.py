"""Long sums: columns of many float32 numbers are added up by products with ones.

A loop that adds one row after another to a row of sums has a rounding error that grows with the
number of rows. BLAS adds blocks of rows, as needle's ops do.
"""

from __future__ import annotations

import math

import numpy as np

from ...ops.reductions import sum_over
from ..program import Constant, Node, Program
from .rewriting import rewritten

__all__ = ["split_long_sums"]

_LONG = 512
_LONGEST_PRODUCT = 16_384  # rows; more are summed in blocks, by Python


def split_long_sums(program: Program) -> Program:
    """The program with products in the place of sums of float32 numbers over many rows."""
    return rewritten(program, _split)


def _split(node: Node) -> Node:
    if node.function is not np.sum or node.dtype.char != "f":
        return node
    (a,), axes = node.operands, node.options["axis"]
    rows = math.prod(a.shape[: len(axes)])
    columns = math.prod(a.shape[len(axes) :])
    is_of_columns = axes == tuple(range(len(axes))) and len(axes) < len(a.shape)
    if a.dtype != node.dtype or not is_of_columns or rows <= _LONG or not columns:
        return node
    if rows > _LONGEST_PRODUCT:
        shape = (1,) * len(axes) + a.shape[len(axes) :]
        sums = node.changed(sum_over, (a, axes), shape=shape, options={})
    else:
        matrix = node.changed(np.reshape, (a, (rows, columns)), shape=(rows, columns), options={})
        ones = Constant(np.ones((1, rows), node.dtype))
        ones.order = node.order[0], ones.order[1]
        sums = node.changed(np.matmul, (ones, matrix), shape=(1, columns), options={})
    return node.changed(np.reshape, (sums, node.shape), options={})
