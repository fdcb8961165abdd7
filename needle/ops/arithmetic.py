"""Arithmetic, comparison, logic and selection, element by element."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar, cast

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .kinds import (
    Elementwise,
    _ElementwiseRow,
    binary,
    elementwise,
    plain_number,
    stated,
    with_parameters,
)

__all__ = [
    "EWiseAdd", "add", "AddScalar", "add_scalar", "Negate", "negate",
    "EWiseMul", "multiply", "MulScalar", "mul_scalar",
    "EWiseDiv", "divide", "DivScalar", "divide_scalar",
    "EWisePow", "power", "PowerScalar", "power_scalar",
    "FloorDivide", "floor_divide", "Remainder", "remainder",
    "Maximum", "maximum", "Minimum", "minimum", "Where", "where",
    "Equal", "equal", "Greater", "greater", "GreaterEqual", "greater_equal",
    "Less", "less", "LessEqual", "less_equal", "NotEqual", "not_equal",
    "BitwiseAnd", "bitwise_and", "BitwiseNot", "bitwise_not", "BitwiseOr", "bitwise_or",
    "BitwiseXor", "bitwise_xor", "LogicalAnd", "logical_and", "LogicalNot", "logical_not",
    "LogicalOr", "logical_or", "LogicalXor", "logical_xor",
]  # fmt: skip


class _WithScalar(Elementwise):
    """An op on a tensor and a number, which widens no dtype."""

    function: ClassVar[np.ufunc]

    def __init__(self, scalar: Any) -> None:
        self.scalar = plain_number(scalar)

    def compute(self, a: Array) -> Array:
        return self.function(a, self.scalar)


def _with_scalar(
    kind: str, name: str, function: np.ufunc, derivative: Callable[..., Tensor], text: str
) -> tuple[type[Any], Callable[[Tensor, Any], Tensor]]:
    """An op on a tensor and a number c, and its function; `derivative` takes g and c."""
    members = {
        "__doc__": text,
        "__module__": __name__,
        "function": function,
        "gradient": lambda self, g, y: derivative(g, self.scalar),
    }
    op = type(kind, (_WithScalar,), members)
    return op, with_parameters(op, name)


class Comparison(Elementwise):
    """Compares with numbers outside the range of the dtype, too: no uint8 is 300 or below -1."""

    def __call__(self, a: Any, b: Any) -> Any:
        if not isinstance(b, Tensor):
            b = _comparable(b, a)
        elif not isinstance(a, Tensor):
            a = _comparable(a, b)
        return TensorOp.__call__(self, a, b)


def _comparable(number: Any, other: Any) -> Any:
    """`number`, or an array that holds it if the dtype of the other operand cannot."""
    if isinstance(number, np.generic):
        number = number.item()
    if not isinstance(number, int | float) or 0 <= number <= 127:
        return number
    lowest, highest = _range(other.dtype)
    if lowest <= number <= highest:
        return number
    try:
        with np.errstate(over="raise"):
            np.array(number, np.result_type(other.dtype, number))
    except FloatingPointError:
        return np.array(number, np.float64)
    except OverflowError:  # of integers, or no float is as large
        fits = -(2**63) <= number < 2**64
        return np.array(number if fits else math.inf if number > 0 else -math.inf)
    return number


@cache
def _range(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        return -float(np.finfo(dtype).max), float(np.finfo(dtype).max)
    return np.iinfo(dtype).min, np.iinfo(dtype).max


class Bitwise(Elementwise):
    """Acts on the bits of integers, and on booleans as logic does."""

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        if floats := [str(each.dtype) for each in arrays if each.dtype.kind == "f"]:
            return (
                f"expected integers or booleans, got {floats[0]}: comparisons such as x > 0 give "
                "booleans, and astype('int64') integers"
            )
        return super()._reason(cause, *arrays)


comparison: _ElementwiseRow = cast(Any, partial(stated, Comparison))
bitwise: _ElementwiseRow = cast(Any, partial(stated, Bitwise))
_INTEGERS = {  # of the widths of floats
    np.dtype(f"f{width}"): np.dtype(f"i{width}") for width in (2, 4, 8)
}


def mask(a: Array, condition: Array) -> Array:
    """a where the condition holds, else 0, also where a is infinite or NaN.

    Multiplies the bits of floats by 0 or 1: np.where takes ten times as long on random conditions.
    """
    dtype = a.dtype
    integers = _INTEGERS.get(dtype)
    if integers is None or a.__class__ is not np.ndarray:
        return np.where(condition, a, 0)
    return (condition.astype(integers) * a.view(integers)).view(dtype)


multiply: Callable[[Tensor, Any], Tensor]  # its derivative has it, too
masked: Callable[[Tensor, Any], Tensor]
divide_or_zero: Callable[[Tensor, Any], Tensor]
# fmt: off
AddScalar, add_scalar = _with_scalar("AddScalar", "add_scalar", np.add, lambda g, c: g,
    "a + c. Adjoint: g.")
MulScalar, mul_scalar = _with_scalar("MulScalar", "mul_scalar", np.multiply, lambda g, c: g * c,
    "a·c. Adjoint: g·c.")
DivScalar, divide_scalar = _with_scalar(
    "DivScalar", "divide_scalar", np.true_divide, lambda g, c: g / c,
    "a / c; integers give floats. Adjoint: g/c.")
EWiseAdd, add = elementwise("EWiseAdd", "add", np.add, lambda g, y, a, b: (g, g),
    "a + b. Adjoints: g, g.")
EWiseMul, multiply = elementwise("EWiseMul", "multiply", np.multiply,
    lambda g, y, a, b: (
        multiply(g, b) if a.requires_grad else None, multiply(g, a) if b.requires_grad else None),
    "a·b, element by element. Adjoints: g·b, g·a.")
Masked, masked = elementwise("Masked", "masked", mask,
    lambda g, y, a, condition: (masked(g, condition), None),
    "a where the condition holds, else 0, also where a is infinite. Adjoint: g where it holds.")
Negate, negate = elementwise("Negate", "negate", np.negative, lambda g, y, a: -g,
    "-a. Adjoint: -g.")
NegateAs, _negate_as = elementwise("NegateAs", "negate_as",
    lambda a, /, dtype: np.negative(a, dtype=dtype), lambda g, y, a, dtype: -g,
    "-a in a dtype that a is converted to first: -5 of an unsigned 5. Adjoint: -g.")
Equal, equal = comparison(
    "Equal", "equal", np.equal, None, "Where a = b, as booleans. No gradient.")
NotEqual, not_equal = comparison(
    "NotEqual", "not_equal", np.not_equal, None, "Where a ≠ b, as booleans. No gradient.")
Less, less = comparison(
    "Less", "less", np.less, None, "Where a < b, as booleans. No gradient.")
LessEqual, less_equal = comparison(
    "LessEqual", "less_equal", np.less_equal, None, "Where a ≤ b, as booleans. No gradient.")
Greater, greater = comparison(
    "Greater", "greater", np.greater, None, "Where a > b, as booleans. No gradient.")
GreaterEqual, greater_equal = comparison(
    "GreaterEqual", "greater_equal", np.greater_equal, None,
    "Where a ≥ b, as booleans. No gradient.")
BitwiseAnd, bitwise_and = bitwise("BitwiseAnd", "bitwise_and", np.bitwise_and, None,
    "a & b, of booleans or of the bits of integers. No gradient.")
BitwiseOr, bitwise_or = bitwise("BitwiseOr", "bitwise_or", np.bitwise_or, None,
    "a | b, of booleans or of the bits of integers. No gradient.")
BitwiseXor, bitwise_xor = bitwise("BitwiseXor", "bitwise_xor", np.bitwise_xor, None,
    "a ^ b, of booleans or of the bits of integers. No gradient.")
BitwiseNot, bitwise_not = bitwise("BitwiseNot", "bitwise_not", np.invert, None,
    "~a, of booleans or of the bits of integers. No gradient.")
LogicalAnd, logical_and = elementwise("LogicalAnd", "logical_and", np.logical_and, None,
    "Where a and b are true, or not 0, as booleans. No gradient.")
LogicalOr, logical_or = elementwise("LogicalOr", "logical_or", np.logical_or, None,
    "Where a or b is true, or not 0, as booleans. No gradient.")
LogicalXor, logical_xor = elementwise("LogicalXor", "logical_xor", np.logical_xor, None,
    "Where one of a and b is true, or not 0, as booleans. No gradient.")
LogicalNot, logical_not = elementwise("LogicalNot", "logical_not", np.logical_not, None,
    "Where a is false, or 0, as booleans. No gradient.")
FloorDivide, floor_divide = elementwise("FloorDivide", "floor_divide", np.floor_divide, None,
    "a // b, the quotient rounded down. No gradient: the derivative is 0 wherever it exists.")
Remainder, remainder = elementwise("Remainder", "remainder", np.remainder,
    lambda g, y, a, b: (g, -(g * floor_divide(a, b)) if b.requires_grad else None),
    "a % b = a - b·⌊a/b⌋, with the sign of b. Adjoints: g, -g·⌊a/b⌋.")
DivideOrZero, divide_or_zero = elementwise("DivideOrZero", "divide_or_zero",
    lambda a, b: mask(np.divide(a, np.where(np.equal(b, 0), 1, b)), np.not_equal(b, 0)),
    lambda g, y, a, b: (divide_or_zero(g, b), -divide_or_zero(g * y, b)),
    "a / b, and 0 where b = 0, as its adjoints: g/b, -g·a/b².")
# fmt: on


class EWiseDiv(Elementwise):
    """a / b; integers give floats. Adjoints: g/b, -g·a/b²."""

    compute = np.true_divide

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor | None]:
        b = node.inputs[1]
        adjoint = out_grad / b
        return adjoint, -(adjoint * node) if b.requires_grad else None


class EWisePow(Elementwise):
    """a to the power b. Adjoints: g·b·aᵇ⁻¹ (0 where a = b = 0), g·aᵇ·ln a (0 where a = 0 ≤ b)."""

    compute = np.power

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = node.inputs
        # without 0⁻¹ and ln 0, which would make NaN of adjoints that are 0
        adjoint_a = adjoint_b = None
        if a.requires_grad:  # 1.0: integers have no negative powers
            adjoint_a = out_grad * b * a ** where((a == 0) * (b == 0), 1, b - 1.0)
        if b.requires_grad:
            counts = not_equal(a, 0) + less(b, 0)  # of booleans: one or the other
            logarithm = where(counts, a, 1).log()
            adjoint_b = masked(out_grad * node * logarithm, counts)
        return adjoint_a, adjoint_b


class PowerScalar(_WithScalar):
    """a to the power c. Adjoint: g·c·aᶜ⁻¹, which is 0 where c = 0."""

    # many times faster than power, and equal to it on floats
    _special: ClassVar = {2: np.square, 1: np.positive, 0.5: np.sqrt}

    def compute(self, a: Array) -> Array:
        function = self._special.get(self.scalar) if a.dtype.kind == "f" else None
        return function(a) if function else np.power(a, self.scalar)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        if self.scalar == 0:
            return out_grad * 0
        return out_grad * (node.inputs[0] ** (self.scalar - 1) * self.scalar)


def _share(out_grad: Tensor, a: Tensor, b: Tensor, is_chosen: Callable[..., Tensor]) -> Any:
    """The adjoint of a: g where it is chosen, g/2 where a = b, else 0; None if it needs none."""
    if not a.requires_grad:
        return None
    return where(is_chosen(a, b), out_grad, where(equal(a, b), out_grad * 0.5, 0))


# fmt: off
Maximum, maximum = elementwise("Maximum", "maximum", np.maximum,
    lambda g, y, a, b: (_share(g, a, b, greater), _share(g, b, a, greater)),
    "The larger of a and b. Adjoints: g·[a > b] + g/2·[a = b], g·[b > a] + g/2·[a = b].")
Minimum, minimum = elementwise("Minimum", "minimum", np.minimum,
    lambda g, y, a, b: (_share(g, a, b, less), _share(g, b, a, less)),
    "The smaller of a and b. Adjoints: g·[a < b] + g/2·[a = b], g·[b < a] + g/2·[a = b].")
# fmt: on


class Where(Elementwise):
    """a where the condition holds, else b. Adjoints: none, g·[condition], g·[not condition]."""

    constant_operands = slice(0, 1)

    def compute(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[None, Tensor, Tensor]:
        condition = node.inputs[0]
        return None, where(condition, out_grad, 0), where(condition, 0, out_grad)


def subtract(a: Any, b: Any) -> Tensor:
    """a + (-b); no integer is negated in a narrower dtype than that of the result."""
    if b.dtype.kind == "f":
        return add(a, negate(b))
    return add(a, _negated(b, np.result_type(a.dtype, b.dtype)))


def subtract_scalar(a: Tensor, scalar: Any) -> Tensor:
    """a + (-c), for integers modulo the number of values of their dtype."""
    scalar = plain_number(scalar)
    negative = -scalar
    if a.dtype.kind in "iu" and isinstance(scalar, int):
        limits = np.iinfo(a.dtype)
        if limits.min <= scalar <= limits.max:
            negative = (negative - limits.min) % (limits.max - limits.min + 1) + limits.min
    return add_scalar(a, negative)


def subtract_from_scalar(a: Tensor, scalar: Any) -> Tensor:
    """c + (-a)."""
    if a.dtype.kind == "f":
        return add_scalar(negate(a), scalar)
    scalar = plain_number(scalar)
    return add_scalar(_negated(a, np.result_type(a.dtype, scalar)), scalar)


def _negated(a: Any, dtype: np.dtype) -> Tensor:
    if dtype == np.bool:
        raise TypeError("booleans have no difference: compare with !=, or use astype('int64')")
    return negate(a) if a.dtype == dtype else _negate_as(a, dtype)


divide = binary(EWiseDiv(), "divide")
power = binary(EWisePow(), "power")
power_scalar = with_parameters(PowerScalar, "power_scalar")


def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """a where the boolean tensor `condition` holds, else b; the three broadcast."""
    kind = getattr(condition, "dtype", type(condition).__name__)
    if kind != np.bool_:
        raise TypeError(f"where expected a tensor of booleans, got {kind}: compare tensors first")
    return Where()(condition, a, b)
