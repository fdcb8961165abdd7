"""Batching rules of normalisation, attention and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autograd import Tensor
from ...ops import broadcast_to, expand_dims, make_tuple, mean, reshape
from .batches import Operand, by_loop, changed, entries_of, full, shifted, widened

__all__ = [
    "attention", "attention_adjoint", "cross_entropy", "cross_entropy_adjoint", "log_likelihood",
    "normalize", "normalize_adjoint",
]  # fmt: skip


def normalize(op: Any, operands: Sequence[Operand], size: int) -> Any:
    x, *others = operands
    if any(operand.is_batched for operand in others):  # which have one shape
        others = [Operand(full(operand, size), True) for operand in others]
    values = [widened(operand, len(x.shape)) for operand in others]
    return changed(op, axes=shifted(op.axes, len(x.shape)))(full(x, size), *values)


def normalize_adjoint(op: Any, operands: Sequence[Operand], size: int) -> tuple[Tensor, ...]:
    g, x, weight, outputs = operands
    scale = widened(Operand(full(weight, size), True), len(x.shape))
    moved = changed(op, axes=shifted(op.axes, len(x.shape)))
    tensors = make_tuple(*full(outputs, size))
    of_x, *others = moved(full(g, size), full(x, size), scale, tensors)
    return of_x, *[reshape(each, (size, *weight.shape)) for each in others]


def attention(op: Any, operands: Sequence[Operand], size: int) -> Any:
    """The op itself: the batch is one of its leading axes."""
    q, *others = operands
    tensors = [full(operand, size) for operand in others[:2]]
    masks = [widened(operand, len(q.shape)) for operand in others[2:]]
    return op(full(q, size), *tensors, *masks)


def attention_adjoint(op: Any, operands: Sequence[Operand], size: int) -> tuple[Tensor, ...]:
    g, outputs, q, k, v, *others = operands
    tensors = [full(operand, size) for operand in (q, k, v)]
    whole = [Operand(full(operand, size), True) for operand in others]
    masks = [widened(operand, len(q.shape)) for operand in whole]
    adjoints = op(full(g, size), make_tuple(*full(outputs, size)), *tensors, *masks).tuple()
    return *adjoints[:3], *[reshape(each, whole[0].value.shape) for each in adjoints[3:]]


def _rows(operand: Operand, size: int) -> Tensor:
    """The rows, or the labels, of all examples, one after another."""
    a = full(operand, size)
    return reshape(a, (size * a.shape[1], *a.shape[2:]))


def _are_rows_and_labels(scores: Operand, labels: Operand) -> bool:
    return len(scores.shape) == 2 and labels.shape == scores.shape[:1]


def cross_entropy(op: Any, operands: Sequence[Operand], size: int) -> Any:
    scores, labels = operands
    if not _are_rows_and_labels(scores, labels) or (
        op.mean and (op.ignore_index is not None or not scores.shape[0])
    ):
        return by_loop(op, operands, size)  # which checks that each example has labels to count
    of_all = changed(op, mean=False)(_rows(scores, size), _rows(labels, size))
    found = reshape(of_all[0], (size, scores.shape[0]))
    logarithms = reshape(of_all[1], (size, *scores.shape))
    return mean(found, 1) if op.mean else found, logarithms


def cross_entropy_adjoint(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    weights, scores, labels, outputs = operands
    if op.mean and op.ignore_index is not None:
        return by_loop(op, operands, size)
    rows = scores.shape[0]
    share = full(weights, size)
    if op.mean:
        share = broadcast_to(expand_dims(share / rows, 1), (size, rows))
    logarithms = _rows(entries_of(Operand(full(outputs, size), True))[1], size)
    found = changed(op, mean=False)(
        reshape(share, (size * rows,)),
        _rows(scores, size),
        _rows(labels, size),
        make_tuple(logarithms, logarithms),  # of which only the second is read
    )
    return reshape(found, (size, *scores.shape))


def log_likelihood(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    if not _are_rows_and_labels(*operands):
        return by_loop(op, operands, size)
    found = op(*[_rows(operand, size) for operand in operands])
    return reshape(found, (size, operands[0].shape[0]))
