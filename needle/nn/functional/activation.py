"""Activations, element by element or along one axis."""

from ... import ops
from ...autograd import Tensor
from ...ops import elu, gelu, hardtanh, leaky_relu, relu, sigmoid, silu, softplus, tanh

__all__ = [
    "elu", "gelu", "hardtanh", "leaky_relu", "log_softmax", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]  # fmt: skip


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """eˣ / Σ eˣ along the axis `dim`: positive, sums to 1."""
    return ops.softmax(x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """ln softmax(x) along the axis `dim`, finite for any finite x."""
    return ops.logsoftmax(x, dim)
