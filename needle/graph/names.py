"""Names of the values of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, filterfalse
from typing import Any

import numpy as np

from ..autograd import Value
from ..nn import Module
from ..ops import GetItem, ScatterAdd, TupleGetItem
from ..ops.kinds import Elementwise
from .terms import ATOM, Term, array_term, number_term, op_term

__all__ = [
    "Names", "Operands", "constant_value", "is_number", "named_values", "unused", "whole_output",
]  # fmt: skip

Names = Mapping[str, Value] | Sequence[str] | Module | None


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


def unused(letter: str, taken: Iterable[str]) -> Iterator[str]:
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


class Operands:
    """The terms of values as operands: their names, or numbers for constants where possible.

    Values without a name are numbered: x1, x2, ... with the first of two letters if they require a
    gradient, c1, c2, ... with the second if not.
    """

    def __init__(self, known: Mapping[Value, str], letters: str = "xc") -> None:
        self.terms = {value: Term(name, ATOM) for value, name in known.items()}
        self._letters = letters
        self._unused = {letter: unused(letter, known.values()) for letter in letters}

    def formula(self, node: Any) -> Term:
        """The formula of `node`, which an op made."""
        if whole_output(node):
            return self.leaf(node.inputs[0])
        return op_term(node.op, [self._operand(operand, node) for operand in node.inputs])

    def leaf(self, leaf: Value) -> Term:
        """A leaf by its name, never as a number."""
        if leaf not in self.terms:
            letter = self._letters[0 if leaf.requires_grad else 1]
            self.terms[leaf] = Term(next(self._unused[letter]), ATOM)
        return self.terms[leaf]

    def _operand(self, operand: Value, node: Value) -> Term:
        if operand in self.terms:
            return self.terms[operand]
        if _is_index(operand, node):
            return array_term(operand.cached_data)
        number = constant_value(operand)
        if number is None or not is_number(operand, node):
            return self.leaf(operand)
        return number_term(number)


def _is_index(operand: Value, node: Value) -> bool:
    """Whether a constant is an array in the index of `node`."""
    is_operand = isinstance(node.op, GetItem | ScatterAdd) and operand is not node.inputs[0]
    return is_operand and isinstance(operand.cached_data, np.ndarray) and not operand.inputs


def whole_output(node: Any) -> Value | None:
    """The tuple of outputs of an op, if `node` is the one that is not only for its gradient."""
    if isinstance(node.op, TupleGetItem) and node.op.index == 0:
        outputs = node.inputs[0]
        if outputs.op is not None and not outputs.op.materialize_grads:
            return outputs
    return None


def is_number(constant: Any, node: Any) -> bool:
    """Whether a constant of equal elements is one number in the formula of `node`."""
    if constant.cached_data.ndim == 0:
        return True
    others = [operand for operand in node.inputs if operand is not constant]
    return isinstance(node.op, Elementwise) and any(x.shape == node.shape for x in others)
