"""expression: the formula of a value, and the names of values in formulas."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, filterfalse
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Tensor, Value, find_topo_sort
from ..nn import Module
from ..ops.kinds import Elementwise
from .terms import ATOM, Term, array_term, number_term, op_term

__all__ = [
    "Names", "Terms", "callers_names", "constant_value", "expression", "named_values",
    "whole_output",
]  # fmt: skip

Names = Mapping[str, Value] | Sequence[str] | Module | None


def expression(tensor: Value, names: Names = None, width: int = 120) -> str:
    """The formula of a value or of a gradient.

    Valid Python, with parentheses only where they are needed. A value that is used more than once,
    or whose formula is longer than `width`, is assigned to a name t1, t2, ... on a line before.
    Factors and exponents of 1 and reshapes to the same shape, which are common in gradients, are
    left out; x.T.T and -(-x) are x. In eager mode a part of the graph that requires no gradient is
    not kept: its result is a constant, like any other leaf without gradient: a number, or c1, c2,
    ...

    Args:
        tensor: a Tensor or a TensorTuple; anything else is a TypeError.
        names: Tensors by name (`{"x": x}`), which may be results; or names for the leaves that
            require a gradient, in the order in which they occur; or a Module, for its parameters by
            their paths. By default a leaf has the name of the caller's variable, if there is one.
            Leaves without name are x1, x2, ...
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
    known = named_values(callers_names(order) if names is None else names, order)
    same: dict[Value, Value] = {}  # values that only multiply another by 1 or the like
    for node in order:
        if node not in known and (operand := _unchanged_operand(node, known)) is not None:
            same[node] = same.get(operand, operand)
    uses = Counter(
        same.get(operand, operand) for node in order if node not in same for operand in node.inputs
    )
    terms = Terms({value: name for value, name in known.items() if value.is_leaf()})
    result = same.get(tensor, tensor)
    unused_names = _unused("t", known.values())
    lines = []
    for node in order:
        if node in same:
            terms[node] = terms[same[node]]
        elif node.op is not None:
            term = terms.formula(node)
            name = known.get(node)
            # x.T of a leaf x is nothing to compute
            is_view = term.transposed is not None and node.inputs[0].is_leaf()
            is_needed = len(term.text) > width or (uses[node] > 1 and not is_view)
            if name is None and node is not result and is_needed:
                name = next(unused_names)
            if name is not None:
                lines.append(f"{name} = {term.text}")
                term = Term(name, ATOM)
            terms[node] = term
    if result not in known or result.is_leaf():
        number = None if result in terms else constant_value(result)
        term = terms[result] if number is None else number_term(number)
        lines.append(term.text)
    return "\n".join(lines)


_NEUTRAL = {ops.AddScalar: 0, ops.DivScalar: 1, ops.MulScalar: 1, ops.PowerScalar: 1}


_SHAPES = (ops.Identity, ops.Reshape, ops.BroadcastTo)


def _unchanged_operand(node: Any, known: Mapping[Value, str]) -> Value | None:
    op = node.op
    if (outputs := whole_output(node)) is not None:
        return outputs
    if isinstance(op, _SHAPES) and node.shape == node.inputs[0].shape:
        return node.inputs[0]
    if isinstance(op, ops.Astype) and node.dtype == node.inputs[0].dtype:
        return node.inputs[0]
    if type(op) in _NEUTRAL and op.scalar == _NEUTRAL[type(op)]:
        return node.inputs[0]
    if isinstance(op, ops.EWiseMul):
        for factor, other in (node.inputs, node.inputs[::-1]):
            if factor not in known and _number(factor, node) == 1:
                return other
    return None


def callers_names(order: Iterable[Value]) -> dict[str, Value]:
    """The leaves of a graph by the names of variables, where the function that asks was called."""
    frame = sys._getframe(2)
    leaves = {id(value): value for value in order if value.is_leaf()}
    found: dict[str, Value] = {}
    for name, value in (*frame.f_locals.items(), *frame.f_globals.items()):
        # not _ and _1, which are results in interactive sessions, nor names that are no Python
        if id(value) in leaves and name[0].isalpha() and name.isidentifier():
            found.setdefault(name, leaves.pop(id(value)))
    return found


