"""Threads that run parts of one program: as many as NumPy's BLAS has.

Each thread has a program of its own (see `runner.py`), with barriers between calls that need what
others have computed. BLAS, whose threads would fight with these for the cores, computes with one
thread in the meantime. A thread that has had nothing to do for a while sleeps.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from .blas import thread_functions
from .cache import load
from .runner import SOURCE, function_at

__all__ = ["BARRIER", "SET_THREADS", "Counts", "Team", "counts", "team"]

MOST = 8  # with more, barriers take longer than what is between them

_LINE = 16  # words: no two threads write to the same lines of the cache

BARRIER = """
def kernel(arguments):
    words, threads, give_way = words_at(arguments[0]), arguments[1], arguments[2]
    turn = load_atomic(words, 8)
    if add_atomic(words, 0, 1) == threads - 1:
        store_atomic(words, 0, 0)
        store_atomic(words, 8, turn + 1)
        return
    waited = 0
    while load_atomic(words, 8) == turn:
        waited += 1
        if waited > 20000:
            call_plain(give_way, 0)
"""

SET_THREADS = """
def kernel(arguments):
    call_plain(arguments[0], arguments[1])
"""

# runs the programs that others give to a thread; sleeps when there has been none for a while
_WAIT = """
def kernel(arguments):
    words, give_way, run = words_at(arguments[0]), arguments[1], arguments[2]
    sleep, bell = arguments[3], arguments[4]
    idle = 0
    while True:
        program = load_atomic(words, 0)
        if program != 0:
            store_atomic(words, 0, 0)
            call(run, words_at(program))
            idle = 0
        elif idle < 2000:
            call_plain(give_way, 0)
            idle += 1
        else:
            store_atomic(words, 8, 1)
            if load_atomic(words, 0) == 0:
                call_plain(sleep, bell)
            store_atomic(words, 8, 0)
            idle = 0
"""

# waits for its turn, gives programs to the others and runs one: no Ctrl-C comes in between
_TOGETHER = """
def kernel(arguments):
    turns, give_way, run = words_at(arguments[0]), arguments[1], arguments[2]
    wake, others, programs = arguments[3], arguments[4], words_at(arguments[5])
    turn = add_atomic(turns, 0, 1)
    while load_atomic(turns, 8) != turn:
        call_plain(give_way, 0)
    for i in range(others):
        words = words_at(arguments[6 + 2 * i])
        store_atomic(words, 0, programs[i + 1])
        if load_atomic(words, 8) != 0:
            call_plain(wake, arguments[7 + 2 * i])
    call(run, words_at(programs[0]))
    store_atomic(turns, 8, turn + 1)
"""


class Team:
    """The calling thread and `size` - 1 others, which wait for programs."""

    def __init__(self, size: int) -> None:
        self.size = size
        run, wait, together = load([SOURCE, _WAIT, _TOGETHER])
        self._together = function_at(together)
        words = np.zeros((size + 2) * _LINE, np.int64)
        self._words = words[-(words.ctypes.data // 8) % 8 :]
        start = int(self._words.ctypes.data)
        give_way, sleep, wake = (_system(name) for name in ("sched_yield", "sem_wait", "sem_post"))
        self.barrier = [start, size, give_way]  # the arguments of one
        self._arguments = [_turns().ctypes.data, give_way, run, wake, size - 1]
        self._others: list[int] = []
        for number in range(1, size):
            bell = ctypes.create_string_buffer(64)  # more than any system's sem_t
            ctypes.CDLL(None).sem_init(bell, 0, 0)
            place = start + 8 * number * _LINE
            self._others += [place, ctypes.addressof(bell)]
            given = np.array([place, give_way, run, sleep, ctypes.addressof(bell)], np.int64)
            threading.Thread(
                target=_wait, args=(function_at(wait), given, bell, self._words),
                name=f"needle kernels {number + 1} of {size}", daemon=True,
            ).start()  # fmt: skip

    def together(self, programs: Sequence[int]) -> Callable[[], None]:
        """What runs the programs at these addresses, the first in the thread that calls it."""
        given = np.array([*self._arguments, 0, *self._others, *programs], np.int64)
        given[5] = given[-len(programs) :].ctypes.data
        return partial(self._together, given.ctypes.data_as(ctypes.c_void_p))  # which keeps it


def _wait(wait: Any, given: Any, *kept: Any) -> None:
    """What the others do; `kept` is the memory that they use."""
    wait(given.ctypes.data)


@cache
def team(size: int) -> Team:
    """The team of so many threads; after a fork a new one."""
    return Team(size)


class Counts(NamedTuple):
    """How many threads BLAS has, and how many run a program."""

    blas: int
    used: int


def counts() -> Counts:
    """Those of now, at a moment when no team has BLAS compute with one thread."""
    functions = thread_functions()
    if functions is None:
        return Counts(1, 1)
    turns = _turns()
    while True:
        turn = turns[0]
        blas = functions.get()
        if turns[0] == turn == turns[8]:
            break
        time.sleep(0)
    used = min(blas, _cores())
    return Counts(blas, used if used <= MOST and sys.platform == "linux" else 1)


@cache
def _turns() -> Any:
    """How many times teams have wanted to run, and have run: they take turns."""
    return np.zeros(_LINE, np.int64)


def _after_fork() -> None:
    """The other threads are not in the child."""
    team.cache_clear()
    _turns().fill(0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _system(name: str) -> int:
    """The address of a function of C's library."""
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
