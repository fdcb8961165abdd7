"""Lookup tables of vectors.

Raises:
    TypeError: indices are not a Tensor of whole numbers.
    ValueError: an index names no row, offsets are not those of bags, or shapes do not fit.
"""

from functools import cache
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor, no_grad
from ...ops.functions import in_single_precision
from ..checks import check_tensor, numbers_of

__all__ = ["embedding", "embedding_bag"]

_embedding = cache(ops.Embedding)  # one instance for all calls


def embedding(
    x: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """The rows of `weight` (number, dim) at the indices x (...): (..., dim).

    Args:
        x: indices from 0 to number - 1, whole numbers in any dtype.
        weight: a matrix.
        padding_idx: a row that gets no gradient; -1 is the last one.
        max_norm: rows that x names and whose norm is larger are first scaled to it, in place.
        norm_type: the p of this norm.
        scale_grad_by_freq: whether the gradient of a row is divided by how often x names it.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> weight = ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> print(F.embedding(ndl.Tensor([1, 0]), weight))
        [[3. 4.]
         [1. 2.]]
    """
    check_tensor("Embedding", x)
    op = _embedding(row_number(padding_idx, weight.shape[0]), scale_grad_by_freq)
    if max_norm is not None:
        _limit_norms(op, x, weight, max_norm, norm_type)
    return op(weight, x)


def row_number(padding_idx: int | None, rows: int) -> int | None:
    """`padding_idx` counted from the first row."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(f"Embedding: padding_idx {padding_idx} names none of {rows} rows")
    return padding_idx % rows


def _limit_norms(op: Any, x: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> None:
    with no_grad():
        rows = op(weight, x)
        norms = ops.vector_norm(rows, norm_type, axis=-1, keepdims=True)
        limited = ops.where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)
        weight[x.astype(np.intp)] = limited


def embedding_bag(
    x: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The mean, the sum or the largest elements of the rows that each bag of indices names.

    Args:
        x: (bags, length), or (n,) with `offsets`.
        weight: (number, dim).
        offsets: (bags,), where each bag begins in x; the first is 0. A bag without indices is 0.
        max_norm, norm_type, scale_grad_by_freq: as in `embedding`.
        mode: "mean", "sum" or "max".
        per_sample_weights: a factor for each index, in the shape of x, with mode "sum" alone.
        include_last_offset: whether the last offset is the end of the last bag.
        padding_idx: a row that is left out, and does not count in the mean.

    Returns:
        (bags, dim).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> weight = ndl.Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> print(F.embedding_bag(ndl.Tensor([0, 1, 2]), weight, ndl.Tensor([0, 2])))
        [[2. 3.]
         [5. 6.]]
    """
    check_tensor("EmbeddingBag", x)
    check_bag_mode(mode)
    if per_sample_weights is not None:
        if mode != "sum":
            raise ValueError(f"EmbeddingBag: per_sample_weights go with mode 'sum', not {mode!r}")
        if per_sample_weights.shape != x.shape:
            raise ValueError(
                f"EmbeddingBag expected per_sample_weights of shape {x.shape}, "
                f"got {per_sample_weights.shape}"
            )
    padding = row_number(padding_idx, weight.shape[0])
    rows = embedding(x, weight, padding, max_norm, norm_type, scale_grad_by_freq)
    counted = None if padding is None else ops.not_equal(x, padding)
    if per_sample_weights is not None:
        rows = rows * ops.expand_dims(per_sample_weights, -1)
    if x.ndim == 2 and offsets is None:
        pass
    elif x.ndim == 1 and offsets is not None:
        places, is_inside = _places(offsets, len(x), include_last_offset)
        if len(x):
            rows = rows[places]
            counted = is_inside if counted is None else counted[places] & is_inside
        else:
            rows = ops.broadcast_to(rows, (len(places), *rows.shape))
    else:
        raise ValueError(
            "EmbeddingBag expected indices (bags, length), or (n,) and offsets, got "
            f"{x.shape} {'without' if offsets is None else 'and'} offsets"
        )
    return _reduced(rows, counted, mode)


def check_bag_mode(mode: str) -> None:
    if mode not in ("mean", "sum", "max"):
        raise ValueError(f"EmbeddingBag: mode must be 'mean', 'sum' or 'max', got {mode!r}")


def _places(offsets: Any, count: int, include_last_offset: bool) -> tuple[Tensor, Tensor]:
    """For each bag the places of its indices, filled up with 0, and which are not filled up."""
    starts = numbers_of(offsets, "give EmbeddingBag (bags, length) indices, with a padding_idx")
    bounds = starts if include_last_offset else np.append(starts, count)
    if starts.ndim != 1 or len(bounds) < 1 or starts.dtype.kind not in "iu" or bounds[0] != 0:
        raise ValueError(
            f"EmbeddingBag expected offsets (bags,) of whole numbers, the first 0, got {starts}"
        )
    lengths = np.diff(bounds)
    if (lengths < 0).any() or bounds[-1] > count:
        raise ValueError(f"EmbeddingBag: offsets {starts} do not go up within the {count} indices")
    steps = np.arange(lengths.max(initial=0))
    is_inside = steps < lengths[:, None]
    places = np.where(is_inside, bounds[:-1, None] + steps, 0)
    return Tensor(places, requires_grad=False), Tensor(is_inside, requires_grad=False)


@in_single_precision
def _reduced(rows: Tensor, counted: Tensor | None, mode: str) -> Tensor:
    """One row for each bag; rows is (bags, length, dim), counted (bags, length)."""
    bags, length, _ = rows.shape
    if not length:
        return rows.sum(1)
    if counted is None:
        counted = Tensor.make_const(rows.device.full((bags, length), True, bool))
    inside = ops.expand_dims(counted, -1)
    if mode == "max":
        largest = ops.where(inside, rows, -np.inf).max(axis=1)
        return ops.where(counted.any(1, keepdims=True), largest, 0)
    total = ops.where(inside, rows, 0).sum(1)
    if mode == "sum":
        return total
    return total / ops.maximum(counted.astype(rows.dtype).sum(1, keepdims=True), 1)
