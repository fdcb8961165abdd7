"""How the gradients of a bucket travel: sums over ranks of flat arrays.

A transport has an array `own` that a rank writes its numbers to before `start()`. `finish()` waits
and returns arrays, the same on all ranks, of which the sum over ranks is the sum; they are read
before the next `start()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .communicator import communicator
from .shared_memory import shared_arrays

__all__ = ["COMPRESSIONS", "transport"]

_DOING = "the mean of gradients"


class SumByMPI:
    """The sum by a non-blocking reduction of MPI."""

    def __init__(self, length: int, dtype: Any) -> None:
        self.own = np.zeros(length, dtype)
        self.arrays = [self.own]

    def start(self) -> None:
        world = communicator()
        whole = world.mpi.IN_PLACE, self.own
        self.request = world.background.Iallreduce(*whole, op=world.mpi.SUM)

    def finish(self) -> list[Any]:
        communicator().wait(self.request, _DOING)
        return self.arrays


class SharedMemory:
    """Memory that all ranks of a machine see; MPI tells when all have written.

    It has two sides: one is filled while others may still read the other one.
    """

    def __init__(self, memory: list[Any]) -> None:
        length = len(memory[0]) // 2
        self._sides = [[each[:length] for each in memory], [each[length:] for each in memory]]
        self._rank = communicator().rank
        self.arrays = [*self._sides[0], *self._sides[1]]
        self.own = self._sides[0][self._rank]

    def start(self) -> None:
        self.request = communicator().background.Ibarrier()

    def finish(self) -> list[Any]:
        communicator().wait(self.request, _DOING)
        written, following = self._sides
        self._sides.reverse()
        self.own = following[self._rank]
        return written


class Halves:
    """Sums of numbers that travel in 16 bits; what rounding takes away is added the next time.

    Each rank sums a part of the array, which the others send it, and sends the sum to all. The
    last `exact` numbers, which are 0 or more, only tell whether they are above 0.

    Seide et al. 2014, "1-bit stochastic gradient descent"; Karimireddy et al. 2019, "Error feedback
    fixes SignSGD".
    """

    def __init__(self, length: int, dtype: Any, exact: int, compression: Compression) -> None:
        size = communicator().size
        self.own = np.zeros(length, dtype)
        self.arrays = [self.own]
        self._numbers, self._flags = self.own[: length - exact], self.own[length - exact :]
        self._compression = compression
        self._part = -(-len(self._numbers) // size)
        self._padded = np.zeros((size, self._part), np.float32)
        self._lost = np.zeros(len(self._numbers), dtype)
        self._lost_of_sum = np.zeros(self._part, np.float32)

    def start(self) -> None:
        world, numbers = communicator(), self._numbers
        numbers += self._lost
        padded = self._padded.reshape(-1)
        padded[: len(numbers)] = numbers
        halves, scale, rounded = self._rounded(self._padded)
        self._lost = _lost(numbers, rounded.reshape(-1)[: len(numbers)])
        heads = np.broadcast_to(_head(scale, self._flags), (world.size, 2 + len(self._flags)))
        sent = np.ascontiguousarray(np.concatenate([heads, halves], axis=1))
        self._received = np.empty_like(sent)
        self._sent = sent  # until it has been received
        self.request = world.background.Ialltoall(_bytes(sent), _bytes(self._received))

    def finish(self) -> list[Any]:
        world, start = communicator(), 2 + len(self._flags)
        world.wait(self.request, _DOING)
        scales = self._received[:, :2].copy().view(np.float32)
        self._flags[:] = self._received[:, 2:start].any(axis=0)
        total = self._lost_of_sum.copy()
        for row, scale in zip(self._received[:, start:], scales[:, 0], strict=True):
            with np.errstate(invalid="ignore"):
                total += self._compression.decode(row) / scale
        halves, scale, rounded = self._rounded(total)
        self._lost_of_sum = _lost(total, rounded)
        sent = np.concatenate([_head(scale, ()), halves])
        received = np.empty((world.size, len(sent)), np.uint16)
        request = world.background.Iallgather(_bytes(sent), _bytes(received))
        world.wait(request, _DOING)
        scales = received[:, :2].copy().view(np.float32)
        sums = self._compression.decode(received[:, 2:]) / scales
        self._numbers[:] = sums.reshape(-1)[: len(self._numbers)]
        return self.arrays

    def _rounded(self, numbers: Any) -> tuple[Any, Any, Any]:
        """Numbers in 16 bits, the scale that they were multiplied by, and what arrives."""
        scale = np.float32(1)
        if self._compression.is_scaled and numbers.size:
            largest = np.abs(numbers).max()
            if 0 < largest < np.inf:
                exponent = np.clip(14 - np.frexp(largest)[1], -120, 120)  # below 2¹⁵ then
                scale = np.ldexp(scale, exponent)
        halves = self._compression.encode(numbers * scale)
        return halves, scale, self._compression.decode(halves) / scale


class Compression(NamedTuple):
    """Single precision to 16 bits, and back."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    is_scaled: bool
    """Whether numbers are scaled by a power of two into the range of the 16 bits."""


def _to_bfloat16(numbers: Any) -> Any:
    """The upper halves of the bits, rounded to even; NaN stays NaN."""
    bits = numbers.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(numbers), np.uint32(0x7FC0), rounded).astype(np.uint16)


COMPRESSIONS = {
    "float16": Compression(
        lambda numbers: numbers.astype(np.float16).view(np.uint16),
        lambda halves: np.ascontiguousarray(halves).view(np.float16).astype(np.float32),
        is_scaled=True,
    ),
    "bfloat16": Compression(
        _to_bfloat16,
        lambda halves: (halves.astype(np.uint32) << 16).view(np.float32),
        is_scaled=False,
    ),
}


def _head(scale: Any, flags: Any) -> Any:
    """What goes before the numbers: the scale as two, and a flag for each of some others."""
    present = np.asarray(flags) > 0
    return np.concatenate(
        [np.array([scale], np.float32).view(np.uint16), present.astype(np.uint16)]
    )


def _lost(numbers: Any, rounded: Any) -> Any:
    """What rounding took away; nothing of numbers that are not finite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(numbers), numbers - rounded, 0)


def _bytes(array: Any) -> Any:
    return array.reshape(-1).view(np.uint8)


def transport(length: int, dtype: Any, exact: int, compress: str | None) -> Any:
    """The transport for this run. All ranks must call this."""
    if compress is not None:
        return Halves(length, dtype, exact, COMPRESSIONS[compress])
    memory = shared_arrays(communicator(), 2 * length, dtype)
    return SumByMPI(length, dtype) if memory is None else SharedMemory(memory)
