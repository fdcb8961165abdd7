"""Updates in products: θ ← β·θ + α·a·b is one call of BLAS, which adds to θ where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program import Captured, Node, Program, gemm, kind_of
from .rewriting import rewritten

__all__ = ["fold_updates"]

_Terms = list[tuple[Any, Node]]  # factors, numbers or nodes without axes, and what they multiply


def fold_updates(program: Program) -> Program:
    """The program with `gemm` in the place of sums of a tensor that changes and a product.

    The product must serve nothing else, and the tensor be the one that gets the new value: an
    update of SGD, or of its momentum.
    """
    users: dict[Node, int] = {}
    for node in program.nodes:
        for operand in node.nodes:
            users[operand] = users.get(operand, 0) + 1
    for node in program.roots:
        users[node] = users.get(node, 0) + 1
    folded = {}
    for leaf, value in program.assignments:
        terms = _terms(value, users, is_root=True) if isinstance(leaf, Captured) else None
        new = None if terms is None else _folded(leaf, value, terms, users)
        if new is not None:
            folded[value] = new
    return rewritten(program, lambda node: folded.get(node, node)) if folded else program


def _folded(leaf: Node, value: Node, terms: _Terms, users: dict[Node, int]) -> Node | None:
    """The new value of a leaf as a `gemm`, if the terms are that leaf and one product."""
    products = [(factor, base) for factor, base in terms if base is not leaf]
    factors = [factor for factor, base in terms if base is leaf]
    if len(products) != 1 or not factors:
        return None
    alpha, product = products[0]
    is_fit = (
        product.function is np.matmul
        and users[product] == 1
        and value.dtype.char in "fd"
        and all(each.dtype == value.dtype and len(each.shape) == 2 for each in product.operands)
        and leaf.shape == value.shape == product.shape
    )
    if not is_fit:
        return None
    beta = factors[0]
    for factor in factors[1:]:
        beta = _combined(np.add, beta, factor, value)
    return value.changed(gemm, (*product.operands, leaf, alpha, beta), options={})


def _terms(node: Node, users: dict[Node, int], is_root: bool = False) -> _Terms | None:
    """A node as a sum of multiples of others; what is used elsewhere, too, stays whole."""
    if kind_of(node) != "elementwise" or (users[node] > 1 and not is_root):
        return [(1.0, node)]
    operands = node.operands
    if node.function is np.negative:
        return _scaled(-1.0, _terms(operands[0], users), node)
    if node.function is np.multiply:
        for factor, other in (operands, operands[::-1]):
            if _is_number(factor) and isinstance(other, Node) and other.shape == node.shape:
                return _scaled(factor, _terms(other, users), node)
    if node.function in (np.add, np.subtract):
        a, b = operands
        if all(isinstance(each, Node) and each.shape == node.shape for each in operands):
            left, right = _terms(a, users), _terms(b, users)
            if node.function is np.subtract:
                right = _scaled(-1.0, right, node)
            return None if left is None or right is None else left + right
    return [(1.0, node)]


def _is_number(operand: Any) -> bool:
    if isinstance(operand, Node):
        return operand.shape == ()
    return isinstance(operand, int | float) and not isinstance(operand, bool)


def _scaled(factor: Any, terms: _Terms | None, node: Node) -> _Terms | None:
    if terms is None:
        return None
    return [(_combined(np.multiply, factor, own, node), base) for own, base in terms]


def _combined(function: Any, a: Any, b: Any, node: Node) -> Any:
    """function(a, b) of two numbers: a number if both are known."""
    if not isinstance(a, Node) and not isinstance(b, Node):
        return float(function(a, b))
    for one, other in ((a, b), (b, a)):
        if function is np.multiply and not isinstance(one, Node) and one == 1.0:
            return other
    return node.changed(function, (a, b), shape=(), options={})
