"""PyTorch's attention layer, with its masks."""

import math
from functools import partial
from typing import Any

import numpy as np

from .. import init
from ..autograd import Tensor
from ..device import Device
from ..ops import concatenate, equal, split, where
from . import functional
from .attention import KeyValueCache, joined_heads, split_heads
from .checks import check_floats, check_fraction, check_sizes
from .drawn import DrawnModule
from .functional.attention import attend
from .layer import Linear
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class _OutProjection(Linear):
    """Linear with PyTorch's initial values in this place: U(±1/√in_features), and zeros."""

    def _draws(self) -> dict[str, Any]:
        bound = 1 / math.sqrt(self.in_features)
        shape = self.in_features, self.out_features
        return {
            "weight": partial(init.rand, *shape, low=-bound, high=bound),
            "bias": partial(init.zeros, 1, self.out_features),
        }


class MultiheadAttention(DrawnModule):
    """PyTorch's layer of attention with num_heads heads (Vaswani et al. 2017).

    query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) → (L, N, embed_dim); with
    `batch_first` (N, L, embed_dim) and so on; also without the axis N.

    Args:
        dropout: of the weights, in training.
        bias: of the projections.
        add_bias_kv: whether a learned position is added to keys and values.
        add_zero_attn: whether a position of zeros is added to keys and values.
        kdim, vdim: by default embed_dim.

    Attributes:
        in_proj_weight: (3·embed_dim, embed_dim), of query, key and value, Xavier-uniform; or, where
            kdim or vdim differ, q_proj_weight, k_proj_weight, v_proj_weight (embed_dim, ...).
        in_proj_bias: (3·embed_dim,), zeros.
        bias_k, bias_v: (1, 1, embed_dim), Xavier-normal; or None.
        out_proj: Linear.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.MultiheadAttention(8, num_heads=2, batch_first=True)
        >>> x = ndl.init.randn(3, 5, 8)
        >>> result, weights = layer(x, x, x)
        >>> result.shape, weights.shape
        ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("MultiheadAttention", 1, embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: {num_heads} heads do not divide embed_dim {embed_dim}"
            )
        check_fraction("MultiheadAttention: dropout", dropout)
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self.head_dim = embed_dim // num_heads
        is_one = self.kdim == self.vdim == embed_dim
        separate = {"q_proj_weight", "k_proj_weight", "v_proj_weight"}
        absent = separate if is_one else {"in_proj_weight"}
        absent |= set() if bias else {"in_proj_bias"}
        absent |= set() if add_bias_kv else {"bias_k", "bias_v"}
        self._draw(device, dtype, absent)
        self.out_proj = _OutProjection(embed_dim, embed_dim, bias, device, dtype)

    def _draws(self) -> dict[str, Any]:
        e = self.embed_dim

        def xavier(outputs: int, inputs: int) -> Any:
            bound = math.sqrt(6 / (inputs + outputs))
            return partial(init.rand, outputs, inputs, low=-bound, high=bound)

        position = partial(init.randn, 1, 1, e, std=math.sqrt(2 / (e + e)))
        return {
            "in_proj_weight": xavier(3 * e, e),
            "q_proj_weight": xavier(e, e),
            "k_proj_weight": xavier(e, self.kdim),
            "v_proj_weight": xavier(e, self.vdim),
            "in_proj_bias": partial(init.zeros, 3 * e),
            "bias_k": position,
            "bias_v": position,
        }

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The result and, if `need_weights`, the weights, (N, L, S).

        Args:
            key_padding_mask: (N, S), true where a key is to be ignored, or numbers to add.
            need_weights: without them memory grows with L + S instead of L·S.
            attn_mask: (L, S) or (N·num_heads, L, S), true where a query does not see a key, or
                numbers to add. (`functional.scaled_dot_product_attention` takes the contrary.)
            average_attn_weights: whether the weights are averaged over the heads, or of shape
                (N, num_heads, L, S).
            is_causal: whether query i sees the keys up to i only, with or without a mask; with a
                cache, those up to its own position.
            cache: a `KeyValueCache`; S counts the positions that it holds, too.
        """
        query, key, value, is_batched = self._checked(query, key, value)
        first = 0 if self.batch_first else 1
        batch = query.shape[first]
        q, k, v = self._projected(query, key, value)
        order = (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3)
        q, k, v = [split_heads(each, self.num_heads, order) for each in (q, k, v)]
        if cache is not None:
            k, v = cache.extend(self, k, v)
        added = self._added(k, v)
        lengths = batch, q.shape[2], k.shape[2]
        diagonal = lengths[2] - lengths[1] if cache is not None else 0
        mask = self._mask(attn_mask, key_padding_mask, lengths, q)
        if added is not None:
            if is_causal:
                seen = _constant(np.tri(lengths[1], lengths[2], diagonal, dtype=bool), q)
                mask = _both(mask, seen)
            k, v = [concatenate(pair, 2) for pair in zip((k, v), added, strict=True)]
            extra = k.shape[2] - lengths[2]
            if mask is not None:
                ones = np.ones((*mask.shape[:-1], extra), mask.dtype)
                always = ones if mask.dtype.kind == "b" else ones * 0
                mask = concatenate([mask, _constant(always, q)], -1)
        result, weights = attend(
            q,
            k,
            v,
            mask,
            self.dropout if self.training else 0.0,
            diagonal if is_causal and added is None else None,
            need_weights=need_weights,
        )
        y = self.out_proj(joined_heads(result, order))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if is_batched:
            return y, weights
        return y.squeeze(first), weights if weights is None else weights[0]

    def _checked(
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, bool]:
        """The operands with an axis of the batch, and whether they had one."""
        for each in (query, key, value):
            check_floats("MultiheadAttention", each)
        ndim, axis = query.ndim, 0 if self.batch_first else 1
        features = self.embed_dim, self.kdim, self.vdim
        operands = query, key, value
        if (
            ndim not in (2, 3)
            or any(each.ndim != ndim for each in operands)
            or tuple([each.shape[-1] for each in operands]) != features
            or key.shape[:-1] != value.shape[:-1]
            or (ndim == 3 and query.shape[axis] != key.shape[axis])
        ):
            names = [("L", "N"), ("S", "N"), ("S", "N")]
            order = slice(None, None, -1 if self.batch_first else 1)
            layout = ", ".join(
                f"({', '.join([*pair[order], str(size)])})"
                for pair, size in zip(names, features, strict=True)
            )
            raise ValueError(
                f"MultiheadAttention expected query, key and value {layout}, or without N, got "
                f"{query.shape}, {key.shape} and {value.shape}"
            )
        if ndim == 3:
            return query, key, value, True
        if query is key is value:
            query = query.expand_dims(axis)
            return query, query, query, False
        return *[each.expand_dims(axis) for each in operands], False  # type: ignore[return-value]

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        e, bias = self.embed_dim, self.in_proj_bias
        if query is key is value and self.in_proj_weight is not None:  # one large product
            product = functional.linear(query, self.in_proj_weight.transpose(), bias)
            return list(split(product.reshape((*query.shape[:-1], 3, e)), -2))
        biases: Any = [None] * 3 if bias is None else split(bias.reshape((3, e)), 0)
        weights: Any
        if self.in_proj_weight is not None:
            weights = split(self.in_proj_weight.reshape((3, e, e)), 0)
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        operands = zip((query, key, value), weights, biases, strict=True)
        return [functional.linear(x, weight.transpose(), bias) for x, weight, bias in operands]

    def _added(self, keys: Tensor, values: Tensor) -> list[Tensor] | None:
        """Positions that all queries see besides the keys and values (N, heads, S, head_dim)."""
        shape = (*keys.shape[:2], 1, self.head_dim)
        zeros = _constant(np.zeros(shape, keys.dtype), keys)
        added = []
        for learned in (self.bias_k, self.bias_v):
            parts = []
            if learned is not None:
                heads = learned.reshape((1, self.num_heads, 1, self.head_dim))
                parts.append(heads.broadcast_to(shape))
            if self.add_zero_attn:
                parts.append(zeros)
            if parts:
                added.append(concatenate(parts, 2))
        return added or None

    def _mask(
        self, attn_mask: Any, padding: Any, lengths: tuple[int, int, int], like: Tensor
    ) -> Tensor | None:
        """Both masks in one, which broadcasts to (N, heads, L, S): true where a key is seen."""
        batch, queries, keys = lengths
        heads = self.num_heads
        mask = None
        if attn_mask is not None:
            whole = (batch * heads, queries, keys)
            mask = _seen("attn_mask", attn_mask, like, [whole[1:], (1, *whole[1:]), whole])
            if mask.shape[:-2] == (batch * heads,):
                mask = mask.reshape((batch, heads, queries, keys))
        if padding is not None:
            allowed = [(batch, keys), (keys,)][: 1 + (batch == 1)]
            hidden = _seen("key_padding_mask", padding, like, allowed)
            mask = _both(mask, hidden.reshape((batch, 1, 1, keys)))
        return mask

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"


def _constant(array: Any, like: Tensor) -> Tensor:
    return Tensor.make_const(like.device.array(array))


def _seen(name: str, mask: Any, like: Tensor, shapes: list[tuple[int, ...]]) -> Tensor:
    """A mask of booleans, which says what is hidden, as what is seen; numbers as they are."""
    if not isinstance(mask, Tensor):
        mask = _constant(np.asarray(mask), like)
    if mask.dtype.kind not in "bf":
        raise TypeError(
            f"MultiheadAttention: {name} holds booleans, true where a key is hidden, or "
            f"floating-point numbers to add, got {mask.dtype}: use astype('bool')"
        )
    if mask.shape not in shapes:
        expected = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"MultiheadAttention: {name} of shape {mask.shape}, expected {expected}")
    return equal(mask, False) if mask.dtype.kind == "b" else mask


def _both(a: Tensor | None, b: Tensor) -> Tensor:
    """Two masks in one."""
    if a is None:
        return b
    if a.dtype.kind == b.dtype.kind:
        return a * b if a.dtype.kind == "b" else a + b
    if b.dtype.kind == "b":
        a, b = b, a
    return where(a, b, -np.inf)
