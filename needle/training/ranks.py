"""Training on several ranks: what differs from training in one process.

Every rank runs the whole program on its part of every batch. Whatever decides how the training goes
on (losses, metrics, signals) is made the same on all ranks here, and only rank 0 writes files.
With one rank, these functions do nothing.
"""

import copy
import os
import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..data import BatchSampler, DataLoader
from ..differentiation.tree import flatten
from ..distributed import convert_sync_batchnorm, wrap
from ..distributed.communicator import communicator
from ..distributed.wrapping import Wrapped
from ..nn import Module
from ..optim import Optimizer
from .progress import Interruption

__all__ = [
    "announce", "is_stopped", "joined", "no_loss", "part_of", "samples_of_all", "step_of_all",
    "stops_now", "sums", "weight",
]  # fmt: skip


def joined(model: Module, optimizer: Optimizer) -> None:
    """Have an optimizer and batch normalisation work on the batches of all ranks."""
    if communicator().size > 1:
        convert_sync_batchnorm(model)
        if not isinstance(optimizer, Wrapped):
            wrap(optimizer, model)


def announce(show: Callable[[str], None]) -> None:
    """Show where the ranks are."""
    world = communicator()
    if world.size > 1:
        places = world.world.allgather(f"process {os.getpid()} on {platform.node()}")
        lines = [f"rank {rank}: {place}" for rank, place in enumerate(places)]
        show("\n".join([f"{world.size} ranks", *lines]))


def part_of(loader: Any) -> Any:
    """A loader of this rank's part of the batches of `loader`, if it does not give parts already.

    Raises:
        TypeError: it is not a `DataLoader`, whose batches can be split.
    """
    rank, size = communicator().rank, communicator().size
    if size == 1 or getattr(loader, "shard", None) == (rank, size):
        return loader
    if not isinstance(loader, DataLoader) or loader.shard != (0, 1):
        raise TypeError(
            f"rank {rank} of {size} needs a DataLoader without shard, or with shard=({rank}, "
            f"{size}), got {loader!r}"
        )
    part = copy.copy(loader)
    part.batch_sampler, part.shard = loader.whole_batches(), (rank, size)
    return part


def samples_of_all(loader: Any, number: int, count: int) -> int:
    """The samples that all ranks together have in a batch of this number, `count` of them here."""
    if communicator().size == 1:
        return count
    batches = loader.whole_batches() if isinstance(loader, DataLoader) else None
    if isinstance(batches, BatchSampler):
        return batches.length_of(number)
    return int(sums(count)[0])


def weight(count: int, samples: int) -> float:
    """What the mean over `count` samples is multiplied by, of `samples` that all ranks have."""
    return count * communicator().size / samples if samples else 1.0


def no_loss(outputs: Any) -> Tensor:
    """0, with gradients of 0: for a rank without samples, whose gradients others wait for."""
    first, *others = [tensor.sum() * 0.0 for tensor in flatten(outputs)[0]]
    return sum(others, first)


def sums(*values: float) -> list[float]:
    """The sums over ranks."""
    return communicator().all_reduce(np.array(values, np.float64), "sum").tolist()


def step_of_all(loss: float, interruption: Interruption) -> float:
    """The sum of the losses of all ranks; all learn whether any was told to stop."""
    if communicator().size == 1:
        return loss
    loss, *received = sums(loss, *interruption.flags())
    interruption.note(received)
    return loss


def is_stopped(interruption: Interruption) -> bool:
    """Whether any rank was told to stop before the last `step_of_all`."""
    return interruption.is_set() if communicator().size == 1 else interruption.is_agreed


def stops_now(interruption: Interruption) -> bool:
    """Whether any rank was told to stop by now."""
    step_of_all(0.0, interruption)
    return is_stopped(interruption)
