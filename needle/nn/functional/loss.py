"""Losses.

The first operand is a Tensor; targets and weights may be arrays. The result has the dtype of the
first operand, to which targets and weights are converted. If it holds integers, that is the dtype
of a target of floats (at least float32), else float64.
`reduction` says what becomes of the losses of the elements: "mean", "sum", or "none".

Raises:
    TypeError: the first operand is not a Tensor, or a class number is not an integer, or a float
        with an integer value.
    ValueError: shapes do not fit, a label is outside the classes, a probability is outside [0, 1],
        `reduction` is unknown, or there are no losses to take the mean of.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Array, Tensor
from ...device import to_numpy
from ...ops.functions import in_single_precision
from ...ops.kinds import broadcast_shape, plain_number
from ...ops.losses import SmoothAbs
from ..checks import check_fraction, check_reduction, check_tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
    "huber_loss", "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss", "softmax_loss",
]  # fmt: skip


def softmax_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Mean of logsumexp(z) - z_y over the rows z of logits (N, C) and class numbers y (N,).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> round(F.softmax_loss(logits, ndl.Tensor([0, 1])).item(), 4)
        0.2201
    """
    if not isinstance(logits, Tensor):  # a call saved, for small batches
        check_tensor("softmax_loss", logits)
    return ops.softmax_cross_entropy(logits, y, mean=True)


@in_single_precision
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
        target: class numbers, of the logits' shape without C; or probabilities, floats of the
            logits' shape.
        weight: (C,), weight of each class.
        ignore_index: label to ignore, only with class numbers.
        reduction: the mean is Σ losses / Σ weights of the labels; with probabilities, it is
            Σ losses / number of samples.
        label_smoothing: ε, from 0 to 1, in the smoothed target (1 - ε)·p + ε/C.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> round(F.cross_entropy(logits, ndl.Tensor([0, 1])).item(), 4)
        0.2201
    """
    check_tensor("cross_entropy", logits)
    label_smoothing = plain_number(label_smoothing)
    check_fraction("cross_entropy: label_smoothing", label_smoothing)
    target = _as_tensor(target, logits)
    if target.shape == logits.shape and target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(
                f"cross_entropy: probabilities leave no class {ignore_index} to ignore"
            )
        logits, target = _pair("cross_entropy", logits, target, has_probabilities=True)
        axis = _class_axis("cross_entropy", logits)
        if label_smoothing:
            target = target * (1 - label_smoothing) + label_smoothing / logits.shape[axis]
        target = _weighted(target, _of_classes(weight, logits, axis))
        return _reduce(-(target * ops.logsoftmax(logits, axis)).sum(axis), reduction)
    rows, labels = _rows_and_labels("cross_entropy", logits, target)
    if weight is None and not label_smoothing and reduction == "mean":
        return ops.softmax_cross_entropy(rows, labels, True, ignore_index)
    losses = ops.softmax_cross_entropy(rows, labels, False, ignore_index)
    losses, weights = _by_label(losses, rows, labels, weight, ignore_index, label_smoothing)
    return _reduce(losses, reduction, weights, target.shape)


@in_single_precision
def nll_loss(
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-l_y for log-probabilities l and class number y; arguments as in `cross_entropy`.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> round(F.nll_loss(F.log_softmax(logits), ndl.Tensor([0, 1])).item(), 4)
        0.2201
    """
    check_tensor("nll_loss", log_probabilities)
    target = _as_tensor(target, log_probabilities)
    rows, labels = _rows_and_labels("nll_loss", log_probabilities, target)
    losses = ops.NegativeLogLikelihood(ignore_index)(rows, labels)
    losses, weights = _by_label(losses, rows, labels, weight, ignore_index)
    return _reduce(losses, reduction, weights, target.shape)


@in_single_precision
def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared error, (x - t)², of x and target of one shape.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> F.mse_loss(x, target).item()
        2.0
        >>> print(F.mse_loss(x, target, reduction="none"))
        [0. 4.]
    """
    x, target = _pair("mse_loss", x, target)
    return _reduce((x - target) ** 2, reduction)


@in_single_precision
def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The absolute error, |x - t|, of x and target of one shape.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> F.l1_loss(x, target).item()
        1.0
    """
    x, target = _pair("l1_loss", x, target)
    return _reduce(ops.abs(x - target), reduction)


