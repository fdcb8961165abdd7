"""Matrices that many small products share, in memory that suits BLAS.

OpenBLAS takes twice as long for a product of few rows with a transposed matrix, and half as long
again where rows begin at the same places of the processor's cache, as those of 512 numbers do.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..passes.rewriting import rewritten
from ..program import Node, Program, getitem

__all__ = ["pack_factors"]

_FEW_ROWS = 64
_FEWEST = 8  # products that are worth a copy
_PADDING = 16


def pack_factors(program: Program) -> Program:
    """The program with a copy, in longer rows, of each matrix that many small products share."""
    users = Counter(node.operands[1] for node in program.nodes if _is_small_product(node))
    copies: dict[Node, Node] = {}

    def rule(node: Node) -> Node:
        if not _is_small_product(node) or users[node.operands[1]] < _FEWEST:
            return node
        a, b, *rest = node.operands
        if b not in copies:
            copies[b] = _padded(b)
        return node.changed(node.function, (a, copies[b], *rest))

    return rewritten(program, rule) if users else program


def _is_small_product(node: Node) -> bool:
    if node.function is not np.matmul or node.dtype.char not in "fd":
        return False
    a, b = node.operands
    return len(a.shape) == len(b.shape) == 2 and a.shape[0] <= _FEW_ROWS and b.shape[1] > _PADDING


def _padded(matrix: Node) -> Node:
    rows, columns = matrix.shape
    first = _columns(matrix, _PADDING)
    shape = rows, columns + _PADDING
    longer = matrix.changed(np.concatenate, ((matrix, first), 1), shape=shape, options={})
    return _columns(longer, columns)


def _columns(matrix: Node, count: int) -> Node:
    index: Any = slice(None), slice(0, count)
    return matrix.changed(getitem, (matrix, index), shape=(matrix.shape[0], count), options={})
