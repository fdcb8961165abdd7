"""expression: the formula of a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..autograd import Value, find_topo_sort
from ..ops import AddScalar, DivScalar, EWiseMul, MulScalar, PowerScalar
from .names import Names, Operands, constant_value, is_number, named_values, unused, whole_output
from .terms import ATOM, Term, number_term

__all__ = ["expression"]


def expression(tensor: Value, names: Names = None, width: int = 120) -> str:
    """The formula of a value or of a gradient.

    Valid Python, with parentheses only where they are needed. A value that is used more than once,
    or whose formula is longer than `width`, is assigned to a name t1, t2, ... on a line before.
    Factors and exponents of 1, which are common in gradients, are left out, and x.T.T is x. In
    eager mode a part of the graph that requires no gradient is not kept: its result is a constant,
    like any other leaf without gradient: a number, or c1, c2, ...

    Args:
        tensor: a Tensor or a TensorTuple; anything else is a TypeError.
        names: Tensors by name (`{"x": x}`), which may be results; or names for the leaves that
            require a gradient, in the order in which they occur; or a Module, for its parameters by
            their paths. Leaves without name are x1, x2, ...
        width: the length in characters above which a part of the formula gets a line of its own.

    Example:
        >>> import needle as ndl
        >>> x1, x2 = ndl.Tensor(2.0), ndl.Tensor(5.0)
        >>> y = ndl.log(x1) + x1 * x2 - ndl.sin(x2)
        >>> print(ndl.graph.expression(y))
        log(x1) + x1 * x2 - sin(x2)
        >>> y.backward()
        >>> print(ndl.graph.expression(x2.grad, {"x1": x1, "x2": x2}))
        x1 - cos(x2)
        >>> product = x1 * x2
        >>> print(ndl.graph.expression(product / (1 + product), ["a", "b"]))
        t1 = a * b
        t1 / (t1 + 1)
    """
    if not isinstance(tensor, Value):
        raise TypeError(f"expression takes a Tensor, got {type(tensor).__name__}")
    order = find_topo_sort([tensor])
    known = named_values(names, order)
    same = _same_values(order, known)
    uses = Counter(
        same.get(operand, operand) for node in order if node not in same for operand in node.inputs
    )
    operands = Operands({value: name for value, name in known.items() if value.is_leaf()})
    result = same.get(tensor, tensor)
    unused_names = unused("t", known.values())
    lines = []
    for node in order:
        if node in same:
            operands.terms[node] = operands.leaf(same[node])
        elif node.op is not None:
            term = operands.formula(node)
            name = known.get(node)
            # x.T of a leaf x is nothing to compute
            is_view = term.transposed is not None and node.inputs[0].is_leaf()
            is_needed = len(term.text) > width or (uses[node] > 1 and not is_view)
            if name is None and node is not result and is_needed:
                name = next(unused_names)
            if name is not None:
                lines.append(f"{name} = {term.text}")
                term = Term(name, ATOM)
            operands.terms[node] = term
    if result not in known or result.is_leaf():
        number = None if result in operands.terms else constant_value(result)
        term = operands.leaf(result) if number is None else number_term(number)
        lines.append(term.text)
    return "\n".join(lines)


_NEUTRAL: Mapping[type, int] = {AddScalar: 0, DivScalar: 1, MulScalar: 1, PowerScalar: 1}


def _same_values(order: list[Value], known: Mapping[Value, str]) -> dict[Value, Value]:
    """The values that only multiply another by 1 or the like, with that other."""
    same: dict[Value, Value] = {}
    for node in order:
        if node not in known and (operand := _unchanged_operand(node, known)) is not None:
            same[node] = same.get(operand, operand)
    return same


def _unchanged_operand(node: Any, known: Mapping[Value, str]) -> Value | None:
    op = node.op
    if (outputs := whole_output(node)) is not None:
        return outputs
    if type(op) in _NEUTRAL and op.scalar == _NEUTRAL[type(op)]:
        return node.inputs[0]
    if isinstance(op, EWiseMul):
        for factor, other in (node.inputs, node.inputs[::-1]):
            if factor not in known and constant_value(factor) == 1 and is_number(factor, node):
                return other
    return None
