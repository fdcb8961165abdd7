"""Activations as modules."""

from .. import ops
from ..autograd import Tensor
from .module import Module

__all__ = ["ReLU", "Sigmoid", "Tanh"]


class ReLU(Module):
    """max(x, 0), element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """tanh x, element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)
