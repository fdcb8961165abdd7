"""Lookup tables of vectors. Errors for inputs are those of the functions that the layers call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import check_floats, check_sizes
from .drawn import DrawnModule
from .functional.lookup import check_bag_mode, row_number
from .parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(DrawnModule):
    """A matrix of rows that are looked up."""

    weight: Parameter
    padding_idx: int | None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: Any,
        dtype: Any,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        if sparse:
            raise ValueError(f"{layer}: needle has no sparse gradients: leave sparse=True out")
        check_sizes(layer, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = row_number(padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._draw(device, dtype)

    def _draws(self) -> dict[str, Callable[..., Tensor]]:
        return {"weight": self._rows}

    def _rows(self, **where: Any) -> Tensor:
        rows = init.randn(self.num_embeddings, self.embedding_dim, **where)
        if self.padding_idx is not None:
            rows.realize_cached_data()[self.padding_idx] = 0
        return rows

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A layer with the rows of `embeddings`, which it shares, trained unless `freeze`.

        `options` are those of the layer.

        Example:
            >>> import needle as ndl
            >>> layer = ndl.nn.Embedding.from_pretrained(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]))
            >>> print(layer(ndl.Tensor([1])))
            [[3. 4.]]
        """
        check_floats(f"{cls.__name__}.from_pretrained", embeddings)
        if embeddings.ndim != 2:
            raise ValueError(
                f"{cls.__name__}.from_pretrained expected a matrix, got {embeddings.shape}"
            )
        layer = cls(0, 0, **{**options, "padding_idx": None})
        layer.num_embeddings, layer.embedding_dim = embeddings.shape
        layer.padding_idx = row_number(options.get("padding_idx"), layer.num_embeddings)
        layer.weight = Parameter.make_const(embeddings.realize_cached_data(), not freeze)
        return layer

    def _settings(self) -> dict[str, Any]:
        names = "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq"
        return {name: getattr(self, name) for name in names}

    def extra_repr(self) -> str:
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2.0}
        defaults |= {"scale_grad_by_freq": False}
        values = self._settings()
        others = [f", {name}={values[name]}" for name in defaults if values[name] != defaults[name]]
        return f"{self.num_embeddings}, {self.embedding_dim}{''.join(others)}"


class Embedding(_Table):
    """A lookup table of vectors: indices (...) → (..., embedding_dim).

    `weight` is (num_embeddings, embedding_dim), N(0, 1).

    Args:
        num_embeddings, embedding_dim: the number of rows, and their length.
        padding_idx: a row that is 0 at first and gets no gradient; -1 is the last one.
        max_norm: rows whose norm is larger are scaled to it, in place, when they are looked up.
        norm_type: the p of this norm.
        scale_grad_by_freq: whether the gradient of a row is divided by how often the indices of a
            batch name it.
        sparse: False only.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Embedding(10, 4)
        >>> layer(ndl.Tensor([[1, 2, 3], [7, 8, 9]])).shape
        (2, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: Device | str | None = None,
        dtype: Any = "float32",
        *,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> None:
        super().__init__(
            num_embeddings, embedding_dim, device, dtype, padding_idx, max_norm, norm_type,
            scale_grad_by_freq, sparse,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return functional.embedding(x, self.weight, **self._settings())


class EmbeddingBag(_Table):
    """The mean, the sum or the largest elements of the vectors that each bag of indices names.

    Called with indices (bags, length), or (n,) and `offsets` (bags,) where each bag begins; and
    with `per_sample_weights`, a factor for each index, if the mode is "sum". Returns (bags,
    embedding_dim); a bag without indices is 0.

    Args:
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse: as in
            `Embedding`.
        mode: "mean", "sum" or "max".
        include_last_offset: whether the last offset is the end of the last bag.
        padding_idx: a row that is 0 at first, is left out of bags, and gets no gradient.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.EmbeddingBag(10, 4, mode="sum")
        >>> layer(ndl.Tensor([1, 2, 3, 7, 8]), offsets=ndl.Tensor([0, 3])).shape
        (2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        *,
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        check_bag_mode(mode)
        super().__init__(
            num_embeddings, embedding_dim, device, dtype, padding_idx, max_norm, norm_type,
            scale_grad_by_freq, sparse,
        )  # fmt: skip
        self.mode = mode
        self.include_last_offset = include_last_offset

    def forward(
        self, x: Tensor, offsets: Any = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return functional.embedding_bag(
            x,
            self.weight,
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            **self._settings(),
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
