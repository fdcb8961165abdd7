"""Elementary functions (powers of e, roots, angles, sign, clipping), and some that have no
elementary formula (erf) or one that loses accuracy or overflows (log1p, expm1, logaddexp).

Also casts and moves between devices. Activations are in activations.py.
"""

import functools
from collections.abc import Callable
from math import log as ln
from math import pi
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from ..device import Device, as_device, device_of
from .arithmetic import divide_or_zero, equal, greater, less, masked, not_equal, where
from .kinds import Elementwise, elementwise, linear_tangent, with_parameters
from .names import by_any_name
from .pieces import in_pieces
from .views import stop_gradient

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "Abs", "abs", "ArcCos", "arccos", "ArcSin", "arcsin", "ArcTan", "arctan", "ArcTan2", "arctan2",
    "Astype", "astype", "Ceil", "ceil", "clamp", "Clip", "clip", "Cos", "cos", "Cosh", "cosh",
    "Erf", "erf", "Exp", "exp", "Exp2", "exp2", "Expm1", "expm1", "Floor", "floor", "isclose",
    "IsClose", "IsFinite", "isfinite", "IsInf", "isinf", "IsNaN", "isnan", "Log", "log", "Log10",
    "log10", "Log1p", "log1p", "Log2", "log2", "LogAddExp", "logaddexp", "Rint", "round", "Sign",
    "sign", "Sin", "sin", "Sinh", "sinh", "Sqrt", "sqrt", "Tan", "tan",
]  # fmt: skip


F = TypeVar("F", bound=Callable[..., Tensor])


