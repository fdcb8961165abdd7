"""Losses whose composition of small ops would be slow or lose accuracy.

In the formulas g is the adjoint of the result.
"""

from functools import cache
from typing import Any

import numpy as np

from ..autograd import Array, Op, Tensor, TensorOp, TensorTupleOp
from ..device import to_numpy
from .activations import hardtanh
from .arithmetic import masked, maximum
from .functions import in_single_precision
from .indexing import ARRAY, ScatterAdd
from .kinds import Elementwise, binary, check_whole_numbers, constant_like, elementwise
from .reductions import softmax, summation
from .sums import sum_over

__all__ = [
    "BinaryCrossEntropy", "binary_cross_entropy", "NegativeLogLikelihood", "SoftmaxCrossEntropy",
    "softmax_cross_entropy", "WeightedMean",
]  # fmt: skip


def class_numbers(labels: Array) -> Array:
    """Labels as signed integers; floats must have integer values."""
    _check_whole(labels)
    return labels if labels.dtype.kind == "i" else labels.astype(np.int64)


def _check_whole(labels: Array) -> None:
    hint = ": cross_entropy takes probabilities too, in the shape of the logits"
    check_whole_numbers(labels, "labels are whole class numbers", hint)


_FEW_CLASSES = 64


def _log_softmax(logits: Array) -> Array:
    """ln softmax(z) of each row."""
    if logits.dtype.kind != "f":
        logits = logits.astype(np.float64)  # the difference of small integers wraps around
    # the method: np.max takes twice as long on a small batch
    if logits.shape[1] <= _FEW_CLASSES:
        # NumPy reduces along the axis with the longer stride, several rows at a time
        shifted = logits.copy("F")
        shifted -= shifted.max(axis=1, keepdims=True)
    else:
        shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(sum_over(np.exp(shifted), (1,)))
    return shifted


class _OfLabels(Op):
    """What the losses of labels have in common: `mean` is over labels other than ignore_index."""

    def __init__(self, mean: bool = False, ignore_index: int | None = None) -> None:
        self.mean = mean
        self.ignore_index = ignore_index

    def _check_labels(self, scores: Array, labels: Array) -> None:
        if scores.ndim != 2 or not scores.shape[1]:
            raise ValueError("expected logits of shape (batch, classes)")
        if labels.dtype.kind != "i":
            _check_whole(labels)
        rows, classes = scores.shape
        if labels.shape != (rows,):
            raise ValueError(f"expected {rows} labels, one per row, got {labels.shape}")
        if not rows:
            if self.mean:
                raise ValueError("the mean of no losses: expected logits of shape (batch, classes)")
            return
        numbers, counted = _numbers(labels, self.ignore_index)
        numbers = numbers.astype(np.uint64)  # where negative labels are the highest
        if numbers.take(numbers.argmax()).item() >= classes:  # max() takes three times as long
            ignored = "" if self.ignore_index is None else f", or ignore_index={self.ignore_index}"
            labels = to_numpy(labels)
            raise ValueError(
                f"labels from {labels.min()} to {labels.max()} for {classes} classes: "
                f"labels must be 0 to {classes - 1}{ignored}"
            )
        if self.mean and counted is not None and not counted.any().item():
            raise ValueError("the mean of no losses: every label is ignored")


