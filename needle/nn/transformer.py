"""A transformer with learned positions, causal by default, and its parts."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device
from ..init import zeros_like
from . import functional
from .attention import AttentionLayer, KeyValueCache
from .checks import check_floats
from .container import ModuleList
from .embedding import Embedding
from .layer import Dropout, Linear
from .module import Module
from .normalization import LayerNorm1d

__all__ = ["SwiGLU", "Transformer", "TransformerLayer"]

Activation = str | Callable[[Tensor], Tensor]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
}


def activation_function(given: Activation) -> Callable[[Tensor], Tensor]:
    if callable(given):
        return given
    if given not in _ACTIVATIONS:
        raise ValueError(f"activation {given!r}: expected 'relu', 'gelu' or a function")
    return _ACTIVATIONS[given]


class SwiGLU(Module):
    """A feed-forward layer with a gate, (SiLU(x·W_gate)∘x·W_up)·W_down (Shazeer 2020).

    (..., in_features) → (..., out_features), by default in_features. Attributes: `gate`, `up` and
    `down`, Linear layers, drawn in this order.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.SwiGLU(8, 16)(ndl.init.randn(3, 5, 8)).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int | None = None,
        bias: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        out_features = in_features if out_features is None else out_features
        self.gate = Linear(in_features, hidden_features, bias, device, dtype)
        self.up = Linear(in_features, hidden_features, bias, device, dtype)
        self.down = Linear(hidden_features, out_features, bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class TransformerLayer(Module):
    """A pre-norm layer: attention, then a perceptron, each added to its input.

        x = x + Dropout(Attention(x))
        x = x + Dropout(Linear₂(Dropout(activation(Linear₁(LayerNorm(x))))))

    (batch, positions, q_features) → the same shape. `activation` is "relu", "gelu" or a function.

    Attributes: `attention` (an `AttentionLayer`, which normalises its input), `norm`, `linear1`,
    `linear2`, drawn in this order, and `dropout`.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.TransformerLayer(8, num_head=2, dim_head=4, hidden_size=16)
        >>> layer(ndl.init.randn(3, 5, 8)).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        q_features: int,
        num_head: int,
        dim_head: int,
        hidden_size: int,
        *,
        dropout: float = 0.0,
        causal: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.activation = activation_function(activation)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.attention = AttentionLayer(
            q_features, num_head, dim_head, dropout=dropout, causal=causal, **place
        )
        for norm in ("prenorm_q", "prenorm_k", "prenorm_v"):
            getattr(self.attention, norm).eps = layer_norm_eps
        self.norm = LayerNorm1d(q_features, layer_norm_eps, **place)
        self.linear1 = Linear(q_features, hidden_size, **place)
        self.linear2 = Linear(hidden_size, q_features, **place)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        x = x + self.dropout(self.attention(x, cache=cache))
        hidden = self.activation(self.linear1(self.norm(x)))
        return x + self.dropout(self.linear2(self.dropout(hidden)))


class Transformer(Module):
    """`TransformerLayer`s on inputs to which a learned position embedding is added.

    (x, h) → (y, zeros like y): x (positions, batch, embedding_size), with `batch_first` (batch,
    positions, embedding_size), and y of its shape; h is ignored, so that the model may stand in the
    place of an RNN. More than sequence_len positions are a ValueError. With a `cache`, positions
    are counted from the end of those that it holds.

    The arguments are those of the course, with PyTorch's `activation` and `layer_norm_eps`;
    encoders and decoders as in PyTorch's class of this name are `TransformerEncoder` and
    `TransformerDecoder`.

    Attributes: `embedding` and `layers`, drawn in this order.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Transformer(8, 16, num_layers=2, num_head=2, dim_head=4)
        >>> y, _ = model(ndl.init.randn(5, 3, 8))
        >>> y.shape
        (5, 3, 8)
    """

    def __init__(
        self,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        num_head: int = 8,
        dim_head: int = 32,
        dropout: float = 0.0,
        causal: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
        batch_first: bool = False,
        sequence_len: int = 2048,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.sequence_len = sequence_len
        self.embedding = Embedding(sequence_len, embedding_size, device, dtype)
        self.layers = ModuleList(
            [
                TransformerLayer(
                    embedding_size,
                    num_head,
                    dim_head,
                    hidden_size,
                    dropout=dropout,
                    causal=causal,
                    device=device,
                    dtype=dtype,
                    activation=activation,
                    layer_norm_eps=layer_norm_eps,
                )
                for _ in range(num_layers)
            ]
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Device | str | None = None, dtype: Any = "float32"
    ) -> Tensor:
        """The causal mask to add to scores, (sz, sz): -inf above the diagonal, else 0."""
        mask = np.triu(np.full((sz, sz), -np.inf), 1)
        return Tensor(mask, device=device, dtype=dtype, requires_grad=False)

    def forward(
        self, x: Tensor, h: Any = None, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, Tensor]:
        check_floats("Transformer", x)
        size = self.embedding.weight.shape[1]
        if x.ndim != 3 or x.shape[2] != size:
            layout = "(batch, positions" if self.batch_first else "(positions, batch"
            raise ValueError(f"Transformer expected {layout}, {size}), got {x.shape}")
        if not self.batch_first:
            x = x.transpose((0, 1))
        first = 0 if cache is None else cache.length
        stop = first + x.shape[1]
        if stop > self.sequence_len:
            raise ValueError(f"Transformer: {stop} positions, sequence_len is {self.sequence_len}")
        x = x + self.embedding.weight[first:stop]
        for layer in self.layers:
            x = layer(x, cache=cache)
        if not self.batch_first:
            x = x.transpose((0, 1))
        return x, zeros_like(x)
