"""Embedding."""

from typing import Any

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .module import Module, Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """A vector for each of a number of things: indices (...) → (..., embedding_dim).

    Attributes:
        weight: (num_embeddings, embedding_dim), N(0, 1).

    Raises:
        TypeError: the indices are not whole numbers (floats may hold them).
        ValueError: an index is not in 0 ... num_embeddings - 1.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: Device | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        draw = init.randn(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight = Parameter(draw)

    def forward(self, x: Tensor) -> Tensor:
        return functional.embedding(x, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"
