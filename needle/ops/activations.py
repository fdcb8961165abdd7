"""Activation functions, each one op with its closed-form gradient.

σ is the logistic function, Φ and φ are the distribution function and the density of N(0, 1).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .arithmetic import greater, less_equal, mask, masked
from .functions import clip, error_function, exp, in_single_precision, polynomial
from .kinds import Elementwise, elementwise, plain_number
from .pieces import in_pieces

__all__ = [
    "ELU", "elu", "GELU", "GELUTanh", "gelu", "Hardtanh", "hardtanh", "LeakyReLU", "leaky_relu",
    "ReLU", "relu", "Sigmoid", "sigmoid", "SiLU", "silu", "Softplus", "softplus", "Tanh", "tanh",
]  # fmt: skip


def _logistic(a: Array) -> Array:
    if a.dtype.char == "e":  # 1 + e⁻ᵃ would be rounded off
        return _logistic(a.astype(np.float32)).astype(a.dtype)
    with np.errstate(over="ignore"):  # where e⁻ᵃ is infinite the result is 0, as it should be
        result = np.exp(a * -1.0)  # a float: small unsigned integers would wrap around
    result += 1
    return 1 / result


def clamp_at_zero(function: Callable[..., Array], a: Array) -> Array:
    """np.maximum or np.minimum of a and 0; NumPy's loop over two arrays is the faster one."""
    # images keep their order in memory; for matrices np.zeros is the faster one
    result = np.zeros_like(a) if a.ndim > 2 else np.zeros(a.shape, a.dtype, like=a)
    return function(a, result, out=result)


# fmt: off
Tanh, tanh = elementwise("Tanh", "tanh", np.tanh, lambda g, y, a: g * (1 - y**2),
    "The hyperbolic tangent, tanh a. Adjoint: g·(1 - y²).")
Sigmoid, sigmoid = elementwise("Sigmoid", "sigmoid", _logistic, lambda g, y, a: g * (y * (1 - y)),
    "The logistic function, 1 / (1 + e⁻ᵃ). Adjoint: g·y·(1 - y).")
_relu_grad: Callable[[Tensor, Any], Tensor]  # its derivative has it, too
ReLUGrad, _relu_grad = elementwise(
    "ReLUGrad", "relu_grad", lambda a, b: mask(a, np.greater(b, 0)),
    lambda g, y, a, b: (_relu_grad(g, b), None),
    "a where b > 0, else 0. Adjoint of a: g where b > 0, else 0; none of b.")
ReLU, relu = elementwise(
    "ReLU", "relu", lambda a: clamp_at_zero(np.maximum, a), lambda g, y, a: _relu_grad(g, a),
    "max(a, 0). Adjoint: g where a > 0, else 0.")
# fmt: on


def _one_or(other: float, is_one: Array, dtype: Any) -> Array:
    """1 where the condition holds, else `other`; np.where takes ten times as long."""
    result = is_one.astype(dtype)
    if 0 <= other <= 1:
        result *= 1 - other
        result += other
        return result
    result -= 1  # -1 or 0: next to a large number 1 would be rounded off
    result *= -other
    result += is_one
    return result


def _leaky_relu(a: Array, /, slope: float = 0.01) -> Array:
    result = clamp_at_zero(np.minimum, a) * slope
    result += clamp_at_zero(np.maximum, a)
    return result


def _elu(a: Array, /, alpha: float = 1.0) -> Array:
    result = np.expm1(clamp_at_zero(np.minimum, a))
    result *= alpha
    result += clamp_at_zero(np.maximum, a)
    return result


def _elu_slope(a: Array, /, alpha: float = 1.0) -> Array:
    result = np.exp(clamp_at_zero(np.minimum, a))
    if alpha != 1:
        result *= _one_or(alpha, np.greater(a, 0), result.dtype)
    return result


HardtanhGrad: Callable[..., Any]
LeakyReLUGrad: Callable[..., Any]  # its derivative has it, too
# fmt: off
LeakyReLUGrad, _ = elementwise(
    "LeakyReLUGrad", "leaky_relu_grad",
    lambda a, b, /, slope=0.01: a * _one_or(slope, np.greater(b, 0), a.dtype),
    lambda g, y, a, b, slope: (LeakyReLUGrad(slope)(g, b), None),
    "a where b > 0, else slope·a. Adjoint of a: g where b > 0, else slope·g; none of b.")