class SoftmaxCrossEntropy(_OfLabels, TensorTupleOp):
    """(losses, ln softmax(z)): logsumexp(z) - z_y for each row z of the logits and its label y.

    With `mean`, the first output is the mean of the losses. The losses of ignored labels are 0,
    and do not count in the mean. Adjoint of the logits: g·(softmax(z) - onehot(y)), for the mean
    divided by the number of labels.
    """

    materialize_grads = False  # the second output is for the gradient alone
    constant_operands = slice(1, None)

    check = _OfLabels._check_labels

    def compute(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        log_probabilities = _log_softmax(logits)
        labels, counted = _numbers(labels, self.ignore_index)
        losses = log_probabilities[_row_numbers(labels), labels]
        if counted is not None:
            losses = np.where(counted, losses, 0)
        if self.mean:
            return losses.sum() / -_number(counted, losses), log_probabilities
        return -losses, log_probabilities

    def gradient(self, out_grad: Any, node: Any) -> tuple[Tensor, None]:
        logits, labels = node.inputs
        op = _softmax_minus_one_hot(self.mean, self.ignore_index)
        return Tensor.make_from_op(op, (out_grad[0], logits, labels, node)), None


class _SoftmaxMinusOneHot(_OfLabels, TensorOp):
    """w·(softmax(z) - onehot(y)) for each row z; for the mean, one weight w divided by the labels.

    Adjoints: Σ g·(softmax(z) - onehot(y)) of a weight; that of w·softmax(z) of the row.
    """

    def compute(
        self, weights: Array, logits: Array, labels: Array, outputs: tuple[Array, Array]
    ) -> Array:
        labels, counted = _numbers(labels, self.ignore_index)
        result = np.exp(outputs[1])
        result[_row_numbers(labels), labels] -= 1
        if self.mean:
            result *= weights / _number(counted, result)
        else:
            result *= weights[:, None]
        return result if counted is None else np.where(counted[:, None], result, 0)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        weights, logits, labels, _ = node.inputs
        labels, counted = _numbers(labels, self.ignore_index)
        if counted is not None:
            out_grad = masked(out_grad, counted.expand_dims(1))
        probabilities = softmax(logits, 1)
        of_weights = (out_grad * probabilities).sum(1) - out_grad[_row_numbers(logits), labels]
        if self.mean:
            count = _number(counted, out_grad)
            of_weights, weights = of_weights.sum() / count, weights / count
        else:
            weights = weights.expand_dims(1)
        weighted = out_grad * probabilities * weights
        of_logits = weighted - probabilities * summation(weighted, 1, keepdims=True)
        return of_weights, of_logits, None, None


# one instance for all calls
_softmax_cross_entropy = cache(SoftmaxCrossEntropy)
_softmax_minus_one_hot = cache(_SoftmaxMinusOneHot)


class NegativeLogLikelihood(_OfLabels, TensorOp):
    """-l_y for each row l of log-probabilities and its label y, 0 where y is to be ignored.

    Adjoint of the rows: -g at the labels, 0 elsewhere.
    """

    constant_operands = slice(1, None)
    check = _OfLabels._check_labels

    def __init__(self, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index=ignore_index)

    def compute(self, log_probabilities: Array, labels: Array) -> Array:
        labels, counted = _numbers(labels, self.ignore_index)
        losses = -log_probabilities[_row_numbers(labels), labels]
        return losses if counted is None else np.where(counted, losses, 0)

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        rows, labels = node.inputs
        labels, counted = _numbers(labels, self.ignore_index)
        if counted is not None:
            out_grad = masked(out_grad, counted)
        scatter = ScatterAdd((ARRAY, ARRAY), rows.shape)
        return -scatter(out_grad, _row_numbers(rows), labels), None


def _numbers(labels: Any, ignore_index: int | None) -> tuple[Any, Any]:
    """Labels as integers, 0 for those to ignore, and which are not; None if all count.

    Of an array or a tensor, as the functions below.
    """
    if labels.dtype.kind != "i":
        labels = labels.astype(np.int64)
    if ignore_index is None:
        return labels, None
    counted = labels != ignore_index
    return labels * counted, counted


def _number(counted: Any, rows: Any) -> Any:
    """How many labels count."""
    return rows.shape[0] if counted is None else counted.astype(rows.dtype).sum()


def _row_numbers(rows: Any) -> Any:
    if isinstance(rows, Tensor):
        return Tensor.make_const(_row_numbers(rows.realize_cached_data()))
    return np.arange(rows.shape[0], like=rows)


class WeightedMean(TensorOp):
    """Σ a / Σ w for losses a that are weighted already. Adjoints: g / Σ w, -g·y / Σ w."""

    def check(self, losses: Array, weights: Array) -> None:
        if not weights.sum().item():
            raise ValueError("the mean of no losses: every label is ignored or has weight 0")

    def compute(self, losses: Array, weights: Array) -> Array:
        return losses.sum() / weights.sum()

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor | None]:
        losses, weights = node.inputs
        share = out_grad / weights.sum()
        of_weights = None
        if weights.requires_grad:
            of_weights = (-share * node).broadcast_to(weights.shape)
        return share.broadcast_to(losses.shape), of_weights


@in_single_precision
def softmax_cross_entropy(
    logits: Tensor, labels: Any, mean: bool = False, ignore_index: int | None = None
) -> Tensor:
    """The cross-entropy of each row's softmax with its class number.

    Args:
        logits: (batch, classes), floats.
        labels: (batch,), class numbers from 0 to classes - 1: integers, or floats that are whole.
        mean: whether to average over the batch.
        ignore_index: a label whose loss is 0 and does not count in the mean.

    Returns:
        logsumexp(z) - z_y, finite for any finite logits: (batch,), or () for the mean.
    """
    return _softmax_cross_entropy(mean, ignore_index)(logits, labels)[0]


def _smooth_abs(a: Array, /, beta: float) -> Array:
    limited = np.clip(a, -beta, beta)
    distance = np.absolute(a - limited)
    limited *= limited / _divisor(beta, a)
    limited *= 0.5
    limited += distance
    return limited


def _divisor(beta: float, a: Any) -> float:
    """beta, unless it is so small that it would be 0 in the dtype of a."""
    return max(beta, float(np.finfo(a.dtype).smallest_subnormal))


# fmt: off
SmoothAbs, _ = elementwise("SmoothAbs", "smooth_abs", _smooth_abs,
    lambda g, y, a, beta: g * hardtanh(a / _divisor(beta, a)),
    "a²/(2β) where |a| < β, else |a| - β/2. Adjoint: g·a/β, limited to [-g, g].")
# fmt: on

# limits of logarithms and denominators at probabilities of exactly 0 and 1
_LOWEST_LOG = -100
_SMALLEST = 1e-12


class BinaryCrossEntropy(Elementwise):
    """-(t·ln p + (1 - t)·ln(1 - p)) of probabilities p and targets t, finite from 0 to 1.

    Logarithms are at least -100. Adjoints: g·(p - t)/(p·(1 - p)), with a denominator of at least
    10⁻¹², g·(ln(1 - p) - ln p).
    """

    def compute(self, p: Array, target: Array) -> Array:
        return -(target * _limited(np.log, p) + (1 - target) * _limited(np.log1p, -p))

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor | None]:
        p, target = node.inputs
        of_target = None
        if target.requires_grad:  # the loss is linear in it
            ones, zeros = constant_like(target, 1), constant_like(target, 0)
            of_target = out_grad * (self(p, ones) - self(p, zeros))
        return out_grad * ((p - target) / maximum(p * (1 - p), _SMALLEST)), of_target


def _limited(logarithm: np.ufunc, a: Array) -> Array:
    with np.errstate(divide="ignore"):  # of 0, and log1p of -1
        return np.maximum(logarithm(a), _LOWEST_LOG)


binary_cross_entropy = binary(BinaryCrossEntropy(), "binary_cross_entropy")
