"""The formula of one op, from the formulas of its operands: by its notation, or else as a call.

A formula is valid Python, with parentheses only where Python's precedence needs them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np

from .. import ops
from ..autograd import Op
from ..ops.indexing import ARRAY
from ..ops.rnn import ElmanRecurrence, GRURecurrence, LSTMRecurrence

__all__ = ["ATOM", "COMMUTATIVE", "Term", "array_term", "number_term", "op_term", "op_title"]

# precedence of the outermost operator of a formula, lowest first
COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)


class Term(NamedTuple):
    """A formula and the precedence of its outermost operator."""

    text: str
    level: int
    transposed: Term | None = None  # its transpose, where that is the shorter formula
    negated: Term | None = None  # its negative, if it is one
    is_batch: bool = False  # whether it stands for three axes or more

    def within(self, level: int) -> str:
        """The text as an operand that needs precedence `level` or higher."""
        return self.text if self.level >= level else f"({self.text})"

    @property
    def is_negative(self) -> bool:
        """Whether the text is a minus sign and a product."""
        return self.level >= PRODUCT and self.text.startswith("-")


Notation = Callable[..., Term]  # takes the op, then a Term for each operand


def op_term(op: Op, operands: Sequence[Term]) -> Term:
    """The formula of `op` applied to `operands`."""
    return _NOTATIONS.get(type(op), _call)(op, *operands)


def number_term(number: Any) -> Term:
    """A number; a float without fraction as an integer."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        number = int(number)
    text = repr(number)
    return Term(text, SIGN if text.startswith("-") else ATOM)


def array_term(array: Any) -> Term:
    """The elements of a small array; the dtype and shape of a large one."""
    text = f"<{array.dtype} {array.shape}>" if array.size > 8 else str(array.tolist())
    return Term(text, ATOM)


# --- calls: name(operands, parameter=value)


def _call(op: Op, *operands: Term) -> Term:
    kind: type = type(op)
    if (name := _public_name(op)) is None:
        name = "sum" if kind is ops.Summation else getattr(_function(kind), "__name__", op_name(op))
    return _call_of(name, operands, op_parameters(op))


def _call_of(name: str, operands: Iterable[Term], parameters: Mapping[str, str]) -> Term:
    arguments = [operand.text for operand in operands]
    arguments += [f"{key}={value}" for key, value in parameters.items()]
    return Term(f"{name}({', '.join(arguments)})", ATOM)


# ops by the functions and layers that users know, {} for the number of spatial axes
_PUBLIC: Mapping[type, str] = {
    ops.Convolution: "conv{}d", ops.WindowMax: "max_pool{}d",
    ops.Attention: "scaled_dot_product_attention",
    LSTMRecurrence: "lstm", GRURecurrence: "gru", ElmanRecurrence: "rnn",
}  # fmt: skip
_PUBLIC_SETTINGS = {"kernel": "kernel_size", "ceil": "ceil_mode"}
_INTERNAL = {"in_blocks", "operands", "others"}  # how an op computes, or what its operands are
_OF_AXES = {"stride": 1, "padding": 0, "dilation": 1, "kernel": None}  # with their defaults


def _public_name(op: Op) -> str | None:
    kind: type = type(op)
    name = _PUBLIC.get(kind)
    return name and name.format(len(getattr(op, "stride", ())))


def _of_all_axes(value: Any) -> Any:
    """A setting of all axes: a number if it is the same for each, also before and behind."""
    if isinstance(value, tuple) and value:
        first, *others = [_of_all_axes(part) for part in value]
        return first if all(other == first for other in others) else value
    return value


def _settings(op: Op) -> Iterator[tuple[str, Any, Any]]:
    """The parameters of `op` as users know them, with their values and defaults."""
    kind: type = type(op)
    is_public = kind in _PUBLIC
    for name, default in _defaults(kind).items():
        value = getattr(op, name, default)
        if name in _INTERNAL or (is_public and name == "lengths"):
            continue
        if name in _OF_AXES:  # that of windows is the kernel
            has_own = name == "stride" and hasattr(op, "kernel")
            value, default = _of_all_axes(value), None if has_own else _OF_AXES[name]
        if is_public and name == "diagonal":
            name, value, default = ("is_causal", True, False) if value == 0 else (name, value, None)
        yield (_PUBLIC_SETTINGS.get(name, name) if is_public else name), value, default


def op_name(op: Op) -> str:
    return type(op).__name__.lstrip("_")


# operators by which drawings name an op
_SYMBOLS = {
    ops.EWiseAdd: "+", ops.AddScalar: "+", ops.Negate: "−", ops.EWiseMul: "×", ops.MulScalar: "×",
    ops.EWiseDiv: "/", ops.DivScalar: "/", ops.EWisePow: "^", ops.PowerScalar: "^",
    ops.MatMul: "@", ops.Equal: "=", ops.NotEqual: "≠", ops.Less: "<", ops.LessEqual: "≤",
    ops.Greater: ">", ops.GreaterEqual: "≥",
}  # fmt: skip
COMMUTATIVE = {
    ops.EWiseAdd, ops.EWiseMul, ops.Maximum, ops.Minimum, ops.LogAddExp, ops.Equal, ops.NotEqual,
}  # fmt: skip


