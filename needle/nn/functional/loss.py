"""Losses.

`reduction` is "mean", "sum" or "none": what becomes of the losses of the single elements. A loss
has the dtype of what is judged (float64 for integers); targets and weights are converted to it.
"""

from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops.kinds import broadcast_shape
from ..checks import check_tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
    "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """logsumexp(z) - z_y for logits z and class number y; -Σ p·ln softmax(z) for probabilities p.

    Args:
        logits: (N, C), (N, C, ...) or (C,).
        target: class numbers of the logits' shape without C, integers or floats that are whole; or
            probabilities, floats of the logits' shape.
        weight: (C,), the weight of each class.
        ignore_index: label to ignore; has no meaning for probabilities.
        reduction: the mean is weighted: Σ losses / Σ weights of the labels. For probabilities it
            is the sum over the number of samples.
        label_smoothing: ε, mixes the target with equal probabilities: (1 - ε)·p + ε/C.

    Raises:
        TypeError: the target is neither class numbers nor probabilities.
        ValueError: shapes do not fit, a label is outside the classes, a probability or ε outside
            [0, 1], there is nothing to take the mean of, or a class to ignore among probabilities.
    """
    check_reduction(reduction)
    check_tensor("cross_entropy", logits)
    target = _as_tensor(target)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1: {label_smoothing}")
    if target.dtype.kind == "f" and target.shape == logits.shape:
        if ignore_index >= 0:
            raise ValueError(
                f"cross_entropy: probabilities leave no class {ignore_index} to ignore"
            )
        return _cross_entropy_of_probabilities(logits, target, weight, reduction, label_smoothing)
    rows, labels = _rows_and_labels("cross_entropy", logits, target)
    if weight is None and not label_smoothing and reduction == "mean":
        return ops.softmax_cross_entropy(rows, labels, True, ignore_index)
    weight = _of_classes(weight, rows, 1)
    losses = ops.softmax_cross_entropy(rows, labels, False, ignore_index)
    counted, weights = _weights_of_labels(labels, weight, ignore_index, losses.dtype)
    losses = losses if weight is None else losses * weights
    if label_smoothing:
        even = -_times(ops.logsoftmax(rows), weight).sum(1) / rows.shape[1]
        even = ops.where(counted, even, 0)
        losses = losses * (1 - label_smoothing) + even * label_smoothing
    return _reduce_weighted(losses, weights, target.shape, reduction)


def nll_loss(
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-l_y for log-probabilities l and class number y; arguments as in `cross_entropy`."""
    check_reduction(reduction)
    rows, labels = _rows_and_labels("nll_loss", log_probabilities, target)
    losses = ops.NegativeLogLikelihood(ignore_index)(rows, labels)
    weight = _of_classes(weight, rows, 1)
    _, weights = _weights_of_labels(labels, weight, ignore_index, losses.dtype)
    losses = losses if weight is None else losses * weights
    return _reduce_weighted(losses, weights, target.shape, reduction)


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(x - t)²: x and target of one shape; see the top of this module for `reduction`."""
    x, target = _pair("mse_loss", x, target)
    return _reduce((x - target) ** 2, reduction)


def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|x - t|: x and target of one shape; see the top of this module for `reduction`."""
    x, target = _pair("l1_loss", x, target)
    return _reduce(ops.abs(x - target), reduction)


def smooth_l1_loss(x: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - t)²/(2β) where |x - t| < β, else |x - t| - β/2 (Girshick 2015).

    Args:
        x, target: of one shape.
        reduction: see the top of this module.
        beta: β, where the square ends; 0 gives |x - t|.

    Raises:
        ValueError: β is negative.
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must be at least 0, got {beta}")
    if beta == 0:
        return l1_loss(x, target, reduction)
    x, target = _pair("smooth_l1_loss", x, target)
    difference = x - target
    limited = ops.clip(difference, -beta, beta)
    return _reduce(limited * (difference - limited * 0.5) / beta, reduction)


def binary_cross_entropy(
    p: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t·ln p + (1 - t)·ln(1 - p)), with logarithms of at least -100, so finite at 0 and 1.

    Args:
        p: probabilities.
        target: probabilities of the same shape, mostly 0 and 1.
        weight: the weight of each element; broadcasts to the losses.
        reduction: see the top of this module.

    Raises:
        ValueError: something is outside [0, 1], or the shapes differ.
    """
    p, target = _pair("binary_cross_entropy", p, target)
    _check_probabilities("binary_cross_entropy: probabilities", p)
    _check_probabilities("binary_cross_entropy: targets", target)
    losses = ops.binary_cross_entropy(p, target)
    return _reduce(_times(losses, _of_elements(weight, losses)), reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """t·softplus(-z) + (1 - t)·softplus(z): the binary cross-entropy of σ(z), for any logit z.

    Args:
        logits: any shape.
        target: probabilities of the same shape, mostly 0 and 1.
        weight: the weight of each element; broadcasts to the losses.
        reduction: see the top of this module.
        pos_weight: the weight of the term with t; broadcasts to the losses.

    Raises:
        ValueError: a target is outside [0, 1], or the shapes differ.
    """
    logits, target = _pair("binary_cross_entropy_with_logits", logits, target)
    _check_probabilities("binary_cross_entropy_with_logits: targets", target)
    softplus = ops.Softplus()
    positive = _times(target, _of_elements(pos_weight, target))
    losses = positive * softplus(-logits) + (1 - target) * softplus(logits)
    return _reduce(_times(losses, _of_elements(weight, losses)), reduction)


def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t·(ln t - x) for log-probabilities x, and 0 where t = 0, be x infinite or not.

    Args:
        x: log-probabilities, any shape.
        target: probabilities of the same shape, or their logarithms.
        reduction: also "batchmean": the sum over the length of the first axis, which is the
            divergence; the mean over all elements is not.
        log_target: whether `target` holds logarithms.
    """
    check_reduction(reduction, "batchmean")
    x, target = _pair("kl_div", x, target)
    if not log_target:
        _check_probabilities("kl_div: targets", target)
    share = ops.exp(target) if log_target else target
    is_none = share == 0  # there ln t is -inf, and so may x be: 0·inf is no number
    present = ops.where(is_none, 0 if log_target else 1, target)
    logarithm = present if log_target else ops.log(present)
    losses = share * ops.where(is_none, 0, logarithm - x)
    if reduction == "batchmean":
        _check_some(losses)
        return losses.sum() / (x.shape[0] if x.ndim else 1)
    return _reduce(losses, reduction)