def _is_close(
    a: Array, b: Array, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    a, b = np.multiply(a, 1.0), np.multiply(b, 1.0)  # floats: unsigned integers have no a - b
    with np.errstate(invalid="ignore"):  # of infinity
        is_close = np.less_equal(np.absolute(a - b), np.absolute(b) * rtol + atol)
    is_close = (is_close & np.isfinite(b)) | np.equal(a, b)
    return is_close | (np.isnan(a) & np.isnan(b)) if equal_nan else is_close


cos: Callable[[Tensor], Tensor]  # used by the derivatives of sin and sinh, which come first
cosh: Callable[[Tensor], Tensor]

# fmt: off
Log, log = elementwise("Log", "log", np.log, lambda g, y, a: g / a,
    "The natural logarithm, ln a. Adjoint: g/a.")
Exp, exp = elementwise("Exp", "exp", np.exp, lambda g, y, a: g * y,
    "The exponential, eᵃ. Adjoint: g·y.")
Log2, log2 = elementwise("Log2", "log2", np.log2, lambda g, y, a: g / (a * ln(2)),
    "The logarithm to base 2, ln a / ln 2. Adjoint: g/(a·ln 2).")
Log10, log10 = elementwise("Log10", "log10", np.log10, lambda g, y, a: g / (a * ln(10)),
    "The logarithm to base 10, ln a / ln 10. Adjoint: g/(a·ln 10).")
Exp2, exp2 = elementwise("Exp2", "exp2", np.exp2, lambda g, y, a: g * (y * ln(2)),
    "The power of 2, 2ᵃ. Adjoint: g·y·ln 2.")
Sqrt, sqrt = elementwise("Sqrt", "sqrt", np.sqrt, lambda g, y, a: g / (y * 2),
    "The square root, √a. Adjoint: g/(2y).")
Root, root = elementwise("Root", "root", np.sqrt, lambda g, y, a: divide_or_zero(g, y * 2),
    "The square root of a sum of squares. Adjoint: g/(2y), 0 where y = 0.")
Sin, sin = elementwise("Sin", "sin", np.sin, lambda g, y, a: g * cos(a),
    "The sine of a, in radians. Adjoint: g·cos a.")
Cos, cos = elementwise("Cos", "cos", np.cos, lambda g, y, a: -(g * sin(a)),
    "The cosine of a, in radians. Adjoint: -g·sin a.")
Tan, tan = elementwise("Tan", "tan", np.tan, lambda g, y, a: g * (y**2 + 1),
    "The tangent of a, in radians. Adjoint: g·(1 + y²).")
ArcSin, arcsin = elementwise(
    "ArcSin", "arcsin", np.arcsin, lambda g, y, a: g / sqrt((1 - a) * (1 + a)),
    "The angle from -π/2 to π/2 whose sine is a. Adjoint: g/√(1 - a²).")
ArcCos, arccos = elementwise(
    "ArcCos", "arccos", np.arccos, lambda g, y, a: -(g / sqrt((1 - a) * (1 + a))),
    "The angle from 0 to π whose cosine is a. Adjoint: -g/√(1 - a²).")
ArcTan, arctan = elementwise("ArcTan", "arctan", np.arctan, lambda g, y, a: g / (a**2 + 1),
    "The angle from -π/2 to π/2 whose tangent is a. Adjoint: g/(1 + a²).")
ArcTan2, arctan2 = elementwise("ArcTan2", "arctan2", np.arctan2,
    lambda g, y, a, b: (g * b / (a**2 + b**2), -(g * a / (a**2 + b**2))),
    "The angle from -π to π of the point (b, a). Adjoints: g·b/(a² + b²), -g·a/(a² + b²).")
Sinh, sinh = elementwise("Sinh", "sinh", np.sinh, lambda g, y, a: g * cosh(a),
    "The hyperbolic sine, (eᵃ - e⁻ᵃ)/2. Adjoint: g·cosh a.")
Cosh, cosh = elementwise("Cosh", "cosh", np.cosh, lambda g, y, a: g * sinh(a),
    "The hyperbolic cosine, (eᵃ + e⁻ᵃ)/2. Adjoint: g·sinh a.")
Sign, sign = elementwise("Sign", "sign", np.sign, None,
    "-1, 0 or 1. No gradient: the derivative is 0 wherever it exists.")
Floor, floor = elementwise("Floor", "floor", np.floor, None,
    "The largest whole number up to a. No gradient: the derivative is 0 wherever it exists.")
Ceil, ceil = elementwise("Ceil", "ceil", np.ceil, None,
    "The smallest whole number from a on. No gradient: the derivative is 0 wherever it exists.")
Rint, _rint = elementwise("Rint", "rint", np.rint, None,
    "The closest whole number, an even one of two. No gradient.")
IsNaN, isnan = elementwise(
    "IsNaN", "isnan", np.isnan, None, "Where a is not a number, as booleans. No gradient.")
IsInf, isinf = elementwise(
    "IsInf", "isinf", np.isinf, None, "Where a is infinite, as booleans. No gradient.")
IsFinite, isfinite = elementwise("IsFinite", "isfinite", np.isfinite, None,
    "Where a is neither infinite nor NaN, as booleans. No gradient.")
IsClose, _ = elementwise("IsClose", "isclose", _is_close, None,
    "Where |a - b| ≤ atol + rtol·|b| or a = b, as booleans. No gradient.")
Abs, abs = elementwise("Abs", "abs", np.absolute, lambda g, y, a: g * sign(a),
    "The absolute value, |a|. Adjoint: g·sign a, which is 0 at 0.")
Log1p, log1p = elementwise("Log1p", "log1p", np.log1p, lambda g, y, a: g / (a + 1),
    "ln(1 + a), accurate for small a. Adjoint: g/(1 + a).")
Expm1, expm1 = elementwise("Expm1", "expm1", np.expm1, lambda g, y, a: g * exp(a),
    "eᵃ - 1, accurate for small a. Adjoint: g·eᵃ.")
Clip, _clip = elementwise(
    "Clip", "clip", lambda a, /, low=None, high=None: np.clip(a, low, high),
    # clipping leaves exactly the elements inside the range as they are
    lambda g, y, a, low, high: masked(g, equal(a, y)),
    "a, limited to [low, high]; None leaves a side open. Adjoint: g where low ≤ a ≤ high, else 0.")
# fmt: on


def _has_axes(limit: Any) -> bool:
    return isinstance(limit, Tensor) or (isinstance(limit, np.ndarray) and limit.ndim > 0)


@by_any_name
def clip(a: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """a, limited to [low, high]: numbers, or tensors that broadcast; None leaves a side open.

    The derivative of a is 1 from low to high, the limits included, and that of a limit is 1 where
    it takes the place of an element.
    """
    if not (_has_axes(low) or _has_axes(high)):
        return _clip(a, low, high)
    for limit, is_beyond in ((low, less), (high, greater)):
        if limit is not None:
            is_nan = not_equal(limit, limit) if _has_axes(limit) else False
            a = where(is_beyond(a, limit) + is_nan, limit, a)
    return a


clamp = clip  # PyTorch's name


class Astype(Elementwise):
    """a in another dtype. Adjoint: g in the dtype of a if both are floats, else none."""

    def __init__(self, dtype: "DTypeLike") -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in "biuf":
            raise TypeError(f"astype: a Tensor holds real numbers, not {self.dtype}")
        self.differentiable = self.dtype.kind == "f"

    def compute(self, a: Array) -> Array:
        return a.astype(self.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        dtype = node.inputs[0].dtype
        return astype(out_grad, dtype) if dtype.kind == "f" else out_grad


def in_single_precision(function: F) -> F:
    """`function`, for a first operand in float16 computed in float32 and rounded once.

    Sums and squares of float16 numbers overflow where a mean or a norm does not.
    """

    @functools.wraps(function)
    def rounded_once(a: Any, *args: Any, **options: Any) -> Tensor:
        if isinstance(a, Tensor) and a.dtype.char == "e":
            return astype(function(astype(a, np.float32), *args, **options), a.dtype)
        return function(a, *args, **options)

    return cast(F, rounded_once)


def _share(a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """σ(a - b) = e^(-ln(1 + eᵇ⁻ᵃ)); 0 where both are -inf, since -inf - (-inf) is NaN."""
    return exp(-logaddexp(where(equal(y, -np.inf), 0, b) - a, 0))


# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of
# Computation 23 (1969), highest power first: near 0, erf x = x·P(x²)/Q(x²); further out,
# erf x = 1 - e^(-x²)·R(x)/S(x). Within 5 units in the last place of float64
_NEAR = 0.46875
_P = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
      3.77485237685302021e2, 3.20937758913846947e3)  # fmt: skip
_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
      1.28261652607737228e3, 2.84423683343917062e3)  # fmt: skip
_R = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
      6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
      1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)  # fmt: skip
_S = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
      1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
      3.43936767414372164e3, 1.23033935480374942e3)  # fmt: skip

