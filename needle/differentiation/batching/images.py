"""Batching rules of convolution and of windows over images (N, C, ...).

The images of all examples are one batch of images where they share a weight. Where they do not, the
channels of all examples lie side by side, and each example is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autograd import Tensor
from ...ops import permute, reshape
from .batches import Operand, changed, full

__all__ = ["convolution", "convolution_of_weights", "windows"]


def windows(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    return _split(op(*[_joined(operand, size) for operand in operands]), size)


def convolution(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    images, *others = operands
    if not any(operand.is_batched for operand in others):
        return _split(op(_joined(images, size), *[operand.value for operand in others]), size)
    weights = [_joined(operand, size) for operand in others]  # of which axis 0 are the channels
    y = changed(op, groups=op.groups * size)(_side_by_side(images, size), *weights)
    y = reshape(y, (y.shape[0], size, y.shape[1] // size, *y.shape[2:]))
    return permute(y, (1, 0, *range(2, y.ndim)))


def convolution_of_weights(op: Any, operands: Sequence[Operand], size: int) -> Tensor:
    images = [_side_by_side(operand, size) for operand in operands]
    return _split(changed(op, groups=op.groups * size)(*images), size)


def _joined(operand: Operand, size: int) -> Tensor:
    """The examples one after another along axis 0."""
    a = full(operand, size)
    return reshape(a, (size * a.shape[1], *a.shape[2:]))


def _split(a: Tensor, size: int) -> Tensor:
    """The inverse of `_joined`."""
    return reshape(a, (size, a.shape[0] // size, *a.shape[1:]))


def _side_by_side(operand: Operand, size: int) -> Tensor:
    """(N, examples·C, ...): the channels of all examples in one image."""
    a = full(operand, size)
    a = permute(a, (1, 0, *range(2, a.ndim)))
    return reshape(a, (a.shape[0], size * a.shape[2], *a.shape[3:]))
