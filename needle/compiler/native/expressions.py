"""NumPy's elementwise functions as expressions of a kernel's source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..program import Node, cast

__all__ = ["can_express", "converted", "costs_much", "expression", "literal", "name_of_dtype"]

_FLOATS = "fd"
_KNOWN = "?bhilqBHILQfd"  # characters of the dtypes that kernels compute with

_ARITHMETIC: dict[Any, str] = {
    np.add: "{0} + {1}", np.subtract: "{0} - {1}", np.multiply: "{0} * {1}",
    np.negative: "-{0}", np.positive: "{0}", np.square: "{0} * {0}",
}  # fmt: skip
_COMPARISONS: dict[Any, str] = {
    np.greater: "{0} > {1}", np.greater_equal: "{0} >= {1}", np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}", np.equal: "{0} == {1}", np.not_equal: "{0} != {1}",
}  # fmt: skip
_OF_ANY: dict[Any, str] = {
    np.maximum: "maximum({0}, {1})", np.minimum: "minimum({0}, {1})",
    np.absolute: "abs({0})",
    np.sign: "select({0} > {zero}, {one}, select({0} < {zero}, -{one}, {0}))",
}  # fmt: skip
_OF_FLOATS: dict[Any, str] = {
    np.divide: "{0} / {1}", np.reciprocal: "{one} / {0}", np.sqrt: "math.sqrt({0})",
    np.floor: "np.floor({0})", np.ceil: "np.ceil({0})", np.trunc: "np.trunc({0})",
    np.rint: "np.rint({0})", np.power: "{0} ** {1}", np.fabs: "abs({0})",
    np.isnan: "{0} != {0}", np.isfinite: "abs({0}) < {inf}", np.isinf: "abs({0}) == {inf}",
    np.fmax: "select(({0} >= {1}) | ({1} != {1}), {0}, {1})",
    np.fmin: "select(({0} <= {1}) | ({1} != {1}), {0}, {1})",
    np.exp: "math.exp({0})", np.expm1: "math.expm1({0})", np.log: "math.log({0})",
    np.log1p: "math.log1p({0})", np.tanh: "math.tanh({0})",
    np.log2: "math.log2({0})", np.log10: "math.log10({0})",
    np.sin: "math.sin({0})", np.cos: "math.cos({0})", np.tan: "math.tan({0})",
    np.sinh: "math.sinh({0})", np.cosh: "math.cosh({0})", np.arctan: "math.atan({0})",
    np.arcsin: "math.asin({0})", np.arccos: "math.acos({0})", np.arctan2: "math.atan2({0}, {1})",
    np.arcsinh: "math.asinh({0})", np.arccosh: "math.acosh({0})", np.arctanh: "math.atanh({0})",
    np.hypot: "math.hypot({0}, {1})",
}  # fmt: skip
_VECTORISED: dict[Any, str] = {  # of float32
    np.exp: "exp({0})", np.expm1: "expm1({0})", np.log: "log({0})", np.log1p: "log1p({0})",
    np.tanh: "tanh({0})", np.power: "power({0}, {1})",
}  # fmt: skip
_LOGICAL: dict[Any, str] = {
    np.logical_and: "{0} & {1}", np.logical_or: "{0} | {1}", np.logical_xor: "{0} ^ {1}",
    np.logical_not: "not {0}",
}  # fmt: skip
_OF_BOOLEANS: dict[Any, str] = {
    np.add: "{0} | {1}", np.multiply: "{0} & {1}", np.maximum: "{0} | {1}",
    np.minimum: "{0} & {1}", np.bitwise_and: "{0} & {1}", np.bitwise_or: "{0} | {1}",
    np.equal: "{0} == {1}", np.not_equal: "{0} != {1}", np.invert: "not {0}",
    np.bitwise_xor: "{0} ^ {1}",
}  # fmt: skip
_CHEAP = {
    *_ARITHMETIC, *_COMPARISONS, *_OF_ANY, *_LOGICAL, *_OF_BOOLEANS, np.isnan, np.isfinite,
    np.isinf, np.where, cast,
}  # fmt: skip


def _template(function: Any, loop: Any) -> str | None:
    """The expression of a function whose operands have the dtype `loop`."""
    kind = loop.char
    if function in _LOGICAL:
        return _LOGICAL[function]
    if kind == "?":
        return _OF_BOOLEANS.get(function)
    if function in _ARITHMETIC or function in _COMPARISONS:
        return _ARITHMETIC.get(function) or _COMPARISONS[function]
    if function in _OF_ANY:
        return _OF_ANY[function]
    if kind in _FLOATS:
        if kind == "f" and function in _VECTORISED:
            return _VECTORISED[function]
        return _OF_FLOATS.get(function)
    return None


def _loops(node: Node) -> tuple[list[Any], Any] | None:
    """The dtypes to which a ufunc converts its operands, and that of its result."""
    function: Any = node.function
    given = [
        operand.dtype if isinstance(operand, Node) else _type(operand) for operand in node.operands
    ]
    try:
        if function in _LOGICAL:
            return [np.dtype(bool)] * len(given), np.dtype(bool)
        *loops, result = function.resolve_dtypes((*given, None))
    except (TypeError, AttributeError, ValueError):
        return None
    return loops, result


def _type(value: Any) -> Any:
    if isinstance(value, bool):
        return np.dtype(bool)
    return type(value) if isinstance(value, int | float) else np.asarray(value).dtype


def can_express(node: Node) -> bool:
    """Whether an elementwise node can be computed in a kernel."""
    operands = [each for each in node.operands if isinstance(each, Node)]
    if any(each.dtype.char not in _KNOWN for each in (node, *operands)):
        return False
    if node.function is cast or node.function is np.where:
        return True
    if any(not isinstance(each, Node | bool | int | float | np.generic) for each in node.operands):
        return False
    found = _loops(node)
    if found is None:
        return False
    (first, *rest), result = found
    if any(loop != first for loop in rest) or result != node.dtype:
        return False
    return first.char in _KNOWN and _template(node.function, first) is not None


def costs_much(node: Node) -> bool:
    """Whether a value is better kept than computed again."""
    return node.function not in _CHEAP


def name_of_dtype(dtype: Any) -> str:
    """The name of a dtype in a kernel's source."""
    return "boolean" if dtype.char == "?" else str(dtype.name)