# the same for float32 in one piece, x·T(x²)/U(x²) up to 4, as in the Eigen library; within 7 units
# in the last place
_T = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
      -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
_U = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
      -1.42647390514189e-02)  # fmt: skip


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule in one buffer, the highest power first."""
    highest, second, *others = coefficients
    total = x * highest
    total += second
    for coefficient in others:
        total *= x
        total += coefficient
    return total


@in_pieces
def error_function(a: Array) -> Array:
    dtype = np.result_type(a.dtype, 0.0)  # integers give float64, as in NumPy's functions
    if dtype.itemsize > 4:
        return _erf(a.astype(dtype, copy=False))
    return _erf_single(a.astype(np.float32, copy=False)).astype(dtype, copy=False)


def _erf(x: Array) -> Array:
    distance = np.minimum(np.absolute(x), 6)  # beyond it erf is 1, and so it stays for inf
    square = distance * distance
    near = polynomial(_P, square)
    near /= polynomial(_Q, square)
    near *= x
    far = np.exp(-square)
    far *= polynomial(_R, distance)
    far /= polynomial(_S, distance)
    return np.where(distance <= _NEAR, near, np.copysign(1 - far, x))


def _erf_single(x: Array) -> Array:
    x = np.clip(x, -4, 4)
    square = x * x
    result = polynomial(_T, square)
    result *= x
    result /= polynomial(_U, square)
    return result


# fmt: off
LogAddExp, logaddexp = elementwise("LogAddExp", "logaddexp", np.logaddexp,
    lambda g, y, a, b: (g * _share(a, b, y), g * _share(b, a, y)),
    """ln(eᵃ + eᵇ), finite for all finite a and b. Adjoints: g·σ(a - b), g·σ(b - a); 0 if y = -∞.

    Example:
        >>> import needle as ndl
        >>> f"{ndl.logaddexp(ndl.Tensor(1000.0), 1000.0):.3f}"
        '1000.693'
    """)
Erf, erf = elementwise("Erf", "erf", error_function,
    lambda g, y, a: g * (exp(-(a**2)) * (2 / pi**0.5)),
    """The error function, 2/√π ∫₀ᵃ e^(-t²) dt. Adjoint: g·2/√π·e^(-a²).

    Accurate to a few units in the last place of float64 and float32.

    Example:
        >>> import needle as ndl
        >>> ndl.erf(ndl.Tensor([0.0, 0.5, 10.0])).numpy().round(4)
        array([0.    , 0.5205, 1.    ])
    """)
# fmt: on
astype = with_parameters(Astype)


@by_any_name
def round(a: Tensor, decimals: int = 0) -> Tensor:
    """a to `decimals` places, a half to the even side. No gradient.

    Example:
        >>> import needle as ndl
        >>> ndl.round(ndl.Tensor([1.25, 1.35, 2.5]), 1).numpy()
        array([1.2, 1.4, 2.5])
    """
    if a.dtype.kind != "f" and decimals >= 0:
        return stop_gradient(a)
    if not decimals:
        return _rint(a)
    if decimals < 0:  # powers of ten that are exact
        return _rint(a / 10.0**-decimals) * 10.0**-decimals
    return _rint(a * 10.0**decimals) / 10.0**decimals


@by_any_name
def isclose(
    a: Tensor, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where |a - b| ≤ atol + rtol·|b| or a = b, and with `equal_nan` where both are NaN.

    Example:
        >>> import needle as ndl
        >>> print(ndl.isclose(ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 2.1])))
        [ True False]
    """
    return IsClose(rtol, atol, equal_nan)(a, b)


