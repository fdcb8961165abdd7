"""Activations as modules; their formulas and errors are those of `needle.nn.functional`."""

from dataclasses import dataclass

from ..autograd import Tensor
from . import functional
from .module import Module

__all__ = [
    "ELU", "GELU", "Hardtanh", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "SiLU", "Softmax",
    "Softplus", "Tanh",
]  # fmt: skip


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x)


@dataclass(eq=False, repr=False)
class LeakyReLU(Module):
    """x where x > 0, else negative_slope·x."""

    negative_slope: float = 0.01

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.negative_slope)


@dataclass(eq=False, repr=False)
class ELU(Module):
    """x where x > 0, else alpha·(eˣ - 1) (Clevert et al. 2016)."""

    alpha: float = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(x, self.alpha)


@dataclass(eq=False, repr=False)
class GELU(Module):
    """x·Φ(x), Φ the distribution function of N(0, 1) (Hendrycks & Gimpel 2016).

    Args:
        approximate: "none", or "tanh" for the approximation with tanh.
    """

    approximate: str = "none"

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x, self.approximate)


class SiLU(Module):
    """x·σ(x), also called swish."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x)


@dataclass(eq=False, repr=False)
class Softplus(Module):
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold."""

    beta: float = 1.0
    threshold: float = 20.0

    def forward(self, x: Tensor) -> Tensor:
        return functional.softplus(x, self.beta, self.threshold)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.sigmoid(x)


class Tanh(Module):
    """tanh x, elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.tanh(x)


@dataclass(eq=False, repr=False)
class Hardtanh(Module):
    """x, limited to [min_val, max_val]."""

    min_val: float = -1.0
    max_val: float = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return functional.hardtanh(x, self.min_val, self.max_val)


@dataclass(eq=False, repr=False)
class Softmax(Module):
    """eˣ / Σ eˣ along the axis `dim`."""

    dim: int = -1

    def forward(self, x: Tensor) -> Tensor:
        return functional.softmax(x, self.dim)


@dataclass(eq=False, repr=False)
class LogSoftmax(Module):
    """ln softmax(x) along the axis `dim`, finite for any finite x."""

    dim: int = -1

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(x, self.dim)
