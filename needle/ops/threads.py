"""Pieces of work in several threads: NumPy's functions let other threads run meanwhile.

There are as many as NumPy's BLAS may use. What a thread calls should not start others: BLAS
multiplies small matrices in the thread that asks for it.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

import numpy as np

from ..autograd import Array

__all__ = ["in_threads", "scratch"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_SETTINGS = "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"
_MOST_KEPT = 2**24  # bytes, for each name
_of_thread = threading.local()


@cache
def _count() -> int:
    """How many threads to use: as many as BLAS is told to, at most one for each core."""
    is_known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1
    set_ = [int(os.environ[name]) for name in _SETTINGS if os.environ.get(name, "").isdigit()]
    return min([cores, *set_[:1]]) or cores


@cache
def _pool() -> Any:
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and few need it

    return ThreadPoolExecutor(_count() - 1, "needle")


if hasattr(os, "register_at_fork"):  # a process that forks takes no threads along
    os.register_at_fork(after_in_child=_pool.cache_clear)


def in_threads(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """[function(piece) for piece in pieces], where each thread takes the next piece.

    The calling thread is one of them, and works alone while the others are busy.
    """
    waiting = deque(enumerate(pieces))
    results: Any = [None] * len(waiting)

    def work() -> None:
        while waiting:
            try:
                number, piece = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            results[number] = function(piece)

    others = []
    with suppress(RuntimeError):  # no new threads while the interpreter ends
        for _ in range(min(_count(), len(waiting)) - 1):
            # in a copy of the context, which has the caller's np.errstate
            others.append(_pool().submit(copy_context().run, work))
    try:
        work()
    finally:
        waiting.clear()
        for other in others:
            if not other.cancel():
                other.result()
    return results


def scratch(name: str, like: Array, shape: tuple[int, ...]) -> Array:
    """Memory that the next call with that name in this thread gets again.

    New memory costs as much as filling it many times. It is malloc's on purpose: pages apart made
    eager steps of a convolutional network a fifth slower, since malloc, with nothing kept above
    what is freed in a step, gave that back to the system and had to ask for it again.
    """
    if like.__class__ is not np.ndarray:
        return np.empty_like(like, shape=shape, order="C")
    size = math.prod(shape) * like.dtype.itemsize
    if size > _MOST_KEPT:
        return np.empty(shape, like.dtype)
    kept = _of_thread.__dict__
    memory = kept.get(name)
    if memory is None or memory.nbytes < size:
        memory = kept[name] = np.empty(size, np.uint8)
    return memory[:size].view(like.dtype).reshape(shape)
