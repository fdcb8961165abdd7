"""Positions in a sequence: sinusoids that are added, and rotations of queries and keys."""

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device
from ..ops import concatenate, stack
from .checks import check_sizes, check_trailing
from .module import Module

__all__ = ["RotaryEmbedding", "SinusoidalPositions"]


def _angles(dim: int, context: int, base: float) -> np.ndarray:
    """position·base^(-2i/dim), (context, dim/2)."""
    frequencies = base ** (-np.arange(0, dim, 2) / dim)
    return np.arange(context)[:, None] * frequencies


class _Positions(Module):
    def __init__(self, dim: int, context: int, base: float, dtype: Any) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, 1, dim=dim, context=context)
        if dim % 2:
            raise ValueError(f"{name}: dim must be even, got {dim}")
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"{name}: dtype must be one of floating-point numbers, got {dtype}")
        if not base > 0:
            raise ValueError(f"{name}: base must be positive, got {base}")
        self.dim = dim
        self.context = context
        self.base = base

    def _rows(self, length: int, offset: int) -> slice:
        if offset < 0 or offset + length > self.context:
            raise ValueError(
                f"{type(self).__name__}: positions {offset} to {offset + length - 1}, the context "
                f"ends with {self.context - 1}"
            )
        return slice(offset, offset + length)

    def extra_repr(self) -> str:
        return f"{self.dim}, context={self.context}"


class SinusoidalPositions(_Positions):
    """x + p, sinusoids of the positions (Vaswani et al. 2017).

        p[t, 2i] = sin(t·base^(-2i/dim)),  p[t, 2i + 1] = cos(t·base^(-2i/dim))

    x (..., positions, dim), unless `batch_first` (positions, batch, dim); `offset` is the number of
    the first position. Positions beyond `context` are a ValueError. `table` (context, dim) is a
    buffer that is not part of the state.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.SinusoidalPositions(4)
        >>> print(layer(ndl.init.zeros(2, 4)).numpy().round(2))
        [[0.   1.   0.   1.  ]
         [0.84 0.54 0.01 1.  ]]
    """

    table: Tensor

    def __init__(
        self,
        dim: int,
        context: int = 2048,
        base: float = 10_000.0,
        batch_first: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(dim, context, base, dtype)
        self.batch_first = batch_first
        angles = _angles(dim, context, base)
        table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(context, dim)
        self.register_buffer("table", Tensor(table, device=device, dtype=dtype), persistent=False)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        check_trailing("SinusoidalPositions", x, (self.dim,))
        if x.ndim < 2 or not (self.batch_first or x.ndim == 3):
            layout = "(..., positions, dim)" if self.batch_first else "(positions, batch, dim)"
            raise ValueError(f"SinusoidalPositions expected {layout}, got {x.shape}")
        added = self.table[self._rows(x.shape[-2 if self.batch_first else 0], offset)]
        return x + (added if self.batch_first else added.expand_dims(1))


class RotaryEmbedding(_Positions):
    """Rotates pairs of features by angles t·base^(-2i/dim) at position t (Su et al. 2021).

    For queries and keys of heads, (..., positions, dim) → the same shape: their products then
    depend on the difference of their positions alone. `offset` is the number of the first position,
    for keys and queries that come after those in a cache.

    Which features are a pair: by default i and i + dim/2, as in GPT-NeoX and Hugging Face's Llama;
    with `interleaved` 2i and 2i + 1, as in the paper and Meta's Llama. Weights made for one
    convention do not fit the other. `cos` and `sin` (context, dim/2) are buffers that are not part
    of the state. Positions beyond `context` are a ValueError.

    Example:
        >>> import needle as ndl
        >>> rotate = ndl.nn.RotaryEmbedding(2)
        >>> print(rotate(ndl.Tensor([[1.0, 0.0], [1.0, 0.0]])).numpy().round(2))
        [[1.   0.  ]
         [0.54 0.84]]
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        dim: int,
        context: int = 2048,
        base: float = 10_000.0,
        interleaved: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(dim, context, base, dtype)
        self.interleaved = interleaved
        angles = _angles(dim, context, base)
        for name, function in (("cos", np.cos), ("sin", np.sin)):
            table = Tensor(function(angles), device=device, dtype=dtype)
            self.register_buffer(name, table, persistent=False)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        check_trailing("RotaryEmbedding", x, (self.dim,))
        if x.ndim < 2:
            raise ValueError(f"RotaryEmbedding expected (..., positions, dim), got {x.shape}")
        rows = self._rows(x.shape[-2], offset)
        cos, sin = self.cos[rows], self.sin[rows]
        half = self.dim // 2
        a, b = (x[..., 0::2], x[..., 1::2]) if self.interleaved else (x[..., :half], x[..., half:])
        rotated = [a * cos - b * sin, a * sin + b * cos]
        if self.interleaved:
            return stack(rotated, -1).reshape(x.shape)
        return concatenate(rotated, -1)
