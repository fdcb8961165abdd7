"""Attention.

Raises:
    TypeError: an operand is not a Tensor of floating-point numbers, or a mask holds integers.
    ValueError: shapes do not fit.
"""

from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...device import Generator
from ...ops.attention import has_many_scores
from ...ops.random import Kept, Seeds
from ..checks import check_floats, check_fraction

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale·query·keyᵀ + mask)·value (Vaswani et al. 2017).

    Args:
        query, key, value: (..., L, E), (..., S, E) and (..., S, V); leading axes broadcast.
        attn_mask: broadcasts to (..., L, S): booleans, true where a query sees a key, or numbers
            that are added to the scores.
        dropout_p: the probability with which a weight is set to 0; the others are divided by
            1 - dropout_p. Always applied: pass 0 outside training.
        is_causal: whether query i sees the keys 0 to i only.
        scale: by default 1/√E.
        enable_gqa: whether the query may have several times as many heads, axis -3, as key and
            value, of which each serves as many neighbouring heads of the query (Ainslie et al.
            2023).

    Returns:
        (..., L, V). A query that sees no key gives 0.

    With many scores, queries are processed in blocks: the memory needed then grows with L + S
    instead of L·S, also in the backward pass. Dropout then draws one number for each matrix of
    scores, the seed from which each block draws what is kept, forward and backward.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.init.randn(2, 5, 4)
        >>> F.scaled_dot_product_attention(x, x, x, is_causal=True).shape
        (2, 5, 4)
    """
    return attend(query, key, value, attn_mask, dropout_p, 0 if is_causal else None, scale,
                  grouped=enable_gqa)[0]  # fmt: skip


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Any = None,
    dropout: float = 0.0,
    diagonal: int | None = None,
    scale: float | None = None,
    *,
    grouped: bool = False,
    need_weights: bool = False,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """`scaled_dot_product_attention`, and its weights (..., L, S) if they are wanted.

    Query i sees the keys up to i + diagonal.
    """
    check_fraction("attention: dropout", dropout)
    scores = _check_operands(query, key, value, grouped)
    dtype = query.dtype
    if dtype.char == "e":  # sums and exponentials in float32, as in PyTorch
        query, key, value = [each.astype("float32") for each in (query, key, value)]
    if mask is not None:
        mask = _mask(mask, query, scores)
    heads = query.shape[-3:-2]
    if grouped:
        query, key, value, mask = _grouped(query, key, value, mask)
        scores = (*scores[:-3], *query.shape[-4:-2], *scores[-2:])
    kept = None
    if dropout:
        zeros = Tensor.make_const(query.device.full((), 0, query.dtype))
        if need_weights or not has_many_scores(scores):
            kept = Kept(dropout, generator)(zeros.broadcast_to(scores))
        else:  # the mask would take the memory that blocks save
            kept = Seeds(generator)(zeros.broadcast_to((*scores[:-2], 1, 1)))
    operands = query, key, value, mask, kept, dropout, scale, diagonal
    weights = None
    if need_weights:
        y, weights = ops.attention_weights(*operands)
    else:
        y = ops.attention(*operands)
    if grouped:
        y = y.reshape((*y.shape[:-4], *heads, *y.shape[-2:]))
    if y.dtype == dtype:
        return y, weights
    return y.astype(dtype), weights if weights is None else weights.astype(dtype)


def _check_operands(query: Tensor, key: Tensor, value: Tensor, grouped: bool) -> tuple[int, ...]:
    """Raise unless shapes and dtypes fit; returns the shape of the scores."""
    for name, each in (("query", query), ("key", key), ("value", value)):
        check_floats(f"attention: {name}", each)
        if each.ndim < (3 if grouped else 2):
            layout = (
                "(..., heads, positions, features)" if grouped else "(..., positions, features)"
            )
            raise ValueError(f"attention: expected a {name} {layout}, got {each.shape}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            "attention: expected query (..., L, E), key (..., S, E) and value (..., S, V), got "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    leading = [each.shape[:-2] for each in (query, key, value)]
    if grouped:
        heads = [each.shape[-3] for each in (query, key, value)]
        if heads[1] != heads[2] or not heads[1] or heads[0] % heads[1]:
            raise ValueError(
                f"attention: {heads[0]} heads of the query are not a multiple of {heads[1]} of the "
                f"key and {heads[2]} of the value"
            )
        leading[1:] = [(*each[:-1], heads[0]) for each in leading[1:]]
    try:
        shape = np.broadcast_shapes(*leading)
    except ValueError:
        raise ValueError(
            "attention: the leading axes do not broadcast: query, key and value have shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        ) from None
    return (*shape, query.shape[-2], key.shape[-2])


def _mask(mask: Any, query: Tensor, scores: tuple[int, ...]) -> Tensor:
    if not isinstance(mask, Tensor):
        mask = Tensor.make_const(query.device.array(mask))
    if mask.dtype.kind not in "bf":
        raise TypeError(
            "attention: a mask holds booleans, true where a query sees a key, or floating-point "
            f"numbers to add, got {mask.dtype}: use astype('bool')"
        )
    try:
        fits = np.broadcast_shapes(mask.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"attention: a mask of shape {mask.shape} does not broadcast to the scores, {scores}: "
            f"{scores[-2]} queries, {scores[-1]} keys"
        )
    return mask


def _grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> list[Any]:
    """Operands whose heads of the query are an axis of groups and one of members."""
    groups = key.shape[-3]

    def split(a: Tensor) -> Tensor:
        return a.reshape((*a.shape[:-3], groups, a.shape[-3] // groups, *a.shape[-2:]))

    if mask is not None and mask.ndim > 2:
        mask = mask.expand_dims(-3) if mask.shape[-3] == 1 else split(mask)
    return [split(query), key.expand_dims(-3), value.expand_dims(-3), mask]