def check_reduction(reduction: str, *more: str) -> str:
    """Raise unless `reduction` is one of mean, sum, none, or of `more`."""
    known = ("mean", "sum", "none", *more)
    if reduction not in known:
        raise ValueError(f"reduction {reduction!r}: expected one of {', '.join(known)}")
    return reduction


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    check_reduction(reduction)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    _check_some(losses)
    return losses.mean()


def _check_some(losses: Tensor) -> None:
    if not losses.size:
        raise ValueError(f"the mean of no losses: they have shape {losses.shape}")


def _reduce_weighted(
    losses: Tensor, weights: Tensor, shape: tuple[int, ...], reduction: str
) -> Tensor:
    """As `_reduce`, with the mean divided by the sum of the weights."""
    if reduction == "mean" and losses.size:
        return ops.WeightedMean()(losses, weights)
    return _reduce(losses.reshape(shape) if reduction == "none" else losses, reduction)


def _weights_of_labels(
    labels: Tensor, weight: Tensor | None, ignore_index: int, dtype: np.dtype
) -> tuple[Tensor, Tensor]:
    """Which labels are not ignored, and the weight of each: that of its class, 0 if ignored."""
    counted = ops.not_equal(labels, ignore_index)
    weights = counted.astype(dtype)
    if weight is not None:
        weights = weights * weight[ops.where(counted, labels, 0).astype("int64")]
    return counted, weights


def _times(x: Tensor, weight: Tensor | None) -> Tensor:
    return x if weight is None else x * weight


def _cross_entropy_of_probabilities(
    logits: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    logits, target = _pair("cross_entropy", logits, target)
    _check_probabilities("cross_entropy: targets", target)
    axis = _class_axis("cross_entropy", logits)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / logits.shape[axis]
    target = _times(target, _of_classes(weight, logits, axis))
    return _reduce(-(target * ops.logsoftmax(logits, axis)).sum(axis), reduction)


def _rows_and_labels(name: str, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Scores as (rows, classes), labels as (rows,)."""
    axis = _class_axis(name, scores)
    expected = scores.shape[:axis] + scores.shape[axis + 1 :]
    target = _as_tensor(target)
    if target.shape != expected:
        raise ValueError(
            f"{name} expected labels of shape {expected} for scores of shape {scores.shape}, "
            f"got {target.shape}"
        )
    if scores.ndim > 2:
        scores = scores.permute((0, *range(2, scores.ndim), 1))
    if scores.ndim != 2:
        scores = scores.reshape((target.size, scores.shape[-1]))
    return scores, target if target.ndim == 1 else target.reshape((target.size,))


def _class_axis(name: str, scores: Tensor) -> int:
    check_tensor(name, scores)
    if not scores.ndim:
        raise ValueError(f"{name} expected scores (N, C), (N, C, ...) or (C,), got a number")
    return min(1, scores.ndim - 1)


def _of_classes(weight: Tensor | None, scores: Tensor, axis: int) -> Tensor | None:
    """The weight of each class, in the dtype of the scores, with axes of length 1 after its own."""
    if weight is None:
        return None
    classes = scores.shape[axis]
    if weight.shape != (classes,):
        raise ValueError(f"expected a weight for each of {classes} classes, got {weight.shape}")
    return _cast(weight, scores.dtype).reshape((classes,) + (1,) * (scores.ndim - 1 - axis))


def _of_elements(weight: Tensor | None, losses: Tensor) -> Tensor | None:
    """The weight of each element, in the dtype of the losses."""
    if weight is None:
        return None
    if broadcast_shape(weight.shape, losses.shape) != losses.shape:
        raise ValueError(f"weights of shape {weight.shape} for losses of shape {losses.shape}")
    return _cast(weight, losses.dtype)


def _pair(name: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both, if they are of one shape, as floats of x's dtype, float64 if x holds integers."""
    check_tensor(name, x)
    target = _as_tensor(target)
    if x.shape != target.shape:
        raise ValueError(
            f"{name} expected two tensors of one shape, got {x.shape} and {target.shape}"
        )
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    return _cast(x, dtype), _cast(target, dtype)


def _cast(x: Tensor, dtype: np.dtype) -> Tensor:
    return x if x.dtype == dtype else x.astype(dtype)


def _as_tensor(target: Any) -> Tensor:
    """A target, which arrays and lists may be, too."""
    return target if isinstance(target, Tensor) else Tensor(target, requires_grad=False)


def _check_probabilities(what: str, x: Tensor) -> None:
    values = x.realize_cached_data()
    if not ((values >= 0) & (values <= 1)).all().item():
        raise ValueError(f"{what} must be from 0 to 1, got {values.min()} to {values.max()}")
