"""Parameters in buckets, whose gradients are summed over ranks together.

The last parameters come first, since their gradients are found first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..autograd import Tensor, Value
from .communicator import communicator
from .failures import DistributedError
from .transports import transport

__all__ = ["Averager", "Bucket", "buckets_of", "by_bucket", "detail_of", "union_of"]

_BYTES = 1 << 20
"""Of a bucket, unless one parameter is larger."""

_averagers: WeakValueDictionary[int, Averager] = WeakValueDictionary()
"""By number: ranks make them in the same order, but may let them go at different times."""

_numbers = itertools.count()


class Averager:
    """The buckets of the parameters of one optimizer."""

    def __init__(
        self, params: Sequence[Tensor], compress: str | None = None, model: Any = None
    ) -> None:
        self.compress, self.model = compress, model
        self.number = next(_numbers)
        self.params: list[Tensor] = []
        self.buckets: list[Bucket] = []
        self.plan: Any = None  # of the last `backward`
        _averagers[self.number] = self
        self.cover(params)

    def cover(self, params: Sequence[Tensor]) -> None:
        """Take in parameters, in the order of the optimizer, that are not yet in a bucket."""
        self.plan = None
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

    Each rank puts in its share of the means, which are their sums. Behind the gradients the array
    has one number for each parameter, which is above 0 if a rank has a gradient for it.
    """

    def __init__(self, averager: Averager, positions: list[int]) -> None:
        self.averager, self.positions = averager, positions
        self.params = [averager.params[position] for position in positions]
        self.share = 1 / communicator().size
        self.dtype = np.result_type(self.params[0].dtype, np.float32)  # MPI has no halves
        count = len(self.params)
        length = sum([param.size for param in self.params]) + count
        self._transport = transport(length, self.dtype, count, averager.compress)
        self._cuts = {id(array): self._cut(array) for array in self._transport.arrays}
        self._parts = self._cuts[id(self._transport.own)]
        self.waiting = 0  # how many gradients are still to be found
        for index, param in enumerate(self.params):
            param._shared = self, index

    def _cut(self, flat: Any) -> list[Any]:
        """Views in the shapes of the parameters, and the numbers behind them."""
        ends = np.cumsum([param.size for param in self.params]).tolist()
        parts = np.split(flat, ends)
        shapes = [param.shape for param in self.params]
        return [
            *[part.reshape(shape) for part, shape in zip(parts[:-1], shapes, strict=True)],
            parts[-1],
        ]

    def put(self, index: int, adjoint: Any) -> None:
        """Take in the array that this rank has found for one parameter, or None."""
        parts = self._parts
        parts[-1][index] = adjoint is not None
        if adjoint is None:
            parts[index][...] = 0
        else:
            np.multiply(adjoint, self.share, out=parts[index], dtype=self.dtype)
        self.waiting -= 1

    def expect(self, reached: Sequence[int]) -> None:
        """Wait for the gradients of these; the others count as zeros."""
        if len(reached) < len(self.params):
            for index in set(range(len(self.params))).difference(reached):
                self.put(index, None)
        self.waiting = len(reached)

    def start(self) -> None:
        """Begin the sum over ranks."""
        self._transport.start()

    def poll(self) -> None:
        """Let MPI go on with the sum."""
        self._transport.request.Test()

    def finish(self) -> list[Any]:
        """The means over ranks, None for parameters that no rank has a gradient for."""
        self.wait()
        counts = _sum([parts[-1] for parts in self._summed]).tolist()
        return [self.mean(index) if count else None for index, count in enumerate(counts)]

    def wait(self) -> None:
        """Wait for the sum."""
        self._summed = [self._cuts[id(array)] for array in self._transport.finish()]
        self._parts = self._cuts[id(self._transport.own)]

    def mean(self, index: int, out: Any = None) -> Any:
        """The mean of one parameter after `wait()`, in new memory or in `out`."""
        if out is None:
            out = np.empty(self.params[index].shape, self.params[index].dtype)
        return _sum([parts[index] for parts in self._summed], out)


def _sum(arrays: Sequence[Any], out: Any = None) -> Any:
    """The sum of arrays, one after another, so that all ranks find the same; in `out`, if given."""
    first, *others = arrays
    if out is None:
        out = np.empty_like(first)
    if not others:
        np.copyto(out, first, casting="same_kind")
    elif len(others) == 1 or out.dtype == first.dtype:
        np.add(first, others[0], out=out, casting="same_kind")
        for other in others[1:]:
            out += other
    else:
        np.copyto(out, _sum(arrays), casting="same_kind")
    return out


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
        averager = _averagers.get(int(number))
        if averager is None:
            raise DistributedError(
                f"rank {communicator().rank} has no model any more that another rank calls "
                f"backward() on, which optimizer {number} of those given to wrap() trains"
            )
        for bucket in averager.buckets:
            bits = [int(mask, 16) >> position & 1 for position in bucket.positions]
            if any(bits):
                found[bucket] = [index for index, bit in enumerate(bits) if bit]
    return found
