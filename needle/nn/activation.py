"""Activations as modules; their formulas and errors are those of `needle.nn.functional`."""

from . import functional
from .function import FunctionModule

__all__ = [
    "ELU", "GELU", "Hardtanh", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "SiLU", "Softmax",
    "Softplus", "Tanh",
]  # fmt: skip


class ReLU(FunctionModule, function=functional.relu):
    """max(x, 0), elementwise."""


class LeakyReLU(FunctionModule, function=functional.leaky_relu):
    """x where x > 0, else negative_slope·x."""

    negative_slope: float = 0.01


class ELU(FunctionModule, function=functional.elu):
    """x where x > 0, else alpha·(eˣ - 1) (Clevert et al. 2016)."""

    alpha: float = 1.0


class GELU(FunctionModule, function=functional.gelu):
    """x·Φ(x), Φ the distribution function of N(0, 1) (Hendrycks & Gimpel 2016).

    `approximate` is "none", or "tanh" for the approximation with tanh.
    """

    approximate: str = "none"


class SiLU(FunctionModule, function=functional.silu):
    """x·σ(x), also called swish."""


class Softplus(FunctionModule, function=functional.softplus):
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold."""

    beta: float = 1.0
    threshold: float = 20.0


class Sigmoid(FunctionModule, function=functional.sigmoid):
    """1 / (1 + e⁻ˣ), elementwise."""


class Tanh(FunctionModule, function=functional.tanh):
    """tanh x, elementwise."""


class Hardtanh(FunctionModule, function=functional.hardtanh):
    """x, limited to [min_val, max_val]."""

    min_val: float = -1.0
    max_val: float = 1.0


class Softmax(FunctionModule, function=functional.softmax):
    """eˣ / Σ eˣ along the axis `dim`."""

    dim: int = -1


class LogSoftmax(FunctionModule, function=functional.log_softmax):
    """ln softmax(x) along the axis `dim`, finite for any finite x."""

    dim: int = -1
