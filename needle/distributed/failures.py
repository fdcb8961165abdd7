"""When a rank fails: the others stop, with a message, instead of waiting for it forever.

A rank that raises ends all (`install`). One that is killed is noticed by the launcher, and named by
`monitor.py`. While a rank waits for others, it looks now and then whether they can still come
(`Watch`): those of its machine say in shared memory what they wait for and when they have ended
(`Board`), and one that has neither done so nor used the processor for a while hangs. One that does
use it is asked to look whether it is in an endless loop (`endless_loops.py`).
"""

from __future__ import annotations

import atexit
import faulthandler
import glob
import importlib
import importlib.util
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from .endless_loops import ask_for_look, look_when_asked
from .launcher import launched_as
from .monitor import join_monitor, leave_monitor

__all__ = ["DistributedError", "set_timeout"]


class DistributedError(RuntimeError):
    """Ranks do not do the same, or one of them cannot be reached.

    Example:
        >>> import needle as ndl
        >>> issubclass(ndl.distributed.DistributedError, RuntimeError)
        True
    """


# --- how long to wait

_LIMITS = {"NEEDLE_DISTRIBUTED_TIMEOUT": 600.0, "NEEDLE_DISTRIBUTED_IDLE": 10.0}  # seconds


def set_timeout(seconds: float, idle: float | None = None) -> None:
    """Set how long a rank waits for others before it raises a `DistributedError`.

    The environment variables NEEDLE_DISTRIBUTED_TIMEOUT and NEEDLE_DISTRIBUTED_IDLE set the same.

    Args:
        seconds: for a rank that computes; 600 by default.
        idle: for a rank of the same machine that uses no processor time, as one that sleeps, is
            stopped, or waits for something that does not come; 10 by default, `seconds` at most.

    Raises:
        ValueError: a time is not above 0.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.set_timeout(600, idle=10)
    """
    times = (seconds, _limit("NEEDLE_DISTRIBUTED_IDLE") if idle is None else idle)
    for name, value in zip(_LIMITS, times, strict=True):
        if not value > 0:
            raise ValueError(f"set_timeout takes times above 0, got {value}")
        os.environ[name] = str(value)


def _limit(name: str) -> float:
    text = os.environ.get(name, str(_LIMITS[name]))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise DistributedError(f"{name} is a number of seconds above 0, got {text!r}")
    return value


# --- a rank that raises


