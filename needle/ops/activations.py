"""Activation functions beyond relu, sigmoid and tanh, each one op with its closed-form gradient.

In the formulas g is the adjoint of the result and y the result; σ is the logistic function, Φ and
φ are the distribution function and the density of N(0, 1).
"""

import math
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .comparison import greater, less
from .functions import Clip, ReLUGrad, Sigmoid, clamp_at_zero, exp, sigmoid, tanh
from .kinds import Elementwise
from .special import Erf

__all__ = [
    "ELU", "elu", "GELU", "GELUTanh", "gelu", "Hardtanh", "hardtanh", "LeakyReLU", "leaky_relu",
    "SiLU", "silu", "Softplus", "softplus",
]  # fmt: skip


class LeakyReLU(Elementwise):
    """a where a > 0, else slope·a. Adjoint: g where a > 0, else slope·g."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def compute(self, a: Array) -> Array:
        result = clamp_at_zero(np.minimum, a) * self.slope
        result += clamp_at_zero(np.maximum, a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return LeakyReLUGrad(self.slope)(out_grad, node.inputs[0])


class LeakyReLUGrad(Elementwise):
    """a where b > 0, else slope·a. Adjoint of a: the same of g; none of b, by its sign alone."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def compute(self, a: Array, b: Array) -> Array:
        return a * _one_or(self.slope, np.greater(b, 0), a.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        return self(out_grad, node.inputs[1]), None


def _one_or(other: float, is_one: Array, dtype: Any) -> Array:
    """1 where the condition holds, else `other`: np.where takes ten times as long if it varies."""
    result = is_one.astype(dtype)
    result *= 1 - other
    result += other
    return result


class ELU(Elementwise):
    """a where a > 0, else α·(eᵃ - 1) (Clevert et al. 2016). Adjoint: g, there g·α·eᵃ."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def compute(self, a: Array) -> Array:
        result = np.expm1(clamp_at_zero(np.minimum, a))
        result *= self.alpha
        result += clamp_at_zero(np.maximum, a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * ELUGrad(self.alpha)(node.inputs[0])


class ELUGrad(Elementwise):
    """1 where a > 0, else α·eᵃ. Adjoint: 0, there g·α·eᵃ."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def compute(self, a: Array) -> Array:
        result = np.exp(clamp_at_zero(np.minimum, a))
        if self.alpha != 1:
            result *= _one_or(self.alpha, np.greater(a, 0), result.dtype)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        whole = out_grad * node
        return whole - ReLUGrad()(whole, node.inputs[0])


class Hardtanh(Clip):
    """min(max(a, low), high). Adjoint: g·[low < a < high], 0 at the limits."""

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        return out_grad * (greater(a, self.low) * less(a, self.high))


class Softplus(Elementwise):
    """ln(1 + e^(βa))/β, and a itself where βa > threshold. Adjoint: g·σ(βa), there g."""

    def __init__(self, beta: float = 1.0, threshold: float = math.inf) -> None:
        if not beta > 0:
            raise ValueError(f"softplus: beta must be positive, got {beta}")
        self.beta = beta
        self.threshold = threshold

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
        share = sigmoid(scaled)
        if self.threshold < math.inf:
            above = greater(scaled, self.threshold).astype(share.dtype)
            share = share + above * (1 - share)
        return out_grad * share


class SiLU(Elementwise):
    """a·σ(a), also called swish. Adjoint: g·σ(a)·(1 + a·(1 - σ(a)))."""

    def compute(self, a: Array) -> Array:
        return a * Sigmoid().compute(a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * SiLUGrad()(node.inputs[0])


class SiLUGrad(Elementwise):
    """s·(1 + a·(1 - s)) with s = σ(a). Adjoint: g·s·(1 - s)·(2 + a·(1 - 2s))."""

    def compute(self, a: Array) -> Array:
        share = Sigmoid().compute(a)
        result = 1 - share
        result *= a
        result += 1
        result *= share
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        share = sigmoid(a)
        return out_grad * (share * (1 - share) * (a * (1 - share * 2) + 2))


class GELU(Elementwise):
    """a·Φ(a) (Hendrycks & Gimpel 2016). Adjoint: g·(Φ(a) + a·φ(a))."""

    def compute(self, a: Array) -> Array:
        return a * _normal_distribution(a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * GELUGrad()(node.inputs[0])


class GELUGrad(Elementwise):
    """Φ(a) + a·φ(a). Adjoint: g·φ(a)·(2 - a²)."""

    def compute(self, a: Array) -> Array:
        result = np.exp(a * a * -0.5)
        result *= a * (1 / math.sqrt(2 * math.pi))
        result += _normal_distribution(a)
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        square = node.inputs[0] ** 2
        density = exp(square * -0.5) * (1 / math.sqrt(2 * math.pi))
        return out_grad * (density * (2 - square))


def _normal_distribution(a: Array) -> Array:
    """Φ(a) = (1 + erf(a/√2))/2."""
    result = Erf().compute(a * math.sqrt(0.5))
    result += 1
    result *= 0.5
    return result


# GELU by tanh: u = _SCALE·(a + _CUBIC·a³)
_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


class GELUTanh(Elementwise):
    """a/2·(1 + tanh u) with u = √(2/π)·(a + 0.044715·a³), close to GELU (Hendrycks & Gimpel 2016).

    Adjoint: g·((1 + tanh u)/2 + a/2·(1 - tanh² u)·u').
    """

    def compute(self, a: Array) -> Array:
        result = _tanh_inside(a)
        result += 1
        result *= a
        result *= 0.5
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * GELUTanhGrad()(node.inputs[0])


class GELUTanhGrad(Elementwise):
    """(1 + t)/2 + a/2·(1 - t²)·u' with t = tanh u. Adjoint: g·(1 - t²)·(u' + a/2·u'' - a·t·u'²)."""

    def compute(self, a: Array) -> Array:
        inside = _tanh_inside(a)
        result = a * (3 * _CUBIC * _SCALE)
        result *= a
        result += _SCALE
        result *= a
        result *= 1 - inside * inside
        result += inside
        result += 1
        result *= 0.5
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        (a,) = node.inputs
        square = a**2
        inside = tanh(a * (square * (_CUBIC * _SCALE) + _SCALE))
        first = square * (3 * _CUBIC * _SCALE) + _SCALE
        half_second = a * (3 * _CUBIC * _SCALE)
        bend = first + a * half_second - a * inside * first**2
        return out_grad * ((1 - inside**2) * bend)


def _tanh_inside(a: Array) -> Array:
    """tanh u."""
    result = a * _CUBIC
    result *= a
    result += 1
    result *= a
    result *= _SCALE
    return np.tanh(result)


def leaky_relu(a: Tensor, negative_slope: float = 0.01) -> Tensor:
    """a where a > 0, else negative_slope·a; the derivative at 0 is negative_slope."""
    return LeakyReLU(negative_slope)(a)


def elu(a: Tensor, alpha: float = 1.0) -> Tensor:
    """a where a > 0, else alpha·(eᵃ - 1)."""
    return ELU(alpha)(a)


def hardtanh(a: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """a, limited to [min_val, max_val]; unlike `clip`, with derivative 0 at the limits.

    Raises:
        ValueError: min_val is not below max_val.
    """
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val {min_val} must be below max_val {max_val}")
    return Hardtanh(min_val, max_val)(a)


def softplus(a: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta·a))/beta, a smooth relu; a itself where beta·a > threshold.

    Raises:
        ValueError: beta is not positive.
    """
    return Softplus(beta, threshold)(a)


def silu(a: Tensor) -> Tensor:
    """a·σ(a), also called swish."""
    return SiLU()(a)


def gelu(a: Tensor, approximate: str = "none") -> Tensor:
    """a·Φ(a), with Φ the distribution function of N(0, 1).

    Args:
        a: any shape.
        approximate: "none", or "tanh" for a/2·(1 + tanh(√(2/π)·(a + 0.044715·a³))).

    Raises:
        ValueError: `approximate` is something else.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    return (GELUTanh() if approximate == "tanh" else GELU())(a)
