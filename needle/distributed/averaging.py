"""Gradients averaged over ranks while `backward` is still at work.

When `backward` has found all gradients of a bucket, their sum over ranks is begun; it goes on while
others are found. All ranks begin the buckets in the same order, whichever gradients they find
first, and the sums are the same to the bit in each run with as many ranks.

At its beginning a `backward` tells the other ranks which parameters it reaches. Those that another
rank reaches alone count as zeros here; those that none reaches get no gradient.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from ..autograd import Tensor, Value, modes
from ..autograd.reverse import leaves_early, transforms
from .buckets import Bucket, buckets_of, by_bucket, detail_of, union_of
from .communicator import communicator
from .recorded_means import recorded

__all__ = ["DOING", "start_averaging"]

DOING = "backward() to parameters of an optimizer that wrap() was given"


def start_averaging() -> None:
    """From now on each `backward` averages the gradients of parameters that are in buckets."""
    if _averaged not in transforms:
        transforms.append(_averaged)


def _averaged(order: list[Value], leaves: Iterator[Any]) -> Iterator[Any]:
    """The leaves of a `backward` with adjoints, of which those of wrapped optimizers are means."""
    reached = [leaf for leaf in order if leaf._shared is not None]
    if not reached:
        yield from leaves
        return
    if (effects := modes.effects.get()) is not None:
        yield from recorded(DOING, order, leaves, reached, effects)
        return
    world = communicator()
    expected = by_bucket(reached)
    agreement = world.start_agreement(DOING, detail_of(expected))
    leaves_early(order)
    for bucket, indices in expected.items():
        bucket.expect(indices)
    running: list[Bucket] = []
    queue: deque[Bucket] | None = None
    for leaf, adjoint in leaves:
        if leaf._shared is None:
            yield leaf, adjoint
            continue
        bucket, index = leaf._shared
        bucket.put(index, None if adjoint is None else adjoint.realize_cached_data())
        if running:
            running[-1].request.Test()  # lets MPI go on
        if not bucket.waiting:
            if queue is None:  # the ranks have begun together, and this has long been there
                queue = deque(buckets_of(union_of(world.finish_agreement(agreement))))
                for other in queue:
                    if other not in expected:
                        other.expect(())
            while queue and not queue[0].waiting:
                running.append(queue.popleft())
                running[-1].start()
    local = set(reached)
    for bucket in running:
        for param, mean in zip(bucket.params, bucket.finish(), strict=True):
            if mean is not None:
                yield param, Tensor.make_const(mean)
            elif param in local:
                yield param, None
