"""Linear and bilinear maps, activations, dropout, flattening.

Raises:
    TypeError: an operand is not a Tensor of floating-point numbers. `flatten` and `unflatten` take
        any Tensor.
    ValueError: shapes do not fit.
"""

import math
from collections.abc import Sequence

from ... import ops
from ...autograd import Tensor
from ...device import Generator
from ...ops import (
    elu,
    flatten,
    gelu,
    hardtanh,
    leaky_relu,
    relu,
    sigmoid,
    silu,
    softplus,
    tanh,
    where,
)
from ...ops.contraction import affine, matmul
from ...ops.names import by_any_name
from ...ops.random import Kept, dropped
from ..checks import check_floats, check_fraction, check_tensor, check_trailing
from .spatial import for_axes, on_batch

__all__ = [
    "bilinear", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "flatten",
    "gelu", "hardtanh", "leaky_relu", "linear", "log_softmax", "prelu", "relu", "sigmoid",
    "silu", "softmax", "softplus", "tanh", "unflatten",
]  # fmt: skip


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·W + b over the last axis: x (..., in), weight (in, out), bias (1, out) or (out,).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.linear(ndl.init.ones(5, 4), ndl.init.ones(4, 3), ndl.init.zeros(1, 3)).shape
        (5, 3)
    """
    check_trailing("Linear", x, weight.shape[-2:-1] or weight.shape)
    if bias is None:
        return matmul(x, weight)
    if x.ndim == 1 and bias.ndim == 2:  # the result would keep its axis of length 1
        bias = bias.reshape((bias.size,))
    return affine(x, weight, bias)


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1ᵀ·W_k·x2 + b_k for each output k: (..., out).

    Operands: x1 (..., in1), x2 (..., in2), weight (out, in1, in2), bias (out,).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.bilinear(ndl.init.ones(5, 4), ndl.init.ones(5, 2), ndl.init.ones(3, 4, 2)).shape
        (5, 3)
    """
    outputs, in1, in2 = weight.shape
    check_trailing("Bilinear", x1, (in1,))
    check_trailing("Bilinear", x2, (in2,))
    if x1.shape[:-1] != x2.shape[:-1]:
        raise ValueError(
            f"Bilinear expected inputs with equal leading axes, got {x1.shape} and {x2.shape}"
        )
    columns = weight.permute((1, 0, 2)).reshape((in1, outputs * in2))
    left = (x1 @ columns).reshape((*x1.shape[:-1], outputs, in2))
    y = (left @ x2.expand_dims(-1)).squeeze(-1)
    return y if bias is None else y + bias


@by_any_name
def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """eˣ / Σ eˣ along the axis `dim`: positive, sums to 1.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.softmax(ndl.Tensor([0.0, 0.0, 1000.0])))
        [0. 0. 1.]
    """
    return ops.softmax(x, dim)


@by_any_name
def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """ln softmax(x) along the axis `dim`, finite for any finite x.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.log_softmax(ndl.Tensor([0.0, 0.0])))
        [-0.69314718 -0.69314718]
    """
    return ops.logsoftmax(x, dim)


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p; x itself unless `training`.

    Random numbers come from `generator`, by default from NumPy's global state. p outside [0, 1] is
    a ValueError.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.dropout(ndl.init.ones(3), training=False))
        [1. 1. 1.]
    """
    p = check_fraction("dropout: p", p)
    if not training:
        return x
    check_floats("Dropout", x)
    return dropped(p)(x, Kept(p, generator)(x))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight·x: one weight for all, or one for each channel, axis 1 of x.

    Raises:
        ValueError: another number of weights than 1 or that of the channels.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.prelu(ndl.Tensor([-1.0, 2.0]), ndl.Tensor([0.25])))
        [-0.25  2.  ]
    """
    check_floats("PReLU", x)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.size not in (1, channels):
        raise ValueError(
            f"PReLU expected 1 weight or {channels}, one for each channel of x {x.shape}, got "
            f"{weight.size}"
        )
    weight = weight.reshape((-1, *[1] * (x.ndim - 2)) if weight.size > 1 else ())
    return where(x > 0, x, weight * x)


def _dropout(
    n: int, x: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Tensor:
    p = check_fraction(f"dropout{n}d: p", p)

    def masked(x: Tensor) -> Tensor:
        first = x[(slice(None), slice(None), *[slice(0, 1)] * n)]
        return dropped(p)(x, Kept(p, generator)(first)) if training else x

    return on_batch(f"dropout{n}d", n, x, masked)


dropout1d, dropout2d, dropout3d = for_axes(
    _dropout,
    "dropout{n}d",
    """Each channel of x {layout} 0 with probability p, else divided by 1 - p.

    x itself unless `training`. Random numbers come from `generator`, by default from NumPy's global
    state.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.dropout{n}d(ndl.init.ones(2, 6, {a}), 0.2).shape
        (2, 6, {a})
    """,
)


@by_any_name
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits the axis `dim` into axes of the given lengths; one may be -1, which is inferred.

    An axis that x does not have is an IndexError.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> F.unflatten(ndl.init.ones(5, 12), 1, (4, 3)).shape
        (5, 4, 3)
    """
    check_tensor("Unflatten", x)
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"unflatten: axis {dim} of a tensor of shape {x.shape}")
    axis = dim % x.ndim
    length = x.shape[axis]
    known = math.prod(size for size in sizes if size != -1)
    lengths = [length // known if size == -1 and known else size for size in sizes]
    if math.prod(lengths) != length or min(lengths, default=0) < 0:
        raise ValueError(
            f"unflatten: axis {dim} of length {length} does not split into {tuple(sizes)}"
        )
    return x.reshape((*x.shape[:axis], *lengths, *x.shape[axis + 1 :]))
