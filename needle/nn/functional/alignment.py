"""The loss of labels that are not aligned with a sequence.

Raises:
    TypeError: an operand is not a Tensor of floating-point numbers, or labels and lengths are no
        whole numbers.
    ValueError: shapes or lengths do not fit, or a label is no class or the blank.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops.ctc import TemporalClassification
from ...ops.functions import in_single_precision
from ..checks import check_floats, check_reduction, numbers_of

__all__ = ["ctc_loss"]


@in_single_precision
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln of the probability of a target, summed over all its alignments (Graves et al. 2006).

    An alignment gives each step a class; the target is what remains of it if repeated classes are
    merged and blanks left out.

    Args:
        log_probs: (steps, batch, classes), or (steps, classes) for one sequence; log-probabilities.
        targets: class numbers (batch, length), those beyond a target's length unused; or those of
            all targets one after another, (sum of target_lengths,).
        input_lengths: (batch,), from 1 to steps.
        target_lengths: (batch,).
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by the length of its target and averages; "sum", "none".
        zero_infinity: whether the loss of a target that is too long for its sequence is 0, not
            infinite. Such a target has no gradient.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> log_probs = F.log_softmax(ndl.init.zeros(3, 1, 4))
        >>> loss = F.ctc_loss(log_probs, ndl.Tensor([[1, 2]]), [3], [2], reduction="sum")
        >>> round(loss.item(), 4)  # 5 of 4³ paths
        2.5494
    """
    check_floats("CTCLoss", log_probs)
    check_reduction(reduction)
    is_single = log_probs.ndim == 2
    if log_probs.ndim not in (2, 3) or not log_probs.shape[0]:
        raise ValueError(
            f"CTCLoss expected (steps, batch, classes) of at least one step, got {log_probs.shape}"
        )
    scores = ops.expand_dims(log_probs, 1) if is_single else log_probs
    batch, classes = scores.shape[1:]
    if not 0 <= blank < classes:
        raise ValueError(f"CTCLoss: blank {blank} is none of {classes} classes")
    lengths = _lengths("input_lengths", input_lengths, batch, scores)
    sizes = _lengths("target_lengths", target_lengths, batch, scores)
    labels = _labels(targets, sizes, batch, is_single)
    losses = TemporalClassification(blank)(scores, labels, lengths, sizes)[0]
    if zero_infinity:
        losses = ops.where(ops.equal(losses, np.inf), 0, losses)
    if reduction == "mean":
        return (losses / ops.maximum(sizes, 1).astype(losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses[0] if is_single else losses


def _lengths(name: str, lengths: Any, batch: int, scores: Tensor) -> Tensor:
    if not isinstance(lengths, Tensor):
        lengths = Tensor(lengths, device=scores.device, requires_grad=False)
    if lengths.size != batch or lengths.ndim > 1:
        raise ValueError(f"CTCLoss expected {batch} {name}, one per sequence, got {lengths.shape}")
    return lengths.reshape((batch,))


def _labels(targets: Tensor, sizes: Tensor, batch: int, is_single: bool) -> Tensor:
    """(batch, length)."""
    if not isinstance(targets, Tensor):
        targets = Tensor(targets, device=sizes.device, requires_grad=False)
    if targets.ndim == 2 and targets.shape[0] == batch:
        return targets
    if targets.ndim == 1 and is_single:
        return targets.reshape((1, -1))
    instead = f"give the targets of CTCLoss as a matrix, ({batch}, longest)"
    numbers = numbers_of(sizes, instead).astype(np.int64)
    if targets.ndim != 1 or numbers.sum() != targets.size or (numbers < 0).any():
        raise ValueError(
            f"CTCLoss expected targets ({batch}, length), or all {numbers.sum()} labels one after "
            f"another, got {targets.shape}"
        )
    starts = np.cumsum(numbers) - numbers
    columns = np.arange(numbers.max(initial=0))
    places = np.where(columns < numbers[:, None], starts[:, None] + columns, 0)
    return targets[places]
