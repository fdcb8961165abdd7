"""Losses."""

import numpy as np

from .. import ops
from ..autograd import Tensor
from .module import Module

__all__ = ["SoftmaxLoss"]


class SoftmaxLoss(Module):
    """Softmax cross-entropy, the mean over the batch of logsumexp(z) - z_y.

    Called with logits (N, classes) and class numbers (N,), an integer tensor.

    Raises:
        TypeError: the labels are not integers.
        ValueError: their number differs from the batch, or one is outside the classes.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[0.0, 0.0]])
        >>> round(ndl.nn.SoftmaxLoss()(logits, ndl.Tensor([1])).item(), 4)
        0.6931
    """

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        _check_labels(logits, y)
        batch_size = logits.shape[0]
        picked = logits[np.arange(batch_size), y]
        return (ops.logsumexp(logits, axes=1) - picked).sum() / batch_size


def _check_labels(logits: Tensor, labels: Tensor) -> None:
    """Raise unless `labels` (N,) are class numbers for `logits` (N, classes)."""
    if logits.ndim != 2 or not logits.size:
        raise ValueError(f"SoftmaxLoss expected logits (batch, classes), got {logits.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"SoftmaxLoss expected integer labels, got {labels.dtype}: use astype('int64')"
        )
    batch_size, classes = logits.shape
    if labels.shape != (batch_size,):
        raise ValueError(
            f"SoftmaxLoss expected {batch_size} labels for logits of shape {logits.shape}, "
            f"got labels of shape {labels.shape}"
        )
    numbers = labels.realize_cached_data()
    lowest, highest = numbers.min(), numbers.max()
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"SoftmaxLoss: labels from {lowest} to {highest}, but {classes} logits: "
            f"labels must be 0 to {classes - 1}"
        )
