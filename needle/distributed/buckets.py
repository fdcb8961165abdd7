"""Parameters in buckets, whose gradients are summed over ranks together.

The last parameters come first, since their gradients are found first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..autograd import Tensor, Value
from .communicator import communicator

__all__ = ["Averager", "Bucket", "buckets_of", "by_bucket", "detail_of", "union_of"]

_BYTES = 1 << 20
"""Of a bucket, unless one parameter is larger."""

_averagers: WeakValueDictionary[int, Averager] = WeakValueDictionary()
"""By number: ranks make them in the same order."""


class Averager:
    """The buckets of the parameters of one optimizer."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.number = 1 + max(_averagers, default=-1)
        self.params: list[Tensor] = []
        self.buckets: list[Bucket] = []
        _averagers[self.number] = self
        self.cover(params)

    def cover(self, params: Sequence[Tensor]) -> None:
        """Take in parameters, in the order of the optimizer, that are not yet in a bucket."""
        parts: dict[Any, list[list[int]]] = {}
        start = len(self.params)
        self.params += params[start:]
        for position in range(len(self.params) - 1, start - 1, -1):
            param = self.params[position]
            buckets = parts.setdefault(param.dtype, [[]])
            size = sum(self.params[each].size for each in buckets[-1]) + param.size
            if buckets[-1] and size * param.dtype.itemsize > _BYTES:
                buckets.append([])
            buckets[-1].append(position)
        places = sorted([each for buckets in parts.values() for each in buckets], reverse=True)
        self.buckets += [Bucket(self, positions) for positions in places]


class Bucket:
    """Parameters of one dtype whose gradients are summed together, in one flat array.

    Behind the gradients the array has one number for each parameter, which is 1 if this rank has a
    gradient for it.
    """

    def __init__(self, averager: Averager, positions: list[int]) -> None:
        self.averager, self.positions = averager, positions
        self.params = [averager.params[position] for position in positions]
        dtype = np.result_type(self.params[0].dtype, np.float32)  # MPI has no halves
        sizes = [param.size for param in self.params]
        ends = np.cumsum(sizes).tolist()
        self.flat = np.zeros(sum(sizes) + len(sizes), dtype)
        self.parts = [
            self.flat[end - param.size : end].reshape(param.shape)
            for param, end in zip(self.params, ends, strict=True)
        ]
        self.flags = self.flat[ends[-1] :]
        self.waiting = 0  # how many gradients are still to be found
        for index, param in enumerate(self.params):
            param._shared = self, index

    def put(self, index: int, adjoint: Any) -> None:
        """Take in the array that this rank has found for one parameter, or None."""
        self.flags[index] = adjoint is not None
        if adjoint is None:
            self.parts[index][...] = 0
        else:
            self.parts[index][...] = adjoint
        self.waiting -= 1

    def expect(self, reached: Sequence[int]) -> None:
        """Wait for the gradients of these; the others count as zeros."""
        if len(reached) < len(self.params):
            for index in set(range(len(self.params))).difference(reached):
                self.put(index, None)
        self.waiting = len(reached)

    def start(self) -> None:
        """Begin the sum over ranks."""
        world = communicator()
        self.request = world.background.Iallreduce(world.mpi.IN_PLACE, self.flat, op=world.mpi.SUM)

    def finish(self) -> list[Any]:
        """The means over ranks, None for parameters that no rank has a gradient for."""
        world = communicator()
        world.wait(self.request, "the mean of gradients")
        return [
            self._mean(part, param.dtype, world.size) if flag else None
            for part, param, flag in zip(self.parts, self.params, self.flags.tolist(), strict=True)
        ]

    def _mean(self, part: Any, dtype: Any, size: int) -> Any:
        return np.divide(part, size, dtype=part.dtype).astype(dtype, copy=False)


def by_bucket(reached: Iterable[Value]) -> dict[Bucket, list[int]]:
    found: dict[Bucket, list[int]] = {}
    for leaf in reached:
        bucket, index = leaf._shared
        found.setdefault(bucket, []).append(index)
    return found


def detail_of(expected: dict[Bucket, list[int]]) -> str:
    """The parameters that are reached, as the bits of a number for each optimizer."""
    masks: dict[int, int] = {}
    for bucket, indices in expected.items():
        number = bucket.averager.number
        bits = sum([1 << bucket.positions[index] for index in indices])
        masks[number] = masks.get(number, 0) | bits
    return " ".join([f"{number}:{mask:x}" for number, mask in sorted(masks.items())])


def union_of(details: Iterable[str]) -> str:
    """The parameters that any rank reaches, in the form of `detail_of`."""
    masks: dict[int, int] = {}
    for pair in " ".join(details).split():
        number, mask = pair.split(":")
        masks[int(number)] = masks.get(int(number), 0) | int(mask, 16)
    return " ".join([f"{number}:{mask:x}" for number, mask in sorted(masks.items())])


def buckets_of(union: str) -> dict[Bucket, list[int]]:
    """The buckets with parameters that any rank reaches, and which these are."""
    found = {}
    for pair in union.split():
        number, mask = pair.split(":")
        for bucket in _averagers[int(number)].buckets:
            bits = [int(mask, 16) >> position & 1 for position in bucket.positions]
            if any(bits):
                found[bucket] = [index for index, bit in enumerate(bits) if bit]
    return found
