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


class SoftmaxCrossEntropy(TensorOp):
    """logsumexp(z) - z_y for each row z of the logits and its class number y.

    Adjoint of the logits: g·(softmax(z) - onehot(y)); none of the class numbers.
    """

    def compute(self, logits: Array, labels: Array) -> Array:
        _check(logits, labels)
        # z minus its maximum: exp cannot overflow, and the sum is at least 1
        shifted = logits - np.max(logits, axis=1, keepdims=True)
        total = np.sum(np.exp(shifted), axis=1)
        try:
            return np.log(total) - shifted[_at_labels(labels)]
        except IndexError:
            raise ValueError(_outside(np.max(labels), logits)) from None

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        logits, labels = node.inputs
        return _SoftmaxMinusOneHot()(out_grad, logits, labels), None


class _SoftmaxMinusOneHot(TensorOp):
    """w·(softmax(z) - onehot(y)) for each row, its weight w and its class number y.

    Adjoints: Σ g·(softmax(z) - onehot(y)) of the weight; that of w·softmax(z) of the row.
    """

    def compute(self, weights: Array, logits: Array, labels: Array) -> Array:
        result = np.exp(logits - np.max(logits, axis=1, keepdims=True))
        result /= np.sum(result, axis=1, keepdims=True)
        result[_at_labels(labels)] -= 1
        result *= weights[:, None]
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, logits, labels = node.inputs
        probabilities = softmax(logits, 1)
        at_labels = out_grad[_at_labels(labels.realize_cached_data())]
        adjoint = (out_grad * probabilities).sum(1) - at_labels
        weighted = out_grad * probabilities * weights.expand_dims(1)
        return adjoint, weighted - probabilities * summation(weighted, 1, keepdims=True), None


def _check(logits: Array, labels: Array) -> None:
    if logits.ndim != 2 or not logits.size:
        raise ValueError("expected logits of shape (batch, classes)")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"expected integer labels, got {labels.dtype}: use astype('int64')")
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"expected one label for each of the {logits.shape[0]} rows of logits")
    # a label that is too large fails when it is used as an index; a negative one would not
    if labels.dtype.kind == "i" and np.min(labels) < 0:
        raise ValueError(_outside(np.min(labels), logits))


def _outside(label: Any, logits: Array) -> str:
    classes = logits.shape[1]
    return f"label {label} is outside the {classes} classes: labels are 0 to {classes - 1}"


def softmax_cross_entropy(logits: Tensor, labels: Any) -> Tensor:
    """The cross-entropy of each row's softmax with its class number.

    Args:
        logits: (batch, classes), floats.
        labels: (batch,), integers from 0 to classes - 1.

    Returns:
        (batch,): logsumexp(z) - z_y, finite for any finite logits.

    Raises:
        TypeError: the labels are not integers.
        ValueError: their number is not that of the rows, or one is not a class.
    """
    return SoftmaxCrossEntropy()(logits, labels)
