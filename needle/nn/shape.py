"""Modules that only reshape."""

from collections.abc import Sequence

from ..autograd import Tensor
from . import functional
from .module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Joins axes into one, by default all but the first: (N, ...) → (N, product of the others).

    Args:
        start_dim: the first axis that is joined.
        end_dim: the last one.

    Raises:
        IndexError: the input has no such axis.
        ValueError: it has no axes at all, or `end_dim` comes before `start_dim`.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 0:
            raise ValueError("Flatten expected a batch (N, ...), got a tensor without axes")
        if x.ndim == 1 and (self.start_dim, self.end_dim) == (1, -1):
            return x.reshape((x.shape[0], 1))
        return functional.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        is_default = (self.start_dim, self.end_dim) == (1, -1)
        return "" if is_default else f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits an axis into several, the opposite of `Flatten`: (N, 6) → (N, 2, 3).

    Args:
        dim: the axis.
        unflattened_size: the lengths of the new axes; one may be -1: what is left.

    Raises:
        IndexError: the input has no such axis.
        ValueError: the lengths do not multiply to that of the axis.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return functional.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.unflattened_size}"
