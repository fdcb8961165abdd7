"""Losses whose composition of small ops would be slow or lose accuracy.

In the formulas g is the adjoint of the result.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from .kinds import whole_numbers
from .reductions import softmax, summation

__all__ = ["SoftmaxCrossEntropy", "softmax_cross_entropy"]


def class_numbers(labels: Array) -> Array:
    """Labels as integers: those that hold integers as they are, floats if all of them are whole.

    Raises:
        TypeError: they hold something else.
    """
    return whole_numbers(
        labels,
        "labels are whole class numbers",
        ": cross_entropy takes probabilities too, in the shape of the logits",
    )


def _at_labels(labels: Array) -> tuple[Array, Array]:
    """The index of one element a row: the one that the row's label names."""
    return np.arange(labels.shape[0], like=labels), labels


_FEW_CLASSES = 64


class _LogProbabilities(TensorOp):
    """ln softmax(z) of each row, as a constant that the loss and its gradient share."""

    differentiable = False

    def compute(self, logits: Array) -> Array:
        if logits.ndim != 2 or not logits.shape[1]:
            raise ValueError("expected logits of shape (batch, classes)")
        if logits.dtype.kind != "f":
            logits = logits.astype(np.float64)  # the difference of small integers wraps around
        # the methods of ufuncs: np.max and np.sum take twice as long on a small batch
        if logits.shape[1] <= _FEW_CLASSES:
            # NumPy reduces along the axis with the longer stride, several rows at a time
            shifted = np.copy(logits, order="F")
            shifted -= np.maximum.reduce(shifted, axis=1, keepdims=True)
        else:
            shifted = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
        shifted -= np.log(np.add.reduce(np.exp(shifted), axis=1, keepdims=True))
        return shifted

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return _cross_entropy._error(cause, arrays)  # the op that users know


class SoftmaxCrossEntropy(TensorOp):
    """logsumexp(z) - z_y for each row z of the logits and its class number y, or the mean of them.

    Its second operand is ln softmax(z), computed beforehand. Adjoint of the logits:
    g·(softmax(z) - onehot(y)), for the mean divided by the number of rows.
    """

    def __init__(self, mean: bool = False) -> None:
        self.mean = mean

    def compute(self, logits: Array, log_probabilities: Array, labels: Array) -> Array:
        labels = class_numbers(labels)
        _check(logits, labels)
        at_labels = log_probabilities[_at_labels(labels)]
        if not self.mean:
            return -at_labels
        if not labels.size:
            raise ValueError("the mean of no losses: expected logits of shape (batch, classes)")
        return np.add.reduce(at_labels) / -labels.shape[0]

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return super()._error(cause, [arrays[0], *arrays[2:]])  # what the user passed

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None, None]:
        op = _mean_minus_one_hot if self.mean else _minus_one_hot
        return _apply(op, (out_grad, *node.inputs)), None, None


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
        result[_at_labels(class_numbers(labels))] -= 1
        result *= weights / labels.shape[0] if self.mean else weights[:, None]
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weights, logits, _, labels = node.inputs
        probabilities = softmax(logits, 1)
        at_labels = out_grad[_at_labels(class_numbers(labels.realize_cached_data()))]
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
        labels: (batch,), class numbers from 0 to classes - 1: integers, or floats that are whole.
        mean: whether to average over the batch.

    Returns:
        logsumexp(z) - z_y, finite for any finite logits: (batch,), or () for the mean.

    Raises:
        TypeError: a label is no whole number.
        ValueError: their number is not that of the rows, one is not a class, or there is none to
            take the mean of.
    """
    log_probabilities = _apply(_log_probabilities, (logits,))
    op = _mean_cross_entropy if mean else _cross_entropy
    return _apply(op, (logits, log_probabilities, labels))


_apply = Tensor.make_from_op
_log_probabilities = _LogProbabilities()
_cross_entropy = SoftmaxCrossEntropy(mean=False)
_mean_cross_entropy = SoftmaxCrossEntropy(mean=True)
_minus_one_hot = _SoftmaxMinusOneHot(mean=False)
_mean_minus_one_hot = _SoftmaxMinusOneHot(mean=True)