# --- between devices, as a part of the graph


class ToDevice(TensorOp):
    """a on another device. Adjoint: g on the device of a."""

    tangent = linear_tangent

    def __init__(self, device: Device) -> None:
        self.device = device

    def compute(self, a: Array) -> Array:
        return a if device_of(a) == self.device else self.device.array(a)

    def infer(self, a: Array) -> Array:
        return a

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return ToDevice(node.inputs[0].device)(out_grad)


def device_and_dtype(*where: Any) -> tuple[Device | None, np.dtype | None]:
    """The device and the dtype among the arguments of `to`, each None where it is not given."""
    device, dtype = None, None
    for entry in where:
        if isinstance(entry, Tensor):
            device, dtype = entry.device, entry.dtype
            continue
        try:
            device = as_device(entry)
        except ValueError as unknown:
            try:
                dtype = np.dtype(entry)
            except TypeError:
                raise TypeError(
                    f"to() takes a device or a dtype such as 'float32', got {entry!r}: {unknown}"
                ) from None
    return device, dtype


def to(a: Tensor, *where: Any, device: Device | str | None = None, dtype: Any = None) -> Tensor:
    """a on a device, in a dtype, or both, in the graph: `x.to("cuda")`, `x.to("cpu", "float64")`.

    `x.to(other)` takes over both from another tensor. a itself, if it already is.
    """
    named = [entry for entry in (device, dtype) if entry is not None]
    place, kind = device_and_dtype(*where, *named)
    if kind is not None and kind != a.dtype:
        a = astype(a, kind)
    return a if place is None or place == a.device else ToDevice(place)(a)


def cpu(a: Tensor) -> Tensor:
    """a on the CPU."""
    return to(a, "cpu")


def cuda(a: Tensor) -> Tensor:
    """a on the GPU."""
    return to(a, "cuda")
