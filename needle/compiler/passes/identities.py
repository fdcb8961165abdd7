"""Identities: calls that change nothing, or whose result an easier call gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Node, Program, cast, getitem, kind_of
from .constants import uniform
from .rewriting import rewritten

__all__ = ["simplify"]


def simplify(program: Program) -> Program:
    """The program without multiplications by 1, reshapes of reshapes, double negatives, ..."""

    def rule(node: Node) -> Node:
        for _ in range(8):  # what a rule gives may be simplified again
            changed = _simplified(node)
            if changed is node:
                return node
            node = changed
        return node

    return rewritten(program, rule)


def _simplified(node: Node) -> Node:
    if node.function is None or node.shape is None:
        return node
    if kind_of(node) == "elementwise":
        node = _without_broadcasts(node)
    rule = _RULES.get(node.function)
    return node if rule is None else rule(node)


def _without_broadcasts(node: Node) -> Node:
    """Operands need no `broadcast_to` where the others have the shape of the result."""
    operands = list(node.operands)
    for i, operand in enumerate(operands):
        if isinstance(operand, Node) and operand.function is np.broadcast_to:
            shorter = [*operands[:i], operand.operands[0], *operands[i + 1 :]]
            shapes = [each.shape for each in shorter if isinstance(each, Node)]
            if np.broadcast_shapes(*shapes) == node.shape:
                operands = shorter
    same = all(a is b for a, b in zip(operands, node.operands, strict=True))
    return node if same or node.function is None else node.changed(node.function, tuple(operands))


# --- elementwise


_NEUTRAL: dict[Any, tuple[float | None, float | None]] = {
    np.add: (0, 0),
    np.subtract: (None, 0),
    np.multiply: (1, 1),
    np.divide: (None, 1),
    np.power: (None, 1),
}
"""The numbers that, as left or right operand, leave the other operand as it is."""


def _number(operand: Any) -> float | None:
    """The number that an operand is everywhere, if it is known."""
    if isinstance(operand, Node):
        array = uniform(operand)
        return None if array is None else array.item()
    return operand if isinstance(operand, int | float) else None


def _as(node: Node, other: Any) -> Node:
    """`other` in the place of `node`, if it is an array of its dtype; in its shape."""
    if not isinstance(other, Node) or other.dtype != node.dtype:
        return node
    if other.shape == node.shape:
        return other
    return node.changed(np.broadcast_to, (other, node.shape), options={})


def _arithmetic(node: Node) -> Node:
    for position, neutral in enumerate(_NEUTRAL.get(node.function, ())):
        if neutral is not None and _number(node.operands[position]) == neutral:
            found = _as(node, node.operands[1 - position])
            if found is not node:
                return found
    return node


def _sum(node: Node) -> Node:
    """a + (-b) is a - b, and (-a) + b is b - a."""
    for position in (1, 0):
        operand, other = node.operands[position], node.operands[1 - position]
        if _is(operand, np.negative) and node.dtype.kind == "f" and isinstance(other, Node):
            return node.changed(np.subtract, (other, operand.operands[0]))
    return _arithmetic(node)


def _negative(node: Node) -> Node:
    (a,) = node.operands
    return _as(node, a.operands[0]) if _is(a, np.negative) else node


def _cast(node: Node) -> Node:
    a, dtype = node.operands
    if isinstance(a, Node) and a.dtype == dtype:
        return a
    if _is(a, cast) and np.can_cast(a.operands[0].dtype, a.dtype, "safe"):
        if a.operands[0].dtype == dtype:
            return a.operands[0]
        return node.changed(cast, (a.operands[0], dtype))
    return node


def _is(node: Any, function: Any) -> bool:
    return isinstance(node, Node) and node.function is function


# --- views


def _reshape(node: Node) -> Node:
    a = node.operands[0]
    if a.shape == node.shape:
        return a
    if _is(a, np.reshape):
        return node.changed(np.reshape, (a.operands[0], node.shape))
    return node


def _transpose(node: Node) -> Node:
    a, axes = node.operands
    if axes == tuple(range(len(axes))):
        return a
    if _is(a, np.transpose):
        return node.changed(np.transpose, (a.operands[0], tuple(a.operands[1][i] for i in axes)))
    moved = [axis for axis in axes if a.shape[axis] != 1]
    if moved == sorted(moved):  # only axes of length 1 move
        return node.changed(np.reshape, (a, node.shape))
    return node


def _broadcast_to(node: Node) -> Node:
    a = node.operands[0]
    if a.shape == node.shape:
        return a
    if _is(a, np.broadcast_to):
        return node.changed(np.broadcast_to, (a.operands[0], node.shape))
    return node


def _getitem(node: Node) -> Node:
    a, index = node.operands
    parts = index if isinstance(index, tuple) else (index,)
    is_whole = all(part is Ellipsis or part == slice(None) for part in parts if not _has_node(part))
    has_nodes = any(map(_has_node, parts))
    return a if is_whole and not has_nodes and a.shape == node.shape else node


def _has_node(part: Any) -> bool:
    return isinstance(part, Node) or (
        isinstance(part, slice)
        and any(isinstance(each, Node) for each in (part.start, part.stop, part.step))
    )


# --- reductions


def _sum_over(node: Node) -> Node:
    (a,) = node.operands
    axes, keepdims = node.options["axis"], node.options["keepdims"]
    if node.dtype != a.dtype:
        return node
    if all(a.shape[axis] == 1 for axis in axes):
        return node.changed(np.reshape, (a, node.shape), options={})
    if a.function is np.broadcast_to and a.dtype.kind == "f":
        return _sum_of_broadcast(node, a, axes, keepdims)
    return node


def _sum_of_broadcast(node: Node, a: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    """The sum over axes along which an array is repeated is a product with their lengths."""
    inner = a.operands[0]
    added = len(a.shape or ()) - len(inner.shape)
    stretched = [
        axis for axis in axes if axis < added or (inner.shape[axis - added] == 1 != a.shape[axis])
    ]
    if not stretched:
        return node
    count = math.prod([a.shape[axis] for axis in stretched])
    kept = tuple(1 if axis in stretched else n for axis, n in enumerate(a.shape or ()))
    result = a.changed(np.reshape, (inner, _lengths(inner, added)), shape=_lengths(inner, added))
    if result.shape != kept:
        result = a.changed(np.broadcast_to, (result, kept), shape=kept)
    rest = tuple(axis for axis in axes if axis not in stretched)
    if rest:
        shape = tuple(1 if axis in rest else n for axis, n in enumerate(kept))
        options = {"axis": rest, "keepdims": True}
        result = node.changed(np.sum, (result,), shape=shape, options=options)
    scaled = node.changed(np.multiply, (result, float(count)), shape=result.shape, options={})
    return node.changed(np.reshape, (scaled, node.shape), options={})


def _lengths(inner: Node, added: int) -> tuple[int, ...]:
    return (1,) * added + (inner.shape or ())


_RULES: dict[Any, Callable[[Node], Node]] = {
    np.add: _sum, np.subtract: _arithmetic, np.multiply: _arithmetic, np.divide: _arithmetic,
    np.power: _arithmetic, np.negative: _negative,
    np.positive: lambda node: _as(node, node.operands[0]),
    cast: _cast,
    np.reshape: _reshape, np.transpose: _transpose, np.broadcast_to: _broadcast_to,
    getitem: _getitem,
    np.sum: _sum_over,
}  # fmt: skip
