"""What is counted of batches: the loss, right answers, samples, batches."""

from collections.abc import Mapping
from typing import Any

from ..autograd import Tensor
from ..nn import functional

__all__ = ["accuracy", "cross_entropy", "has_ended", "samples_in", "samples_of"]


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean over all targets, with the logits of the classes along the last axis of outputs.

    For classes of items, (N, classes) and (N,), and of each token, (N, T, classes) and (N, T).

    Example:
        >>> import needle as ndl
        >>> logits = ndl.zeros((2, 3, 4))  # two sequences of three tokens out of four
        >>> loss = ndl.training.cross_entropy(logits, ndl.Tensor([[0, 1, 2], [3, 0, 1]]))
        >>> round(loss.item(), 4)
        1.3863
    """
    if outputs.ndim > 2:
        outputs, targets = outputs.reshape((-1, outputs.shape[-1])), targets.reshape((-1,))
    return functional.cross_entropy(outputs, targets, label_smoothing=label_smoothing)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """How many of the largest outputs along the last axis are at the target's place, in percent.

    Example:
        >>> import needle as ndl
        >>> ndl.training.accuracy(ndl.Tensor([[0.1, 0.9], [0.8, 0.2]]), ndl.Tensor([1, 1]))
        50.0
    """
    return 100 * (outputs.argmax(axis=-1) == targets).mean().item()


def samples_of(batch: Any) -> int:
    """The samples of a batch: the length of its first tensor."""
    while isinstance(batch, Mapping | tuple | list):
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    return len(batch)


def samples_in(loader: Any) -> int | None:
    """The samples that a pass over a loader gives on all ranks; None where it does not say."""
    try:
        return loader.num_samples if hasattr(loader, "num_samples") else len(loader.dataset)
    except (TypeError, AttributeError):  # a sampler without a length, or a list of batches
        return None


def has_ended(loader: Any, batches: int) -> bool:
    """Whether a loader gives no more than these batches."""
    try:
        return len(loader) <= batches
    except TypeError:
        return False