LeakyReLU, _leaky = elementwise(
    "LeakyReLU", "leaky_relu", _leaky_relu,
    lambda g, y, a, slope: LeakyReLUGrad(slope)(g, a),
    "a where a > 0, else slope·a. Adjoint: g where a > 0, else slope·g.")
ELUGrad, _elu_grad = elementwise(
    "ELUGrad", "elu_grad", _elu_slope, lambda g, y, a, alpha: masked(g * y, less_equal(a, 0)),
    "1 where a > 0, else α·eᵃ. Adjoint: 0 where a > 0, else g·α·eᵃ.")
ELU, elu = elementwise(
    "ELU", "elu", _elu, lambda g, y, a, alpha: g * _elu_grad(a, alpha),
    "a where a > 0, else α·(eᵃ - 1) (Clevert et al. 2016). Adjoint: g where a > 0, else g·α·eᵃ.")
HardtanhGrad, _hardtanh_grad = elementwise("HardtanhGrad", "hardtanh_grad",
    lambda a, b, /, low, high: mask(a, np.greater(b, low) & np.less(b, high)),
    lambda g, y, a, b, low, high: (HardtanhGrad(low, high)(g, b), None),
    "a where low < b < high, else 0. Adjoint of a: g where low < b < high, else 0; none of b.")
Hardtanh, _hardtanh = elementwise(
    "Hardtanh", "hardtanh", lambda a, /, low=-1.0, high=1.0: np.clip(a, low, high),
    lambda g, y, a, low, high: HardtanhGrad(low, high)(g, a),
    "min(max(a, low), high). Adjoint: g where low < a < high, else 0.")
# fmt: on


