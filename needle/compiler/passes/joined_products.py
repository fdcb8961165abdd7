"""Joined products: a sum of many products of matrices is one product of longer ones.

a₁·b₁ + a₂·b₂ + ... is [a₁ a₂ ...]·[b₁; b₂; ...]. Such sums are the gradients of a weight that is
used in every step of a sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..program import Node, Program, substitute

__all__ = ["join_products"]

_FEWEST = 4


def join_products(program: Program) -> Program:
    """The program with one product in the place of sums of products, where that takes less memory.

    The products must serve nothing else.
    """
    nodes = program.nodes
    users = Counter(operand for node in nodes for operand in node.nodes)
    users.update(program.roots)
    sums = {}
    inside: set[Node] = set()
    for node in reversed(nodes):
        if _is_sum(node, node) and node not in inside:
            terms = _terms(node, users, inside)
            products = [term for term in terms if _is_product(term, node) and users[term] == 1]
            rows = sum(product.operands[0].shape[1] for product in products)
            is_less = rows * sum(node.shape) <= len(products) * node.size
            if len(products) >= _FEWEST and is_less:
                sums[node] = products, [term for term in terms if term not in products]
    return _rebuilt(program, sums) if sums else program


def _rebuilt(program: Program, sums: dict[Node, tuple[list[Node], list[Node]]]) -> Program:
    new: dict[Node, Node] = {}
    for node in program.nodes:
        replaced = node
        if node in sums:
            products, others = sums[node]
            pairs = [[new[each] for each in product.operands] for product in products]
            left, right = zip(*pairs, strict=True)
            factors = _side_by_side(node, left, 1), _side_by_side(node, right, 0)
            replaced = node.changed(np.matmul, factors)
            for other in others:
                replaced = node.changed(np.add, (replaced, new[other]))
        elif any(new[operand] is not operand for operand in node.nodes):
            replaced = node.changed(node.function, substitute(node.operands, new.__getitem__))
        new[node] = replaced
    return program.rebuilt(new.__getitem__)


def _terms(root: Node, users: Counter[Node], inside: set[Node]) -> list[Node]:
    """What is added up, in order; the sums in between go into `inside`."""
    terms, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node is root or (_is_sum(node, root) and users[node] == 1):
            inside.add(node)
            waiting += reversed(node.nodes)
        else:
            terms.append(node)
    return terms


def _is_sum(node: Node, like: Node) -> bool:
    return node.function is np.add and len(node.nodes) == 2 and _are_like(node.nodes, like)


def _is_product(node: Node, like: Node) -> bool:
    return node.function is np.matmul and like.dtype.char in "fd" and _are_matrices(node, like)


def _are_like(nodes: Sequence[Node], like: Node) -> bool:
    return all(each.shape == like.shape and each.dtype == like.dtype for each in nodes)


def _are_matrices(node: Node, like: Node) -> bool:
    return all(len(each.shape) == 2 and each.dtype == like.dtype for each in node.operands)


def _side_by_side(like: Node, matrices: Sequence[Node], axis: int) -> Node:
    """The matrices along an axis; of transposed ones, the transpose of their concatenation."""
    if all(each.function is np.transpose for each in matrices):
        whole = _side_by_side(like, [each.operands[0] for each in matrices], 1 - axis)
        shape = whole.shape[::-1]
        return like.changed(np.transpose, (whole, (1, 0)), shape=shape, options={})
    shape = list(matrices[0].shape)
    shape[axis] = sum(each.shape[axis] for each in matrices)
    return like.changed(np.concatenate, (tuple(matrices), axis), shape=tuple(shape), options={})
