"""Attention without and with projections, and the cache for generation."""

from typing import Any

from ..autograd import Tensor
from ..device import Device
from ..ops import concatenate
from .checks import check_floats, check_sizes
from .functional.attention import attend
from .layer import Dropout, Linear
from .module import Module
from .normalization import LayerNorm1d

__all__ = ["AttentionLayer", "KeyValueCache", "MultiHeadAttention"]


class KeyValueCache:
    """The keys and values of the positions that a model has seen, for generation.

    Attention layers that are called with `cache=` append the keys and values of their input to it,
    and attend to all that it holds. So each call of a model computes new positions alone.

    Args:
        context: the most positions it may hold; more are a ValueError.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.AttentionLayer(8, num_head=2, dim_head=4)
        >>> x = ndl.init.randn(1, 3, 8)
        >>> cache = ndl.nn.KeyValueCache(context=16)
        >>> steps = [layer(x[:, i : i + 1], cache=cache) for i in range(3)]
        >>> abs(ndl.concatenate(steps, 1) - layer(x)).max().item() < 1e-5
        True
        >>> cache.length
        3
    """

    def __init__(self, context: int) -> None:
        check_sizes("KeyValueCache", 1, context=context)
        self.context = context
        self._entries: dict[Module, tuple[Tensor, Tensor]] = {}

    @property
    def length(self) -> int:
        """The number of positions that it holds."""
        return min((keys.shape[-2] for keys, _ in self._entries.values()), default=0)

    def clear(self) -> None:
        """Forget all positions."""
        self._entries.clear()

    def extend(self, layer: Module, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (..., positions, features) of a layer, and return all it has."""
        entry = self._entries.get(layer)
        held = 0 if entry is None else entry[0].shape[-2]
        if held + keys.shape[-2] > self.context:
            raise ValueError(
                f"KeyValueCache: {held} positions and {keys.shape[-2]} more exceed the context of "
                f"{self.context}: start again with the last positions, after clear()"
            )
        if entry is not None:
            if entry[0].shape[:-2] != keys.shape[:-2]:
                raise ValueError(
                    f"KeyValueCache holds keys {entry[0].shape}, got {keys.shape}: clear() it "
                    "before another batch"
                )
            keys, values = [
                concatenate([old, new], -2) for old, new in zip(entry, (keys, values), strict=True)
            ]
        self._entries[layer] = keys, values
        return keys, values

    def __repr__(self) -> str:
        return f"KeyValueCache({self.length} of {self.context} positions)"


class MultiHeadAttention(Module):
    """softmax(q·kᵀ/√dim_head)·v of heads, without parameters (Vaswani et al. 2017).

    q (batch, heads, L, dim_head), k and v (batch, heads, S, dim_head) → the result and the weights
    (batch, heads, L, S), to which dropout is applied in training. If `causal`, query i sees the
    keys up to i + S - L. `need_weights=False` gives None instead of the weights, and saves memory.

    The layer with parameters is `AttentionLayer`; PyTorch's is `MultiheadAttention`.

    Example:
        >>> import needle as ndl
        >>> q = ndl.init.randn(2, 3, 5, 4)
        >>> result, weights = ndl.nn.MultiHeadAttention(causal=True)(q, q, q)
        >>> result.shape, weights.shape
        ((2, 3, 5, 4), (2, 3, 5, 5))
    """

    def __init__(
        self,
        *,
        dropout: float = 0.0,
        causal: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = Dropout(dropout)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        for each in (q, k, v):
            check_floats("MultiHeadAttention", each)
            if each.ndim != 4:
                raise ValueError(
                    "MultiHeadAttention expected (batch, heads, positions, dim_head), "
                    f"got {each.shape}"
                )
        diagonal = k.shape[2] - q.shape[2] if self.causal else None
        return attend(
            q, k, v, None, _active(self.dropout), diagonal, need_weights=need_weights,
            generator=self.dropout.generator,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"causal={self.causal}"


def _active(dropout: Dropout) -> float:
    """The probability with which a layer drops elements now."""
    return dropout.p if dropout.training else 0.0


class AttentionLayer(Module):
    """Attention of num_head heads with projections, after a LayerNorm of each input.

    q (batch, L, q_features), k (batch, S, k_features), v (batch, S, v_features) → (batch, L,
    out_features); k and v are q unless given. `causal`: as `MultiHeadAttention`. `cache`: a
    `KeyValueCache`.

    Attributes:
        prenorm_q, prenorm_k, prenorm_v: LayerNorm1d over the features.
        q_projection, k_projection, v_projection: Linear to num_head·dim_head, without bias.
        attn: MultiHeadAttention.
        out_projection: Linear to out_features, by default q_features, without bias.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.AttentionLayer(6, num_head=2, dim_head=4)
        >>> layer(ndl.init.randn(3, 5, 6)).shape
        (3, 5, 6)
    """

    def __init__(
        self,
        q_features: int,
        num_head: int,
        dim_head: int,
        *,
        k_features: int | None = None,
        v_features: int | None = None,
        out_features: int | None = None,
        dropout: float = 0.0,
        causal: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("AttentionLayer", 1, num_head=num_head, dim_head=dim_head)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.q_features = q_features
        self.k_features = k_features = q_features if k_features is None else k_features
        self.v_features = v_features = q_features if v_features is None else v_features
        self.out_features = out_features = q_features if out_features is None else out_features
        self.num_head = num_head
        self.dim_head = dim_head
        inner = num_head * dim_head
        self.prenorm_q = LayerNorm1d(q_features, **place)
        self.prenorm_k = LayerNorm1d(k_features, **place)
        self.prenorm_v = LayerNorm1d(v_features, **place)
        self.q_projection = Linear(q_features, inner, bias=False, **place)
        self.k_projection = Linear(k_features, inner, bias=False, **place)
        self.v_projection = Linear(v_features, inner, bias=False, **place)
        self.attn = MultiHeadAttention(dropout=dropout, causal=causal, **place)
        self.out_projection = Linear(inner, out_features, bias=False, **place)

    def forward(
        self,
        q: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        k = q if k is None else k
        v = q if v is None else v
        for each in (q, k, v):
            check_floats("AttentionLayer", each)
            if each.ndim != 3:
                raise ValueError(
                    f"AttentionLayer expected (batch, positions, features), got {each.shape}"
                )
        heads, order = self.num_head, (0, 2, 1, 3)
        q = split_heads(self.q_projection(self.prenorm_q(q)), heads, order)
        k = split_heads(self.k_projection(self.prenorm_k(k)), heads, order)
        v = split_heads(self.v_projection(self.prenorm_v(v)), heads, order)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        result, _ = self.attn(q, k, v, need_weights=False)
        return self.out_projection(joined_heads(result, order))

    def extra_repr(self) -> str:
        return f"num_head={self.num_head}, dim_head={self.dim_head}"


def split_heads(x: Tensor, heads: int, order: tuple[int, ...]) -> Tensor:
    """The last axis in pieces, the heads; then the axes in another order."""
    return x.reshape((*x.shape[:-1], heads, x.shape[-1] // heads)).permute(order)


def joined_heads(x: Tensor, order: tuple[int, ...]) -> Tensor:
    """The inverse of `split_heads`."""
    x = x.permute(sorted(range(4), key=order.__getitem__))
    return x.reshape((*x.shape[:2], x.shape[2] * x.shape[3]))