@in_single_precision
def smooth_l1_loss(x: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - t)²/(2β) where |x - t| < β, else |x - t| - β/2 (Girshick 2015).

    x and target have one shape. beta=0 gives |x - t|; a negative beta is a ValueError.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> F.smooth_l1_loss(x, target).item()
        0.75
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must be at least 0, got {beta}")
    if beta == 0:
        return l1_loss(x, target, reduction)
    x, target = _pair("smooth_l1_loss", x, target)
    return _reduce(SmoothAbs(beta)(x - target), reduction)


@in_single_precision
def huber_loss(x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """(x - t)²/2 where |x - t| < δ, else δ·(|x - t| - δ/2) (Huber 1964).

    x and target have one shape. A delta that is not positive is a ValueError.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([0.0, 0.0]), ndl.Tensor([1.0, 5.0])
        >>> ndl.nn.functional.huber_loss(x, target, delta=2.0).item()
        4.25
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    x, target = _pair("huber_loss", x, target)
    return smooth_l1_loss(x, target, reduction, delta) * delta


@in_single_precision
def binary_cross_entropy(
    p: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t·ln p + (1 - t)·ln(1 - p)), with logarithms of at least -100, so finite at 0 and 1.

    p and target are probabilities of one shape, to which `weight` broadcasts.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([0.9, 0.2]), ndl.Tensor([1.0, 0.0])
        >>> round(F.binary_cross_entropy(x, target).item(), 4)
        0.1643
    """
    p, target = _pair("binary_cross_entropy", p, target, has_probabilities=True)
    _check_probabilities("binary_cross_entropy: probabilities", p)
    losses = ops.binary_cross_entropy(p, target)
    return _reduce(_weighted(losses, weight), reduction)


@in_single_precision
def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """t·softplus(-z) + (1 - t)·softplus(z): the binary cross-entropy of σ(z), for any logit z.

    The target holds probabilities, in the shape of the logits, to which `weight` and `pos_weight`,
    the factor of the term with t, broadcast.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([3.0, -1.0]), ndl.Tensor([1.0, 0.0])
        >>> round(F.binary_cross_entropy_with_logits(x, target).item(), 4)
        0.1809
    """
    name = "binary_cross_entropy_with_logits"
    logits, target = _pair(name, logits, target, has_probabilities=True)
    softplus = ops.Softplus()
    positive = _weighted(target, pos_weight)
    losses = positive * softplus(-logits) + (1 - target) * softplus(logits)
    return _reduce(_weighted(losses, weight), reduction)


@in_single_precision
def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t·(ln t - x) for log-probabilities x; 0 where t = 0, even if x is infinite.

    The target holds probabilities in the shape of x, or, if `log_target`, their logarithms.
    `reduction` may also be "batchmean", Σ losses / length of the first axis: the Kullback-Leibler
    divergence, which the mean over all elements is not.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x, target = ndl.Tensor([[0.5, 0.5]]).log(), ndl.Tensor([[0.9, 0.1]])
        >>> round(F.kl_div(x, target, reduction="batchmean").item(), 4)
        0.3681
    """
    x, target = _pair("kl_div", x, target, has_probabilities=not log_target)
    probabilities = ops.exp(target) if log_target else target
    is_zero = probabilities == 0  # there ln t is -inf, and x may be, too: 0·inf would be NaN
    finite = ops.where(is_zero, 0 if log_target else 1, target)
    logarithm = finite if log_target else ops.log(finite)
    losses = probabilities * ops.where(is_zero, 0, logarithm - x)
    return _reduce(losses, reduction, more=("batchmean",))


def _reduce(
    losses: Tensor, reduction: str, weights: Any = None, shape: Any = (), more: Any = ()
) -> Tensor:
    """With weights, the mean is divided by their sum, and losses get `shape` if not reduced."""
    check_reduction(reduction, *more)
    if reduction == "none":
        return losses if weights is None else losses.reshape(shape)
    if reduction == "sum":
        return losses.sum()
    if not losses.size:
        raise ValueError(f"the mean of no losses: they have shape {losses.shape}")
    if reduction == "batchmean":
        return losses.sum() / (losses.shape[0] if losses.ndim else 1)
    return losses.mean() if weights is None else ops.WeightedMean()(losses, weights)


def _by_label(
    losses: Tensor, rows: Tensor, labels: Tensor, weight: Any, ignored: int, smoothing: float = 0
) -> tuple[Tensor, Tensor]:
    """Losses of rows of scores, smoothed, times the weights of their labels; and these weights."""
    labels = labels.astype("int64")  # which holds any label to ignore; uint8 holds no -100
    counted = ops.not_equal(labels, ignored)
    weights = counted.astype(losses.dtype)
    weight = _of_classes(weight, rows, 1)
    if weight is not None:
        weights = weights * weight.astype(losses.dtype)[ops.where(counted, labels, 0)]
        losses = losses * weights
    if smoothing:
        uniform = -_weighted(ops.logsoftmax(rows), weight).sum(1) / rows.shape[1]
        losses = losses * (1 - smoothing) + ops.where(counted, uniform, 0) * smoothing
    return losses, weights


def _rows_and_labels(name: str, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Scores as (rows, classes), labels as (rows,)."""
    shape, given = scores.shape, target.shape
    if len(shape) == 2 and given == shape[:1]:
        return scores, target
    axis = _class_axis(name, scores)
    expected = shape[:axis] + shape[axis + 1 :]
    if given != expected:
        raise ValueError(
            f"{name} expected labels of shape {expected} for scores of shape {shape}, got {given}"
        )
    if len(shape) > 2:
        scores = scores.permute((0, *range(2, len(shape)), 1))
    return scores.reshape((target.size, shape[axis])), target.reshape((target.size,))


def _class_axis(name: str, scores: Tensor) -> int:
    if not scores.ndim:
        raise ValueError(f"{name} expected scores (N, C), (N, C, ...) or (C,), got a number")
    return min(1, scores.ndim - 1)


def _of_classes(weight: Any, scores: Tensor, axis: int) -> Tensor | None:
    """The weight of each class, with axes of length 1 after its own."""
    if weight is None:
        return None
    weight, classes = _as_tensor(weight, scores), scores.shape[axis]
    if weight.shape != (classes,):
        raise ValueError(f"expected a weight for each of {classes} classes, got {weight.shape}")
    return weight.reshape((classes,) + (1,) * (scores.ndim - 1 - axis))


def _weighted(losses: Tensor, weight: Any) -> Tensor:
    """Losses times weights that broadcast to them, in the dtype of the losses."""
    if weight is None:
        return losses
    weight = _as_tensor(weight, losses, losses.dtype)
    if broadcast_shape(weight.shape, losses.shape) != losses.shape:
        raise ValueError(f"weights of shape {weight.shape} for losses of shape {losses.shape}")
    return losses * weight


def _pair(name: str, x: Any, target: Any, has_probabilities: bool = False) -> tuple[Any, Any]:
    """x and a target of its shape, as floats of one dtype: see above."""
    check_tensor(name, x)
    target = _as_tensor(target, x)
    shapes = x.shape, target.shape
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name} expected two tensors of one shape, got {shapes[0]} and {shapes[1]}"
        )
    if has_probabilities:
        _check_probabilities(f"{name}: targets", target)
    if x.dtype.kind != "f":
        is_float = target.dtype.kind == "f"
        x = x.astype(np.result_type(target.dtype, np.float32) if is_float else np.float64)
    return x, _as_tensor(target, x, x.dtype)


def _as_tensor(value: Any, like: Tensor, dtype: Any = None) -> Tensor:
    """A target or weights, which may be an array, as a Tensor."""
    if not isinstance(value, Tensor):
        value = Tensor(value, device=like.device, requires_grad=False)
    return value if dtype is None or value.dtype == dtype else value.astype(dtype)


class _Probabilities(ops.StopGradient):
    """x itself, if its elements are from 0 to 1: an op reads the examples inside `vmap`, too."""

    def __init__(self, what: str) -> None:
        self.what = what

    def check(self, x: Array) -> None:
        if not ((x >= 0) & (x <= 1)).all().item():
            x = to_numpy(x)
            raise ValueError(f"{self.what} must be from 0 to 1, got {x.min()} to {x.max()}")

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        return cause


def _check_probabilities(what: str, x: Tensor) -> None:
    _Probabilities(what)(x)._array()  # computed now if x is lazy
