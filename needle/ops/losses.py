"""Losses whose composition of small ops would be slow or lose accuracy.

In the formulas g is the adjoint of the result.
"""

from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .reductions import softmax, summation

__all__ = ["SoftmaxCrossEntropy", "softmax_cross_entropy"]


def _at_labels(labels: Array) -> tuple[Array, Array]:
    """The index of one element a row: the one that the row's label names."""
    return np.arange(labels.shape[0], like=labels), labels


_FEW_CLASSES = 64


class _LogProbabilities(TensorOp):
    """ln softmax(z) of each row, as a constant that the loss and its gradient share."""

    differentiable = False

    def compute(self, logits: Array) -> Array:
        if logits.ndim != 2 or not logits.size:
            raise ValueError("expected logits of shape (batch, classes)")
        if logits.shape[1] <= _FEW_CLASSES:
            # NumPy reduces along the axis with the longer stride, several rows at a time
            logits = np.copy(logits, order="F")
        shifted = logits - np.max(logits, axis=1, keepdims=True)
        return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


class SoftmaxCrossEntropy(TensorOp):
    """logsumexp(z) - z_y for each row z of the logits and its class number y, or the mean of them.

    Its second operand is ln softmax(z), computed beforehand. Adjoint of the logits:
    g·(softmax(z) - onehot(y)), for the mean divided by the number of rows.
    """

    def __init__(self, mean: bool = False) -> None:
        self.mean = mean

    def compute(self, logits: Array, log_probabilities: Array, labels: Array) -> Array:
        _check(logits, labels)
        at_labels = log_probabilities[_at_labels(labels)]
        return np.sum(at_labels) / -labels.shape[0] if self.mean else -at_labels

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None, None]:
        return _SoftmaxMinusOneHot(self.mean)(out_grad, *node.inputs), None, None


class _SoftmaxMinusOneHot(TensorOp):
    """w·(softmax(z) - onehot(y)) for each row z; for the mean, one weight w divided by the rows.

    Adjoints: Σ g·(softmax(z) - onehot(y)) of a weight; that of w·softmax(z) of the row.
    """

    def __init__(self, mean: bool) -> None:
        self.mean = mean

    def compute(
        self, weights: Array, logits: Array, log_probabilities: Array, labels: Array
    ) -> Array:
        result = np.exp(log_probabilities)
        result[_at_labels(labels)] -= 1
        result *= weights / labels.shape[0] if self.mean else weights[:, None]
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weights, logits, _, labels = node.inputs
        probabilities = softmax(logits, 1)
        at_labels = out_grad[_at_labels(labels.realize_cached_data())]
        of_weights = (out_grad * probabilities).sum(1) - at_labels
        if self.mean:
            of_weights = of_weights.sum() / logits.shape[0]
            weights = weights / logits.shape[0]
        else:
            weights = weights.expand_dims(1)
        weighted = out_grad * probabilities * weights
        of_logits = weighted - probabilities * summation(weighted, 1, keepdims=True)
        return of_weights, of_logits, None, None


def _check(logits: Array, labels: Array) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"expected integer labels, got {labels.dtype}: use astype('int64')")
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"expected {logits.shape[0]} labels, one a row, got {labels.shape}")
    classes = logits.shape[1]
    try:
        np.ravel_multi_index((labels,), (classes,))  # looks at both ends, in one fast pass
    except ValueError:
        raise ValueError(
            f"labels from {np.min(labels)} to {np.max(labels)} for {classes} classes: "
            f"labels must be 0 to {classes - 1}"
        ) from None


def softmax_cross_entropy(logits: Tensor, labels: Any, mean: bool = False) -> Tensor:
    """The cross-entropy of each row's softmax with its class number.

    Args:
        logits: (batch, classes), floats.
        labels: (batch,), integers from 0 to classes - 1.
        mean: whether to average over the batch.

    Returns:
        logsumexp(z) - z_y, finite for any finite logits: (batch,), or () for the mean.

    Raises:
        TypeError: the labels are not integers.
        ValueError: their number is not that of the rows, or one is not a class.
    """
    log_probabilities = _apply(_log_probabilities, (logits,))
    op = _mean_cross_entropy if mean else _cross_entropy
    return _apply(op, (logits, log_probabilities, labels))


_apply = Tensor.make_from_op
_log_probabilities = _LogProbabilities()
_cross_entropy = SoftmaxCrossEntropy(mean=False)
_mean_cross_entropy = SoftmaxCrossEntropy(mean=True)
