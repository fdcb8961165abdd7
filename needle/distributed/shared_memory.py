"""Arrays that ranks of one machine see of each other."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .communicator import Communicator

__all__ = ["shared_arrays"]

_FOLDER = "/dev/shm"
_MOST_RANKS = 4
"""Beyond, each rank would read too much, and sums by MPI are faster."""


def shared_arrays(world: Communicator, size: int, dtype: Any) -> list[Any] | None:
    """An array of zeros of each rank, in memory that all see; None unless they share a machine.

    All ranks must call this. The memory is given back with the last array that shows it.
    """
    node = world.mpi.COMM_WORLD.Split_type(world.mpi.COMM_TYPE_SHARED)
    count = node.Get_size()
    node.Free()
    if not 1 < count == world.size <= _MOST_RANKS:
        return None
    nbytes = max(size * np.dtype(dtype).itemsize, 1)
    own = _attempt(lambda: _created(nbytes))
    paths = world.world.allgather(own and own[1])
    maps = None
    if None not in paths:
        maps = _attempt(lambda: [_opened(path, nbytes) for path in paths])
    every = world.world.allgather(maps is not None)  # now all have opened what is there
    if own is not None:
        os.close(own[0])
        os.unlink(own[1])
    if maps is None or not all(every):
        return None
    return [np.frombuffer(each, dtype, size) for each in maps]


def _created(nbytes: int) -> tuple[int, str]:
    """A new file in memory, which is reserved: writing later cannot fail."""
    descriptor, path = tempfile.mkstemp(prefix="needle-", dir=_FOLDER)
    try:
        os.posix_fallocate(descriptor, 0, nbytes)
    except OSError:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor, path


def _opened(path: str, nbytes: int) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), nbytes)


def _attempt(function: Callable[[], Any]) -> Any:
    """What a function returns; None if this machine cannot do it."""
    try:
        return function()
    except (OSError, AttributeError):  # no such folder or call, not enough memory
        return None
