"""PyTorch's transformer: encoder and decoder, of layers with attention and a perceptron."""

import copy
from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..device import Device
from .attention import KeyValueCache
from .checks import check_sizes
from .container import ModuleList
from .init import scheme
from .layer import Dropout, Linear
from .module import Module
from .multihead_attention import MultiheadAttention
from .normalization import LayerNorm
from .transformer import Activation, activation_function

__all__ = [
    "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder",
    "TransformerEncoderLayer",
]  # fmt: skip


class _Layer(Module):
    """What PyTorch's encoder and decoder layers share."""

    _attentions: tuple[str, ...] = ("self_attn",)

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **place
            )
            setattr(self, name, attention)
        with scheme("pytorch"):
            self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
            self.dropout = Dropout(dropout)
            self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        numbers = range(1, len(self._attentions) + 2)
        for number in numbers:
            setattr(self, f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, **place))
        for number in numbers:
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = activation_function(activation)

    def _add(self, x: Tensor, number: int, part: Callable[[Tensor], Tensor]) -> Tensor:
        """x and a part of it, normalised before or after."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a perceptron, each added to its input and normalised.

    src (S, N, d_model), with `batch_first` (N, S, d_model), also without the axis N → the same
    shape. Masks are those of `MultiheadAttention`. `norm_first` normalises the inputs of both
    parts instead of the sums. `activation` is "relu", "gelu" or a function.

    Attributes: `self_attn`, `linear1`, `dropout`, `linear2`, `norm1`, `norm2`, `dropout1`,
    `dropout2`, with PyTorch's initial values.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
        >>> layer(ndl.init.randn(5, 3, 8)).shape
        (5, 3, 8)
    """

    self_attn: MultiheadAttention

    def forward(
        self,
        src: Tensor,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal, cache=cache
            )[0]

        return self._add(self._add(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the output of an encoder, then a perceptron.

    tgt (T, N, d_model) and memory (S, N, d_model), with `batch_first` (N, T, d_model) and so on →
    the shape of tgt. Arguments: as `TransformerEncoderLayer`. A cache holds what self-attention
    has seen.

    Attributes: `self_attn`, `multihead_attn`, `linear1`, `dropout`, `linear2`, `norm1` to `norm3`,
    `dropout1` to `dropout3`, with PyTorch's initial values.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
        >>> layer(ndl.init.randn(5, 3, 8), ndl.init.randn(7, 3, 8), tgt_is_causal=True).shape
        (5, 3, 8)
    """

    _attentions = ("self_attn", "multihead_attn")
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal, cache=cache
            )[0]

        def attend_to_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask,
                is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._add(self._add(tgt, 1, attend), 2, attend_to_memory)
        return self._add(x, 3, self._feed_forward)


class _Stack(Module):
    """Copies of a layer, and a normalisation of what comes out."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        check_sizes(type(self).__name__, 1, num_layers=num_layers)
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _run(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **options)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """num_layers copies of an encoder layer, one after another, then `norm`, if that is given.

    As in PyTorch, the copies start with equal weights. `enable_nested_tensor` and `mask_check` have
    no effect.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
        >>> ndl.nn.TransformerEncoder(layer, num_layers=2)(ndl.init.randn(5, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        return self._run(src, mask, src_key_padding_mask, bool(is_causal), cache)


class TransformerDecoder(_Stack):
    """num_layers copies of a decoder layer, one after another, then `norm`, if that is given.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
        >>> decoder = ndl.nn.TransformerDecoder(layer, num_layers=2)
        >>> decoder(ndl.init.randn(5, 3, 8), ndl.init.randn(7, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        return self._run(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            bool(tgt_is_causal), memory_is_causal, cache,
        )  # fmt: skip
