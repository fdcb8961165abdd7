"""The formula of one op, from the formulas of its operands.

A formula is valid Python, with parentheses only where Python's precedence needs them. Ops with a
notation of their own are in a table; all others are written as calls.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np

from .. import ops
from ..autograd import Op
from ..ops.indexing import ARRAY

__all__ = ["ATOM", "Term", "array_term", "number_term", "op_name", "op_parameters", "op_term"]

# precedence of the outermost operator of a formula, lowest first
COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)


class Term(NamedTuple):
    """A formula and the precedence of its outermost operator."""

    text: str
    level: int
    transposed: Term | None = None  # its transpose, where that is the shorter formula

    def within(self, level: int) -> str:
        """The text as an operand that needs precedence `level` or higher."""
        return self.text if self.level >= level else f"({self.text})"

    @property
    def is_negative(self) -> bool:
        """Whether the text is a minus sign and a product."""
        return self.level >= PRODUCT and self.text.startswith("-")


Printer = Callable[[Any, Sequence[Term]], Term]


def op_term(op: Op, operands: Sequence[Term]) -> Term:
    """The formula of `op` applied to `operands`."""
    return _PRINTERS.get(type(op), _call)(op, operands)


def number_term(number: Any) -> Term:
    """A number; a float without fraction as an integer."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        number = int(number)
    text = repr(number)
    return Term(text, SIGN if text.startswith("-") else ATOM)


# --- calls: name(operands, parameter=value)


def _call(op: Op, operands: Sequence[Term]) -> Term:
    kind: type = type(op)
    name = "sum" if kind is ops.Summation else getattr(_function(kind), "__name__", op_name(op))
    arguments = [operand.text for operand in operands]
    arguments += [f"{key}={value}" for key, value in op_parameters(op).items()]
    return Term(f"{name}({', '.join(arguments)})", ATOM)


def op_name(op: Op) -> str:
    return type(op).__name__.lstrip("_")


@cache
def _function(kind: type) -> Callable[..., Any] | None:
    """The function of the op's name that its module exports: what a user calls."""
    module = sys.modules.get(kind.__module__)
    name = kind.__name__.lstrip("_").lower()
    for candidate in getattr(module, "__all__", ()):
        if candidate.islower() and candidate.replace("_", "") == name:
            return getattr(module, candidate)
    return None


def op_parameters(op: Op) -> dict[str, str]:
    """The parameters of `op` as text, without defaults and values that are not plain."""
    kind: type = type(op)
    shown = {}
    for name, default in _defaults(kind).items():
        value = getattr(op, name, default)
        is_default = value is default or (type(value) is type(default) and value == default)
        if not is_default and (text := _plain_text(value)) is not None:
            shown[name] = text
    return shown


@cache
def _defaults(kind: type) -> dict[str, Any]:
    """The parameters of `kind` and their defaults, which those of its function replace."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        return {}
    function = _function(kind)
    own = inspect.signature(kind).parameters
    public = inspect.signature(function).parameters if function else {}
    return {name: public.get(name, parameter).default for name, parameter in own.items()}


def _plain_text(value: Any) -> str | None:
    """A number, a string, a dtype, an index, or a tuple of such, as code; None for the rest."""
    match value:
        case str() if value is ARRAY:
            return value
        case bool() | str() | None:
            return repr(value)
        case int() | float():
            return number_term(value).text
        case slice():
            start, stop = ("" if end is None else end for end in (value.start, value.stop))
            return f"{start}:{stop}" + ("" if value.step is None else f":{value.step}")
        case EllipsisType():
            return "..."
        case np.dtype() | np.integer() | np.bool():
            return str(value)
        case tuple():
            parts = [_plain_text(part) for part in value]
            return None if None in parts else _tuple_text(parts)
    return None


def array_term(array: Any) -> Term:
    """The elements of a small array; the dtype and shape of a large one."""
    shape = f"<{array.dtype} {_tuple_text(array.shape)}>"
    return Term(str(array.tolist()) if array.size <= 8 else shape, ATOM)


def _tuple_text(parts: Sequence[Any]) -> str:
    return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"


# --- notations


def _infix(symbol: str, level: int, left: int, right: int) -> Printer:
    """a symbol b, with the levels that the operands must have."""

    def printer(op: Op, operands: Sequence[Term]) -> Term:
        a, b = operands
        return Term(f"{a.within(left)} {symbol} {b.within(right)}", level)

    return printer


def _with_scalar(printer: Printer) -> Printer:
    """The notation for a tensor and the op's number, from that for two operands."""
    return lambda op, operands: printer(op, [*operands, number_term(op.scalar)])