def named_values(names: Names, order: Iterable[Value]) -> dict[Value, str]:
    """The names that the caller gave, by value, for the graph `order`: see `expression`."""
    if names is None:
        return {}
    pairs: list[tuple[str, Any]]
    if isinstance(names, Module):
        pairs = [*names.named_parameters(), *names.named_buffers()]
    elif isinstance(names, Mapping):
        pairs = list(names.items())
    else:
        leaves = [value for value in order if value.is_leaf() and value.requires_grad]
        if isinstance(names, str) or len(names) != len(leaves):
            raise ValueError(
                f"names {names!r} for {len(leaves)} leaves that require a gradient: give one for "
                "each, or a dict of tensors by name"
            )
        pairs = list(zip(names, leaves, strict=True))
    for name, value in pairs:
        if not isinstance(value, Value):
            raise TypeError(f"name {name!r} stands for a {type(value).__name__}, not a Tensor")
    return {value: name for name, value in pairs}


def _unused(letter: str, taken: Iterable[str]) -> Iterator[str]:
    """letter1, letter2, ... without those that are taken."""
    names = (f"{letter}{number}" for number in count(1))
    return filterfalse(set(taken).__contains__, names)


def constant_value(value: Value) -> Any:
    """The number that all elements of a constant are equal to; None if they differ."""
    data = value.cached_data
    if value.requires_grad or value.inputs or not isinstance(data, np.ndarray) or not data.size:
        return None
    first = data[(0,) * data.ndim]
    return first.item() if data.ndim == 0 or np.all(data == first) else None


class Terms(dict[Value, Term]):
    """The terms of values, as far as they are known: their names at first.

    Any other value gets a name when it is looked up: x1, x2, ... with the first of two letters if
    it requires a gradient, c1, c2, ... with the second if not.
    """

    def __init__(self, known: Mapping[Value, str], letters: str = "xc") -> None:
        super().__init__((value, Term(name, ATOM)) for value, name in known.items())
        self._letters = letters
        self._unused = {letter: _unused(letter, known.values()) for letter in letters}

    def __missing__(self, leaf: Value) -> Term:
        letter = self._letters[0 if leaf.requires_grad else 1]
        self[leaf] = Term(next(self._unused[letter]), ATOM)
        return self[leaf]

    def formula(self, node: Any) -> Term:
        """The formula of `node`, which an op made."""
        if whole_output(node):
            return self[node.inputs[0]]
        return op_term(node.op, [self._operand(operand, node) for operand in node.inputs])

    def _operand(self, operand: Value, node: Value) -> Term:
        """The term of an operand of `node`, which may be a number or the array of an index."""
        data = operand.cached_data
        takes_index = isinstance(node.op, ops.GetItem | ops.ScatterAdd)
        if operand not in self and isinstance(data, np.ndarray) and not operand.inputs:
            if takes_index and operand is not node.inputs[0]:
                return array_term(data)
            if (number := _number(operand, node)) is not None:
                return number_term(number)
        term = self[operand]
        return term._replace(is_batch=isinstance(operand, Tensor) and operand.ndim > 2)


def _number(constant: Any, node: Any) -> Any:
    """The number that a constant is in the formula of `node`, if it is one."""
    if (number := constant_value(constant)) is None or constant.ndim == 0:
        return number
    others = [operand for operand in node.inputs if operand is not constant]
    is_broadcast = isinstance(node.op, Elementwise) and any(x.shape == node.shape for x in others)
    return number if is_broadcast else None


def whole_output(node: Any) -> Value | None:
    """The tuple of outputs of an op, if `node` is the one that is not only for its gradient."""
    if isinstance(node.op, ops.TupleGetItem) and node.op.index == 0:
        outputs = node.inputs[0]
        if outputs.op is not None and not outputs.op.materialize_grads:
            return outputs
    return None