def op_title(op: Op) -> str:
    """An op in a drawing: its operator if it has one, else its name; then its parameters."""
    parameters = op_parameters(op)
    symbol = _SYMBOLS.get(type(op))
    if symbol is not None and "scalar" in parameters:
        scalar = parameters["scalar"]
        is_difference = symbol == "+" and scalar.startswith("-")
        return f"− {scalar[1:]}" if is_difference else f"{symbol} {scalar}"
    if symbol is not None:  # a product of transposed matrices: a.T @ b
        return op_term(op, [Term("a", ATOM), Term("b", ATOM)]).text if parameters else symbol
    text = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return (_public_name(op) or op_name(op)) + (f"({text})" if text else "")


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
    shown = {}
    for name, value, default in _settings(op):
        is_default = value is default or (type(value) is type(default) and value == default)
        if not is_default and (text := _plain_text(value)) is not None:
            shown[name] = text
    return shown


@cache
def _defaults(kind: type) -> dict[str, Any]:
    """The parameters of `kind` and their defaults, which those of its function replace."""
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


def _tuple_text(parts: Sequence[Any]) -> str:
    return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"


# --- notations: functions of an op and its operands


def _infix(symbol: str, level: int, left: int, right: int) -> Notation:
    """a symbol b, with the levels that the operands must have."""
    return lambda op, a, b: Term(f"{a.within(left)} {symbol} {b.within(right)}", level)


def _with_scalar(notation: Notation) -> Notation:
    """The notation for a tensor and the op's number, from that for two operands."""
    return lambda op, a: notation(op, a, number_term(op.scalar))


def _sum(op: Op, a: Term, b: Term) -> Term:
    if a.is_negative and not b.is_negative:
        a, b = b, a
    if b.is_negative:  # a - b is the sum of a and -b
        return Term(f"{a.within(SUM)} - {b.text[1:]}", SUM)
    return Term(f"{a.within(SUM)} + {b.within(PRODUCT)}", SUM)


def _product(op: Op, a: Term, b: Term) -> Term:
    if "-1" in (a.text, b.text):
        return _negative(op, b if a.text == "-1" else a)
    return Term(f"{a.within(PRODUCT)} * {b.within(SIGN)}", PRODUCT)


def _multiple(op: Op, a: Term, number: Term) -> Term:
    # 2 * x, but x * y * 2: with the number first it would need parentheses
    return _product(op, a, number) if a.level in (PRODUCT, SIGN) else _product(op, number, a)


def _negative(op: Op, a: Term) -> Term:
    if a.negated is not None:
        return a.negated
    if a.is_negative:  # a negative number, or a product of which one is the first factor
        return Term(a.text[1:], ATOM if a.level == SIGN else a.level)
    text = f"-({a.text})" if a.level < PRODUCT else f"-{a.text}"
    # the sign of a product is its first factor's
    return Term(text, SIGN if a.level < PRODUCT else min(a.level, SIGN), negated=a)


def _swapped(a: Term, swaps: bool = True) -> Term:
    if not swaps:
        return a
    return a.transposed or Term(f"{a.within(ATOM)}.{'mT' if a.is_batch else 'T'}", ATOM, a)


def _element(op: Any, a: Term, *arrays: Term) -> Term:
    return Term(f"{a.within(ATOM)}[{', '.join(_index(op.index, arrays)) or '()'}]", ATOM)


def _scatter(op: Any, a: Term, *arrays: Term) -> Term:
    index = _tuple_text(_index(op.index, arrays))
    return _call_of(op_name(op), [a], {"index": index, "shape": _tuple_text(op.shape)})


def _index(index: Any, arrays: Sequence[Term]) -> list[str]:
    """The parts of an index, with the operands in the places of arrays."""
    remaining = iter(arrays)
    return [
        next(remaining).text if part is ARRAY else _plain_text(part) or "?"
        for part in (index if isinstance(index, tuple) else (index,))
    ]


def _tuple(op: Op, *operands: Term) -> Term:
    return Term(_tuple_text([operand.text for operand in operands]), ATOM)


_quotient = _infix("/", PRODUCT, PRODUCT, SIGN)
_matrix_product = _infix("@", PRODUCT, PRODUCT, SIGN)
_power = _infix("**", POWER, ATOM, SIGN)

_NOTATIONS: Mapping[type, Notation] = {
    ops.EWiseAdd: _sum,
    ops.AddScalar: _with_scalar(_sum),
    ops.Negate: _negative,
    ops.EWiseMul: _product,
    ops.MulScalar: _with_scalar(_multiple),
    ops.EWiseDiv: _quotient,
    ops.DivScalar: _with_scalar(_quotient),
    ops.EWisePow: _power,
    ops.PowerScalar: _with_scalar(_power),
    ops.MatMul: lambda op, a, b: _matrix_product(
        op, _swapped(a, op.transposes_a), _swapped(b, op.transposes_b)
    ),
    ops.Affine: lambda op, x, weight, bias: _sum(op, _matrix_product(op, x, weight), bias),
    ops.Einsum: lambda op, a, b: _call_of("einsum", [Term(repr(op.subscripts), ATOM), a, b], {}),
    ops.Transpose: lambda op, a: _swapped(a) if op.axes is None else _call(op, a),
    ops.GetItem: _element,
    ops.Embedding: _element,
    ops.ScatterAdd: _scatter,
    ops.TupleGetItem: _element,
    ops.MakeTensorTuple: _tuple,
    ops.Concatenate: lambda op, *operands: _call(op, _tuple(op, *operands)),
    ops.Equal: _infix("==", COMPARISON, SUM, SUM),
    ops.NotEqual: _infix("!=", COMPARISON, SUM, SUM),
    ops.Less: _infix("<", COMPARISON, SUM, SUM),
    ops.LessEqual: _infix("<=", COMPARISON, SUM, SUM),
    ops.Greater: _infix(">", COMPARISON, SUM, SUM),
    ops.GreaterEqual: _infix(">=", COMPARISON, SUM, SUM),
}
