"""What one rank does for all, such as writing files; and what all must do alike."""

import contextlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np

from .communicator import communicator, rank

__all__ = ["agree", "from_rank_0", "on_rank_0", "output_of_rank_0", "rank_0_first"]

T = TypeVar("T")


def agree(text: str) -> None:
    """Raise a `DistributedError` on all ranks unless all call this with the same text.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.agree(f"a run of {10} epochs")
    """
    if communicator().size > 1:
        communicator().agree(text)


def from_rank_0(make: Callable[[], T]) -> T:
    """make() of rank 0 on all ranks, which wait for it. What it raises is raised on all.

    The result is pickled.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.from_rank_0(lambda: [1, 2])
        [1, 2]
    """
    world = communicator()
    if world.size == 1:
        return make()
    outcome: tuple[Any, Exception | None] = (None, None)
    sent = np.empty(0, np.uint8)
    if world.rank == 0:
        try:
            outcome = make(), None
        except Exception as error:  # of the user's function: raised on all ranks
            outcome = None, error
        sent = np.frombuffer(pickle.dumps(outcome), np.uint8)
    length = world.broadcast(np.array(len(sent)), 0)
    sent = world.broadcast(sent if world.rank == 0 else np.empty(length, np.uint8), 0)
    value, raised = outcome if world.rank == 0 else pickle.loads(sent)
    if raised is not None:
        raise raised
    return value


def rank_0_first(make: Callable[[], T]) -> T:
    """make() on every rank, first on rank 0 alone. What it raises there is raised on all.

    Example:
        >>> import needle as ndl
        >>> len(ndl.distributed.rank_0_first(ndl.data.Digits))
        1437
    """
    made: list[T] = []

    def first() -> None:
        made.append(make())

    from_rank_0(first)
    return made[0] if made else make()


@contextmanager
def on_rank_0(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Enter a context on rank 0 only. If that raises, it is raised on all ranks.

    Example:
        >>> import needle as ndl
        >>> with ndl.distributed.on_rank_0(open("log.txt", "w")):
        ...     pass
    """
    with ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        from_rank_0(enter)
        yield


@contextmanager
def output_of_rank_0() -> Iterator[None]:
    """Within, only what rank 0 writes to standard output and standard error is shown.

    Example:
        >>> import needle as ndl
        >>> with ndl.distributed.output_of_rank_0():
        ...     print("once")
        once
    """
    if rank() == 0:
        yield
        return
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
