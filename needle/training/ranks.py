"""Training on several ranks: what differs from training in one process.

Every rank runs the whole program on its part of every batch. Whatever decides how the training goes
on (losses, metrics, signals, files) is made the same on all ranks here, and only rank 0 writes.
With one rank, these functions do nothing.
"""

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

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
    "from_rank_0", "interrupted", "joined", "no_loss", "on_rank_0", "part_of", "samples_of_all",
    "step_of_all", "sums", "weight",
]  # fmt: skip

T = TypeVar("T")


def joined(model: Module, optimizer: Optimizer) -> None:
    """Have an optimizer and batch normalisation work on the batches of all ranks."""
    if communicator().size > 1:
        convert_sync_batchnorm(model)
        if not isinstance(optimizer, Wrapped):
            wrap(optimizer, model)


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
    """0, with gradients of 0: the loss of a rank without samples, which others wait for."""
    return sum((tensor.sum() * 0.0 for tensor in flatten(outputs)[0]), Tensor(0.0))


def sums(*values: float) -> list[float]:
    """The sums over ranks."""
    return communicator().all_reduce(np.array(values, np.float64), "sum").tolist()


def step_of_all(loss: float, interruption: Interruption) -> tuple[float, bool]:
    """The sum of the losses of all ranks, and whether any of them was told to stop."""
    if communicator().size == 1:
        return loss, interruption.is_set()
    total, *received = sums(loss, *interruption.flags())
    interruption.note(received)
    return total, any(received)


def interrupted(interruption: Interruption) -> bool:
    """Whether any rank was told to stop."""
    return step_of_all(0.0, interruption)[1]


def from_rank_0(make: Callable[[], T]) -> T:
    """make() of rank 0, while the others wait; what it raises is raised on all ranks."""
    world = communicator()
    if world.size == 1:
        return make()
    outcome: tuple[Any, Exception | None] = (None, None)
    if world.rank == 0:
        try:
            outcome = make(), None
        except Exception as error:
            outcome = None, error
    sent = np.frombuffer(pickle.dumps(outcome), np.uint8)
    length = world.broadcast(np.array(len(sent)), 0)
    sent = world.broadcast(sent if world.rank == 0 else np.empty(length, np.uint8), 0)
    value, error = outcome if world.rank == 0 else pickle.loads(sent)
    if error is not None:
        raise error
    return value


@contextmanager
def on_rank_0(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Enter a context on rank 0 only; if that raises, it is raised on all ranks."""
    with ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        from_rank_0(enter)
        yield