def _sum(op: Op, operands: Sequence[Term]) -> Term:
    a, b = operands
    if a.is_negative and not b.is_negative:
        a, b = b, a
    if b.is_negative:  # a - b is the sum of a and -b
        return Term(f"{a.within(SUM)} - {b.text[1:]}", SUM)
    return Term(f"{a.within(SUM)} + {b.within(PRODUCT)}", SUM)


def _product(op: Op, operands: Sequence[Term]) -> Term:
    a, b = operands
    if "-1" in (a.text, b.text):
        return _negative(op, [b if a.text == "-1" else a])
    return Term(f"{a.within(PRODUCT)} * {b.within(SIGN)}", PRODUCT)


def _product_with_scalar(op: Any, operands: Sequence[Term]) -> Term:
    (a,) = operands
    number = number_term(op.scalar)
    # 2 * x, but x * y * 2: with the number first it would need parentheses
    return _product(op, [a, number] if a.level in (PRODUCT, SIGN) else [number, a])


def _negative(op: Op, operands: Sequence[Term]) -> Term:
    (a,) = operands
    if a.level < PRODUCT or a.text.startswith("-"):
        return Term(f"-({a.text})", SIGN)
    return Term(f"-{a.text}", min(a.level, SIGN))  # the sign of a product is its first factor's


def _product_of_matrices(op: Any, operands: Sequence[Term]) -> Term:
    a, b = operands
    a = _swapped(a) if op.transposes_a else a
    b = _swapped(b) if op.transposes_b else b
    return _matrix_product(op, [a, b])


def _affine(op: Op, operands: Sequence[Term]) -> Term:
    x, weight, bias = operands
    return _sum(op, [_matrix_product(op, [x, weight]), bias])


def _transposed(op: Any, operands: Sequence[Term]) -> Term:
    return _swapped(operands[0]) if op.axes is None else _call(op, operands)


def _swapped(a: Term) -> Term:
    return a.transposed or Term(f"{a.within(ATOM)}.T", ATOM, a)


def _einsum(op: Any, operands: Sequence[Term]) -> Term:
    return Term(f"einsum({', '.join([repr(op.subscripts), *(a.text for a in operands)])})", ATOM)


def _element(op: Any, operands: Sequence[Term]) -> Term:
    index = ", ".join(_index(op.index, operands[1:])) or "()"
    return Term(f"{operands[0].within(ATOM)}[{index}]", ATOM)


def _index(index: Any, arrays: Sequence[Term]) -> list[str]:
    """The parts of an index, with the operands in the places of arrays."""
    remaining = iter(arrays)
    return [
        next(remaining).text if part is ARRAY else _plain_text(part) or "?"
        for part in (index if isinstance(index, tuple) else (index,))
    ]


def _scatter(op: Any, operands: Sequence[Term]) -> Term:
    index, shape = _tuple_text(_index(op.index, operands[1:])), _tuple_text(op.shape)
    return Term(f"{op_name(op)}({operands[0].text}, index={index}, shape={shape})", ATOM)


def _tuple(op: Op, operands: Sequence[Term]) -> Term:
    return Term(_tuple_text([operand.text for operand in operands]), ATOM)


_quotient = _infix("/", PRODUCT, PRODUCT, SIGN)
_matrix_product = _infix("@", PRODUCT, PRODUCT, SIGN)
_power = _infix("**", POWER, ATOM, SIGN)

_PRINTERS: dict[type, Printer] = {
    ops.EWiseAdd: _sum,
    ops.AddScalar: _with_scalar(_sum),
    ops.Negate: _negative,
    ops.EWiseMul: _product,
    ops.MulScalar: _product_with_scalar,
    ops.EWiseDiv: _quotient,
    ops.DivScalar: _with_scalar(_quotient),
    ops.EWisePow: _power,
    ops.PowerScalar: _with_scalar(_power),
    ops.MatMul: _product_of_matrices,
    ops.Affine: _affine,
    ops.Einsum: _einsum,
    ops.Transpose: _transposed,
    ops.GetItem: _element,
    ops.Embedding: _element,
    ops.ScatterAdd: _scatter,
    ops.TupleGetItem: _element,
    ops.MakeTensorTuple: _tuple,
    ops.Concatenate: lambda op, operands: _call(op, [_tuple(op, operands)]),
    ops.Equal: _infix("==", COMPARISON, SUM, SUM),
    ops.NotEqual: _infix("!=", COMPARISON, SUM, SUM),
    ops.Less: _infix("<", COMPARISON, SUM, SUM),
    ops.LessEqual: _infix("<=", COMPARISON, SUM, SUM),
    ops.Greater: _infix(">", COMPARISON, SUM, SUM),
    ops.GreaterEqual: _infix(">=", COMPARISON, SUM, SUM),
}