def literal(value: Any, dtype: Any) -> str:
    """A number of a dtype."""
    if dtype.char == "?":
        return repr(bool(value))
    if dtype.kind == "f":
        number = float(value)
        text = repr(number) if np.isfinite(number) else f"np.{number}".replace("np.-", "-np.")
        return f"{dtype.name}({text})"
    return f"{dtype.name}({int(value)})"


def converted(text: str, dtype: Any, target: Any) -> str:
    """An expression of one dtype as one of another."""
    if dtype == target:
        return text
    if target.char == "?":
        return f"({text} != {literal(0, dtype)})"
    return f"{target.name}({text})"


def expression(node: Node, operands: Sequence[tuple[str, Any]]) -> str:
    """The value of a node from (expression, dtype) of its operands; None stands for a number."""
    if node.function is cast:
        (text, dtype), *_ = operands
        return converted(text, dtype, node.dtype)
    if node.function is np.where:
        (condition, dtype), *branches = operands
        texts = [_operand(*each, node.dtype) for each in branches]
        return f"select({converted(condition, dtype, np.dtype(bool))}, {', '.join(texts)})"
    found = _loops(node)
    assert found is not None, node
    loops, result = found
    texts = [_operand(*each, loop) for each, loop in zip(operands, loops, strict=True)]
    template = _template(node.function, loops[0])
    assert template is not None
    numbers = {} if loops[0].char == "?" else {
        "zero": literal(0, loops[0]), "one": literal(1, loops[0]),
        "inf": literal(np.inf, loops[0]) if loops[0].kind == "f" else "",
    }  # fmt: skip
    text = template.format(*texts, **numbers)
    # Numba computes with integers of 64 bits
    return f"{result.name}({text})" if result.kind in "iu" else text


def _operand(value: Any, dtype: Any, target: Any) -> str:
    return literal(value, target) if dtype is None else converted(value, dtype, target)
