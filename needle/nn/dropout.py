"""Dropout."""

from ..autograd import Tensor
from . import functional
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, each element is 0 with probability p, else divided by 1 - p; else x itself.

    (Srivastava et al. 2014.) An element is kept where U(0, 1) ≤ 1 - p.

    Raises:
        TypeError: in training, x holds no floating-point numbers.
        ValueError: p is not in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be a probability from 0 to 1, got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"
