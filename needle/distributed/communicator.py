"""The home of MPI: the ranks, and how arrays travel between them.

Nothing here is imported, and no MPI is needed, before a program is started by `mpiexec` or the like
with several ranks. Before ranks exchange anything, they agree on what: each tells the others a
number made of the name of the collective, the shape and the dtype. If those differ, all ranks raise
an error that says what each was about to do, instead of waiting for each other forever.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .failures import DistributedError, Watch, shared_board, starting
from .launcher import launched_as

__all__ = ["barrier", "is_available", "local_rank", "rank", "size"]

_SPINS = 20_000  # how often a rank asks before it naps in between
_NAP = 2e-5  # seconds
_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: time.sleep(0))


class Communicator:
    """The ranks of this run, and the exchange of arrays between them.

    Arrays are handed to MPI as they are, without pickling. A method that returns an array returns
    new memory. With one rank there is no MPI, and the methods return copies.
    """

    def __init__(self, rank: int, size: int, local_rank: int, mpi: Any = None) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self.mpi = mpi
        # apart from communicators of the user's; gradients travel while others are used
        self.world: Any = mpi.COMM_WORLD.Dup() if mpi else None
        self.background: Any = mpi.COMM_WORLD.Dup() if mpi else None
        self.board: Any = shared_board(mpi) if mpi else None
        self._sent: list[tuple[Any, Any]] = []  # requests of messages on their way, with memory
        self._messages: deque[Any] = deque()  # those that a single rank has sent to itself

    # --- agreeing and waiting

    def start_agreement(self, doing: str, detail: str = "") -> Any:
        """Tell the others what this rank is about to do; `finish_agreement` gets the result."""
        number = _number_of(doing + detail)
        mine = np.array([number, -number])
        greatest = np.empty_like(mine)
        request = self.world.Iallreduce(mine, greatest, op=self.mpi.MAX)
        return request, mine, greatest, doing, detail

    def finish_agreement(self, started: Any) -> list[str]:
        """The details of all ranks, or one if they are the same.

        Raises an error that says what each rank does, if they do not all do the same.
        """
        request, _, greatest, doing, detail = started
        self.wait(request, doing)
        if greatest[0] == -greatest[1]:
            return [detail]
        pairs = self.world.allgather((doing, detail))
        what = [each for each, _ in pairs]
        if len(set(what)) == 1:
            return [each for _, each in pairs]
        by_text: dict[str, list[int]] = {}
        for each, text in enumerate(what):
            by_text.setdefault(text, []).append(each)
        lines = "\n  ".join(f"{_ranks(ranks)}: {text}" for text, ranks in by_text.items())
        raise DistributedError(f"the ranks do not do the same:\n  {lines}")

    def agree(self, doing: str, detail: str = "") -> list[str]:
        """Raise an error on all ranks unless all are about to do the same."""
        return self.finish_agreement(self.start_agreement(doing, detail))

    def wait(self, request: Any, doing: str) -> None:
        """Wait until a request has been completed; `doing` is what for."""
        self._wait_until(request.Test, doing)

    def _wait_until(self, is_done: Callable[[], bool], doing: str) -> None:
        for _ in range(_SPINS):
            if is_done():
                return
            _give_way()  # to a rank that shares the core
        with Watch(self.board, doing) as look:
            while not is_done():
                look()
                time.sleep(_NAP)

    # --- collectives

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            self.agree("barrier()")

    def all_reduce(self, array: Any, op: str) -> Any:
        """The elementwise sum, mean, maximum or minimum over ranks."""
        result = _copy(array)
        if self.size > 1:
            doing = self._begin(f"all_reduce({op!r})", result)
            result = _REDUCTIONS[op](self, result, doing)
        if op == "mean":
            result = (result / self.size).astype(mean_dtype(array.dtype), copy=False)
        return result

    def broadcast(self, array: Any, root: int) -> Any:
        """The array of one rank."""
        result = _copy(array)
        if self.size > 1:
            doing = self._begin(f"broadcast(root={root})", result)
            self.wait(self.world.Ibcast(_bytes_of(result), root), doing)
        return result

    def reduce(self, array: Any, root: int) -> Any:
        """The sum over ranks at one of them, zeros at the others."""
        result = self.all_reduce(array, "sum")
        return result if self.rank == root else np.zeros_like(result)

    def all_gather(self, array: Any) -> Any:
        """The arrays of all ranks along a new first axis."""
        array = _copy(array)
        result = np.empty((self.size, *array.shape), array.dtype)
        if self.size == 1:
            result[0] = array
        else:
            doing = self._begin("all_gather()", array)
            self.wait(self.world.Iallgather(_bytes_of(array), _bytes_of(result)), doing)
        return result

    def reduce_scatter(self, array: Any) -> Any:
        """Of the sum over ranks the part of this one; the first axis has one for each."""
        array = _copy(array)
        if self.size == 1:
            return array[0, ...]
        doing = self._begin("reduce_scatter()", array)
        if array.dtype not in _EXACT:
            return self._sum(array, doing)[self.rank, ...]
        result = np.empty(array.shape[1:], array.dtype)
        request = self.world.Ireduce_scatter_block(array, result, op=self.mpi.SUM)
        self.wait(request, doing)
        return result

    def gather_objects(self, value: Any) -> list[Any]:
        """Small objects of all ranks; arrays travel by `all_gather`."""
        self.agree("gather_objects()")
        return self.world.allgather(value) if self.size > 1 else [value]

    def _begin(self, name: str, array: Any) -> str:
        doing = f"{name} of {array.dtype} {array.shape}"
        self.agree(doing)
        return doing

    def _reduce(self, array: Any, op: Any, doing: str) -> Any:
        self.wait(self.world.Iallreduce(self.mpi.IN_PLACE, array, op=op), doing)
        return array

    def _sum(self, array: Any, doing: str) -> Any:
        """Sums; of halves in single precision, since MPI has none; of booleans whether any is."""
        dtype = array.dtype
        if dtype == np.bool:
            return self._reduce(array.view(np.uint8), self.mpi.MAX, doing).view(dtype)
        if dtype == np.float16:
            with np.errstate(over="ignore"):
                return self._reduce(array.astype(np.float32), self.mpi.SUM, doing).astype(dtype)
        return self._reduce(array, self.mpi.SUM, doing)

    def _mean(self, array: Any, doing: str) -> Any:
        """Sums from which the mean is taken: those of small integers and halves do not overflow."""
        dtype = np.result_type(mean_dtype(array.dtype), np.float32)
        return self._reduce(array.astype(dtype, copy=False), self.mpi.SUM, doing)

    def _max(self, array: Any, doing: str) -> Any:
        return self._extremum(array, 1, doing)

    def _min(self, array: Any, doing: str) -> Any:
        return self._extremum(array, -1, doing)

    def _extremum(self, array: Any, sign: int, doing: str) -> Any:
        """Maxima (sign 1) or minima (-1). As in NumPy, a NaN is the result where there is one."""
        op = self.mpi.MAX if sign > 0 else self.mpi.MIN
        dtype = array.dtype
        if dtype.kind != "f":
            raw = array.view(np.uint8) if dtype == np.bool else array
            return self._reduce(raw, op, doing).view(dtype)
        # as whole numbers in the same order, in which a NaN is beyond infinity
        array[np.isnan(array)] = np.copysign(np.nan, sign)
        return _in_order(self._reduce(_in_order(array), op, doing)).view(dtype)

    # --- messages

    def send(self, arrays: Sequence[Any], to: int, tag: int, header: bytes = b"") -> None:
        """Send copies of arrays, and before them a header if there is one. Does not wait."""
        messages = [_copy(array) for array in arrays]
        if header:
            messages.insert(0, np.frombuffer(header, np.uint8))
        if self.size == 1:
            self._messages.extend(messages)
            return
        self._sent = [each for each in self._sent if not each[0].Test()]
        for message in messages:
            self._sent.append((self.world.Isend(_bytes_of(message), to, tag), message))

    def receive(self, shapes: Sequence[tuple[Any, Any]], from_: int, tag: int) -> tuple[Any, ...]:
        """Arrays of these shapes and dtypes."""
        if self.size == 1:
            return tuple([self._to_itself() for _ in shapes])
        arrays = []
        for shape, dtype in shapes:
            array = np.empty(shape, dtype)
            doing = f"recv(from_={from_}) of {array.dtype} {array.shape}"
            self.wait(self.world.Irecv(_bytes_of(array), from_, tag), doing)
            arrays.append(array)
        return tuple(arrays)

    def receive_header(self, from_: int, tag: int) -> bytes:
        """What was sent before the arrays: this rank does not know how long it is."""
        if self.size == 1:
            return self._to_itself().tobytes()
        status = self.mpi.Status()
        self._wait_until(lambda: self.world.Iprobe(from_, tag, status), f"recv(from_={from_})")
        header = np.empty(status.Get_count(self.mpi.BYTE), np.uint8)
        self.world.Recv(header, from_, tag)
        return header.tobytes()

    def _to_itself(self) -> Any:
        if not self._messages:
            raise DistributedError("recv(from_=0): there is one rank, and it has sent nothing")
        return self._messages.popleft()


_REDUCTIONS = {
    "sum": Communicator._sum,
    "mean": Communicator._mean,
    "max": Communicator._max,
    "min": Communicator._min,
}

_EXACT = [np.dtype(kind) for kind in "bhilBHILfd"]  # those that MPI adds as they are


def _copy(array: Any) -> Any:
    """The same numbers in contiguous memory of their own, in the byte order of this machine."""
    copy = np.copy(array, order="C")
    return copy if copy.dtype.isnative else copy.astype(copy.dtype.newbyteorder("="))


def mean_dtype(dtype: Any) -> Any:
    """The dtype of means: float64 for integers, as in NumPy."""
    return np.result_type(dtype, 0.0)


def _bytes_of(array: Any) -> Any:
    """A contiguous array as bytes, in which form all dtypes travel, without a copy."""
    return array.reshape(-1).view(np.uint8)


def _in_order(array: Any) -> Any:
    """Floating-point numbers as integers of the same order, and back."""
    integers = array.view(f"i{array.dtype.itemsize}")
    most = np.iinfo(integers.dtype).max
    return np.where(integers < 0, integers ^ most, integers)


@functools.lru_cache(4096)
def _number_of(text: str) -> int:
    return zlib.crc32(text.encode())


def _ranks(ranks: Sequence[int]) -> str:
    """`rank 1`, `ranks 1 and 2`."""
    *others, last = map(str, ranks)
    return f"ranks {', '.join(others)} and {last}" if others else f"rank {last}"


@functools.cache
def communicator() -> Communicator:
    """The communicator of this run; MPI starts here, if a launcher has started several ranks.

    Raises:
        DistributedError: there are several ranks, but mpi4py is missing or belongs to another MPI
            than the launcher.
    """
    launched = launched_as()
    if launched is None:
        return Communicator(0, 1, 0)
    rank, size, local_rank = launched
    try:
        mpi4py: Any = importlib.import_module("mpi4py")
        # MPI is called by one thread at a time, and waits by testing
        mpi4py.rc.thread_level = "serialized"
        with starting():
            mpi: Any = importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:  # or there is no MPI that it can load
        raise DistributedError(
            f"this is rank {rank} of {size} that a launcher of MPI has started, but mpi4py cannot "
            f"be imported ({error}), so the ranks cannot reach each other: "
            'pip install "needle-dl[mpi]"'
        ) from None
    found = mpi.COMM_WORLD.Get_size()
    if found != size:
        library = mpi.Get_library_version().partition("\n")[0].strip("\0 ")
        raise DistributedError(
            f"the launcher has started {size} ranks, but mpi4py's library ({library}) sees "
            f"{found}: use the mpiexec of the same MPI, such as python -m pip install "
            '"needle-dl[mpi]" brings, or build mpi4py with the MPI of this cluster'
        )
    return Communicator(mpi.COMM_WORLD.Get_rank(), size, local_rank, mpi)


def is_available() -> bool:
    """Whether mpi4py is installed, without which there is only one rank.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.is_available() in (True, False)
        True
    """
    return importlib.util.find_spec("mpi4py") is not None


def rank() -> int:
    """The number of this process, from 0; 0 if there is only one.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.rank()
        0
    """
    return communicator().rank


def size() -> int:
    """The number of ranks, that is of processes that run the program together.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.size()
        1
    """
    return communicator().size


def local_rank() -> int:
    """The number of this process among those on the same machine, from 0.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.local_rank()
        0
    """
    return communicator().local_rank


def barrier() -> None:
    """Wait until all ranks have called this.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.barrier()
    """
    communicator().barrier()
