"""Means of gradients as ops of a recorded step.

A recorded `backward` has an op for each bucket that begins its sum, at the place where its last
gradient is found, and one that waits for it at the end. Before a step runs, the ranks tell each
other which parameters they reach (`Exchange`). Where others reach more than was recorded, the step
is recorded anew, with zeros for these.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp, Value, no_grad
from ..autograd.reverse import leaves_early
from ..optim.effects import Restart
from .buckets import Bucket, buckets_of, by_bucket, detail_of, union_of
from .collectives import in_memory
from .communicator import communicator

__all__ = ["recorded"]


class StartMean(TensorOp):
    """Begins the sum over ranks of the operands, and zeros for the other parameters of a bucket."""

    differentiable = False
    is_random = True  # as those that draw: never merged, left out or moved past another

    def __init__(self, bucket: Bucket, indices: Sequence[int]) -> None:
        self.bucket, self.indices = bucket, tuple(indices)

    def compute(self, *adjoints: Array) -> Array:
        for adjoint in adjoints:
            in_memory(adjoint)
        self.bucket.expect(self.indices)
        for index, adjoint in zip(self.indices, adjoints, strict=False):
            self.bucket.put(index, adjoint)
        self.bucket.start()
        return np.zeros((), np.float32)

    def infer(self, *adjoints: AbstractArray) -> AbstractArray:
        return AbstractArray((), np.dtype(np.float32))


class FinishMean(TensorOp):
    """Waits for that sum."""

    differentiable = False
    is_random = True

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def compute(self, started: Array) -> Array:
        in_memory(started)
        self.bucket.wait()
        return np.zeros((), np.float32)

    def infer(self, started: AbstractArray) -> AbstractArray:
        return AbstractArray((), np.dtype(np.float32))


class MeanOf(TensorOp):
    """The mean for one parameter of the bucket, after `FinishMean`."""

    differentiable = False
    is_random = True

    def __init__(self, bucket: Bucket, index: int) -> None:
        self.bucket, self.index = bucket, index

    def compute(self, finished: Array) -> Array:
        in_memory(finished)
        return self.bucket.mean(self.index)

    def compute_into(self, out: Array, finished: Array) -> None:
        self.bucket.mean(self.index, out)

    def infer(self, finished: AbstractArray) -> AbstractArray:
        param = self.bucket.params[self.index]
        return AbstractArray(param.shape, param.dtype)


class _Run:
    """What ranks have told each other in the step that runs now."""

    unions: tuple[str, ...] = ()
    """For each `backward` of it, the parameters that any rank reaches."""
    is_repeated = False
    """Whether a recording did not hold, so that the step is begun again."""


class Exchange:
    """Before a recorded step runs, tells the others which parameters a `backward` reaches."""

    is_first = True
    optimizer, buckets = None, ()

    def __init__(self, doing: str, detail: str, union: str, position: int) -> None:
        self.doing, self.detail, self.union, self.position = doing, detail, union, position

    def fits(self) -> bool:
        known = _Run.unions[self.position :][:1] if _Run.is_repeated else ()
        return known in ((), (self.union,))

    def begin(self) -> None:
        if self.position == 0:
            if not _Run.is_repeated:
                _Run.unions = ()
            _Run.is_repeated = False
        if self.position == len(_Run.unions):
            details = communicator().agree(self.doing, self.detail)
            _Run.unions += (union_of(details),)
        if _Run.unions[self.position] != self.union:
            _Run.is_repeated = True
            raise Restart

    def end(self) -> None:
        pass

    undo = end


def recorded(
    doing: str, order: list[Value], leaves: Iterator[Any], reached: Sequence[Value], effects: Any
) -> Iterator[Any]:
    """The leaves of a recorded `backward` with adjoints, means for those in buckets."""
    leaves_early(order)
    found: dict[Bucket, dict[int, Any]] = {bucket: {} for bucket in by_bucket(reached)}
    waiting = {bucket: len(indices) for bucket, indices in by_bucket(reached).items()}
    queue = deque(buckets_of(detail_of(by_bucket(reached))))
    started: dict[Bucket, Tensor] = {}
    for leaf, adjoint in leaves:
        if leaf._shared is None or adjoint is None:
            yield leaf, adjoint
        if leaf._shared is None:
            continue
        bucket, index = leaf._shared
        if adjoint is not None:
            found[bucket][index] = adjoint
        waiting[bucket] -= 1
        while queue and not waiting[queue[0]]:
            bucket = queue.popleft()
            if found[bucket]:
                started[bucket] = _start(bucket, found[bucket])
    detail = detail_of({bucket: [*adjoints] for bucket, adjoints in found.items()})
    position = sum(isinstance(action, Exchange) for action in effects.actions)
    union = detail
    if _Run.is_repeated and position < len(_Run.unions):
        union = _Run.unions[position]
    effects.act(Exchange(doing, detail, union, position))
    for bucket, indices in buckets_of(union).items():
        token = started[bucket] if bucket in started else _start(bucket, {})
        with no_grad():
            finished = FinishMean(bucket)(token)
            means = [MeanOf(bucket, index)(finished) for index in indices]
        yield from zip([bucket.params[index] for index in indices], means, strict=True)


def _start(bucket: Bucket, adjoints: dict[int, Any]) -> Tensor:
    indices = sorted(adjoints)
    operands = [adjoints[index] for index in indices] or bucket.params[:1]
    with no_grad():
        return StartMean(bucket, indices)(*operands)