def install() -> None:
    """Have an error that ends this rank end all ranks, if a launcher has started several."""
    if launched_as() is None or importlib.util.find_spec("mpi4py") is None:
        return
    former, process = sys.excepthook, os.getpid()

    def stop_all(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        former(kind, error, traceback)
        launched = launched_as()
        if launched is None or os.getpid() != process:
            return
        text = str(error).strip().partition("\n")[0].rstrip(":")
        reason = f"{kind.__name__}: {text}" if text else kind.__name__
        rank, size, _ = launched
        print(f"rank {rank} of {size} failed, all ranks stop: {reason}", file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
        time.sleep(_GRACE)  # for ranks that have found an error, too, and write what it is
        abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = stop_all


_GRACE = 0.3  # seconds


def abort(code: int) -> None:
    """End all ranks with this exit code; this one alone, later, where there is no MPI."""
    leave_monitor(os.getpid())
    with suppress(ImportError, RuntimeError), starting():
        importlib.import_module("mpi4py.MPI").COMM_WORLD.Abort(code)


@contextmanager
def starting() -> Iterator[None]:
    """Within, MPI starts, which waits for all ranks: within the timeout, or this rank ends."""
    faulthandler.dump_traceback_later(_limit("NEEDLE_DISTRIBUTED_TIMEOUT"), exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


# --- what the ranks of a machine know of each other

_LINE = np.dtype([("rank", "i8"), ("process", "i8"), ("since", "f8"), ("state", "S200")])
_ENDED = b"has ended its program"


class Board:
    """A line for each rank of this machine: what it waits for, and since when.

    Times are those of `time.monotonic`, which all processes of a machine share; 0 where a rank does
    not wait. `is_whole` says whether all ranks are on this machine.
    """

    def __init__(self, lines: Sequence[Any], own: int, is_whole: bool) -> None:
        self.lines, self.own, self.is_whole = lines, lines[own], is_whole
        self.others = [line for line in lines if line is not self.own]
        self.visible = _processes().keys() & {int(line["process"][0]) for line in self.others}

    def wait_for(self, doing: str) -> None:
        """Say what this rank waits for; nothing any more where `doing` is empty."""
        self.own["state"] = doing.encode()[:200]
        self.own["since"] = time.monotonic() if doing else 0.0

    def end(self, process: int) -> None:
        """Say that this rank has ended, unless this is a child of its process."""
        if os.getpid() == process:
            self.own["state"], self.own["since"] = _ENDED, time.monotonic()


def shared_board(mpi: Any) -> Board:
    """The board of this machine, in memory that its ranks share. All ranks must call this."""
    world = mpi.COMM_WORLD
    node = world.Split_type(mpi.COMM_TYPE_SHARED)
    window = mpi.Win.Allocate_shared(_LINE.itemsize, 1, comm=node)
    memory = [window.Shared_query(rank)[0] for rank in range(node.Get_size())]
    lines = [np.frombuffer(each, _LINE, count=1) for each in memory]
    lines[node.Get_rank()][:] = (world.Get_rank(), os.getpid(), 0.0, b"")
    node.Barrier()
    board = Board(lines, node.Get_rank(), node.Get_size() == world.Get_size())
    atexit.register(board.end, os.getpid())
    join_monitor(node, world.Get_rank(), world.Get_size())
    look_when_asked(lambda: _limit("NEEDLE_DISTRIBUTED_IDLE"), _endless)
    if _REPORT is not None and signal.getsignal(_REPORT) is signal.SIG_DFL:
        faulthandler.register(_REPORT)
    return board


def _endless(where: str) -> DistributedError:
    idle = _limit("NEEDLE_DISTRIBUTED_IDLE")
    return DistributedError(
        f"an endless loop: this rank repeats what changes nothing for {idle:g} s, at {where}, "
        "while others wait for it"
    )


_REPORT = getattr(signal, "SIGUSR1", None)


def report(process: int) -> None:
    """Have another rank write to standard error what it is doing, unless it is stopped."""
    if _REPORT is not None:
        with suppress(OSError):
            os.kill(process, _REPORT)
        time.sleep(_GRACE)


class _Process(NamedTuple):
    state: str
    parent: int
    seconds: float  # of processor time


def _processes() -> dict[int, _Process]:
    """The processes of this machine by their numbers, where Linux tells."""
    found = {}
    for path in glob.iglob("/proc/[0-9]*/stat"):
        with suppress(OSError), open(path) as file:  # it has ended meanwhile
            fields = file.read().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            found[int(path.split("/")[2])] = _Process(fields[0], int(fields[1]), seconds)
    return found


def _time_used(process: int, processes: dict[int, _Process]) -> float:
    """The processor time of a process and its children, such as workers of a DataLoader."""
    children = [number for number, each in processes.items() if each.parent == process]
    return processes[process].seconds + sum(_time_used(each, processes) for each in children)


class Watch:
    """Called over and over while this rank waits for others; raises if they will not come."""

    def __init__(self, board: Board, doing: str) -> None:
        self.board, self.doing = board, doing
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self.start = self.last = now
        self.next = now + _FIRST
        self.busy: dict[int, tuple[float, float]] = {}  # process: when it had used how much time

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.board.wait_for("")

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.last > _STOPPED:
            self._begin(now)
        self.last = now
        if now < self.next:
            return
        if self.next == self.start + _FIRST:
            self.board.wait_for(self.doing)
            self.timeout = _limit("NEEDLE_DISTRIBUTED_TIMEOUT")
            self.idle = min(_limit("NEEDLE_DISTRIBUTED_IDLE"), self.timeout)
        self.next = now + _EVERY
        processes = _processes()
        for line in self.board.others:
            self._check(line, processes, now)
        if self.board.is_whole and self._is_deadlocked(now):
            raise self._error("the ranks wait for each other", now)
        if now - self.start > self.timeout:
            for line in self.board.others:
                if not line["since"][0] and int(line["process"][0]) in self.board.visible:
                    report(int(line["process"][0]))
            raise self._error(f"the timeout of {self.timeout:g} s is over", now)

    def _check(self, line: Any, processes: dict[int, _Process], now: float) -> None:
        """Raise if another rank will not come."""
        name, process = f"rank {line['rank'][0]}", int(line["process"][0])
        since = float(line["since"][0])
        if line["state"][0] == _ENDED:
            if now - since > _ARRIVAL:
                raise self._error(f"{name} has ended its program", now)
        elif since:  # it waits, too, and watches others
            self.busy.pop(process, None)
        elif process not in processes or processes[process].state == "Z":
            if process in self.board.visible:
                raise self._error(f"{name} is gone", now)
        else:
            state, used = processes[process].state, _time_used(process, processes)
            when, former = self.busy.get(process, (now, -1.0))
            if former < 0 or not 0 <= used - former <= _BUSY or state == "D":  # D: of a disk
                self.busy[process] = now, used
            elif now - when > self.idle:
                how = "is stopped" if state in "Tt" else f"has done nothing for {now - when:.0f} s"
                report(process)
                raise self._error(f"{name} {how} (process {process})", now)
            if process in self.board.visible:
                ask_for_look(process)

    def _is_deadlocked(self, now: float) -> bool:
        lines = self.board.lines
        waiting = all(0 < float(line["since"][0]) < now - _DEADLOCK for line in lines)
        return waiting and len({bytes(line["state"][0]) for line in lines}) > 1

    def _error(self, reason: str, now: float) -> DistributedError:
        text = [f"{reason}:"]
        for line in sorted(self.board.lines, key=lambda line: int(line["rank"][0])):
            state, since = line["state"][0].decode(errors="replace"), float(line["since"][0])
            if line["state"][0] != _ENDED:
                state = (
                    f"waits for {state}, since {now - since:.0f} s" if since else "does not wait"
                )
            text.append(f"  rank {line['rank'][0]} {state}")
        if not self.board.is_whole:
            text.append("  of ranks on other machines nothing is known")
        return DistributedError("\n".join(text))


_FIRST, _EVERY = 0.5, 0.5  # when a waiting rank looks at the others, in seconds
_BUSY = 0.05  # a rank that uses less processor time, in seconds, while others wait is idle
_STOPPED = 2.0  # a rank that has not looked for so long was stopped itself, as others may have been
_ARRIVAL = 2.0  # what a rank has sent before it ended has arrived by then
_DEADLOCK = 4.0  # ... and what ranks that all wait have sent

install()