class Softplus(Elementwise):
    """ln(1 + e^(βa))/β; a where βa > threshold. Adjoint: g·σ(βa); g where βa > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = math.inf) -> None:
        if not beta > 0:
            raise ValueError(f"softplus: beta must be positive, got {beta}")
        self.beta = plain_number(beta)
        self.threshold = plain_number(threshold)

    def compute(self, a: Array) -> Array:
        scaled = a * self.beta
        result = np.log1p(np.exp(-np.absolute(scaled)))
        if self.threshold < math.inf:
            result *= np.less_equal(scaled, self.threshold)
        result /= self.beta
        result += clamp_at_zero(np.maximum, a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        scaled = node.inputs[0] * self.beta
        factor = sigmoid(scaled)
        if self.threshold < math.inf:
            above = greater(scaled, self.threshold).astype(factor.dtype)
            factor = factor + above * (1 - factor)
        return out_grad * factor


@in_pieces
def _silu_adjoint(g: Array, a: Array) -> Array:
    s = _logistic(a)
    result = 1 - s
    result *= a
    result += 1
    result *= s
    return g * result


def _normal_distribution(a: Array) -> Array:
    """Φ(a) = (1 + erf(a/√2))/2."""
    result = error_function(a * math.sqrt(0.5))
    result += 1
    result *= 0.5
    return result


@in_pieces
def _gelu_of(a: Array) -> Array:
    return a * _normal_distribution(a)


@in_pieces
def _gelu_adjoint(g: Array, a: Array, value: Array) -> Array:
    # Φ(a) is GELU(a)/a, which takes a fifth of the time that it takes anew, and 1/2 next to 0
    result = np.exp(a * a * -0.5)
    share = result * _NEXT_TO_ZERO
    share += np.absolute(value)
    share /= np.absolute(a) + 2 * _NEXT_TO_ZERO
    result *= a * _PEAK
    result += share
    return g * result


_FAR = 40  # beyond it the slope of GELU is constant, and squares may overflow
_PEAK = 1 / math.sqrt(2 * math.pi)  # φ(0)
_NEXT_TO_ZERO = 1e-30
# GELU by tanh: u = _SCALE·(a + _CUBIC·a³)
_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _tanh_u(a: Array) -> Array:
    result = polynomial((_CUBIC * _SCALE, _SCALE), a * a)
    result *= a
    return np.tanh(result)


def _gelu_tanh(a: Array) -> Array:
    result = _tanh_u(a)
    result += 1
    result *= 0.5
    result *= a
    return result


@in_pieces
def _gelu_tanh_adjoint(g: Array, a: Array) -> Array:
    t = _tanh_u(a)
    result = polynomial((3 * _CUBIC * _SCALE, _SCALE), a * a)  # u'
    result *= 1 - t * t  # before a, beside which u' may overflow where this is 0
    result *= a
    result += t
    result += 1
    result *= 0.5
    return g * result


# second derivatives


def _silu_bend(a: Tensor) -> Tensor:
    return sigmoid(a) * sigmoid(-a) * (2 - a * tanh(a / 2))


def _gelu_bend(a: Tensor) -> Tensor:
    square = clip(a, -_FAR, _FAR) ** 2
    return exp(square * -0.5) * _PEAK * (2 - square)


def _gelu_tanh_bend(a: Tensor) -> Tensor:
    a = clip(a, -_FAR, _FAR)
    square = a**2
    t = tanh(a * (square * (_CUBIC * _SCALE) + _SCALE))
    first = square * (3 * _CUBIC * _SCALE) + _SCALE
    half_second = a * (3 * _CUBIC * _SCALE)
    return (1 - t**2) * (first + a * half_second - a * t * first**2)


_silu_grad: Callable[[Tensor, Any], Tensor]  # these have themselves in their derivatives
GELUGrad: Any
_gelu_tanh_grad: Callable[[Tensor, Any], Tensor]


# fmt: off
SiLUGrad, _silu_grad = elementwise(
    "SiLUGrad", "silu_grad", _silu_adjoint,
    lambda g, y, a, b: (_silu_grad(g, b), g * a * _silu_bend(b)),
    "a·σ(b)·(1 + b·(1 - σ(b))). Adjoints: the same of g, g·a·σ(b)·σ(-b)·(2 - b·tanh(b/2)).")
SiLU, silu = elementwise(
    "SiLU", "silu", lambda a: a * _logistic(a), lambda g, y, a: _silu_grad(g, a),
    "a·σ(a), also called swish. Adjoint: g·σ(a)·(1 + a·(1 - σ(a))).")
GELUGrad, _ = elementwise(
    "GELUGrad", "gelu_grad", _gelu_adjoint,
    lambda g, y, a, b, value: (GELUGrad()(g, b, value), g * a * _gelu_bend(b), None),
    "a·(Φ(b) + b·φ(b)) from a, b and GELU(b). Adjoints: the same of g, g·a·φ(b)·(2 - b²), none.")
GELUGrad.constant_operands = slice(2, 3)
GELU, _gelu = elementwise(
    "GELU", "gelu", _gelu_of, lambda g, y, a: GELUGrad()(g, a, y),
    "a·Φ(a) (Hendrycks & Gimpel 2016). Adjoint: g·(Φ(a) + a·φ(a)).")
GELUTanhGrad, _gelu_tanh_grad = elementwise(
    "GELUTanhGrad", "gelu_tanh_grad", _gelu_tanh_adjoint,
    lambda g, y, a, b: (_gelu_tanh_grad(g, b), g * a * _gelu_tanh_bend(b)),
    """a·((1 + t)/2 + b/2·(1 - t²)·u'), t = tanh u of b.

    Adjoints: the same of g, g·a·(1 - t²)·(u' + b/2·u'' - b·t·u'²).""")
GELUTanh, _gelu_by_tanh = elementwise(
    "GELUTanh", "gelu_tanh", _gelu_tanh, lambda g, y, a: _gelu_tanh_grad(g, a),
    """a/2·(1 + tanh u) with u = √(2/π)·(a + 0.044715·a³), close to GELU (Hendrycks & Gimpel 2016).

    Adjoint: g·((1 + tanh u)/2 + a/2·(1 - tanh² u)·u').""")
# fmt: on
_gelus = {"none": _gelu, "tanh": _gelu_by_tanh}


silu = in_single_precision(silu)
elu = in_single_precision(elu)


@in_single_precision
def leaky_relu(a: Tensor, negative_slope: float = 0.01) -> Tensor:
    """a where a > 0, else negative_slope·a; the derivative at 0 is negative_slope."""
    return LeakyReLU(negative_slope)(a)


def hardtanh(a: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """a, limited to [min_val, max_val]; unlike `clip`, with derivative 0 at the limits."""
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val {min_val} must be below max_val {max_val}")
    return Hardtanh(min_val, max_val)(a)


@in_single_precision
def softplus(a: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta·a))/beta, a smooth relu; a itself where beta·a > threshold. beta > 0."""
    return Softplus(beta, threshold)(a)


@in_single_precision
def gelu(a: Tensor, approximate: str = "none") -> Tensor:
    """a·Φ(a), with Φ the distribution function of N(0, 1).

    approximate="tanh" computes a/2·(1 + tanh(√(2/π)·(a + 0.044715·a³))).
    """
    if approximate not in _gelus:
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return _gelus[approximate](a)
