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
from operator import is_
from typing import Any

from ..autograd import Tensor, Value, modes
from ..autograd.reverse import leaves_early, transforms
from .buckets import Averager, Bucket, buckets_of, by_bucket, detail_of, union_of
from .communicator import communicator
from .recorded_means import recorded

__all__ = ["DOING", "start_averaging"]

DOING = "backward() to parameters of an optimizer that wrap() was given"


def _doing(averager: Averager) -> str:
    """What a rank tells the others, so that a model in eval mode on one of them is noticed."""
    is_evaluated = averager.model is not None and not averager.model.training
    return f"{DOING}, with the model in eval mode" if is_evaluated else DOING


def start_averaging() -> None:
    """From now on each `backward` averages the gradients of parameters that are in buckets."""
    if _averaged not in transforms:
        transforms.append(_averaged)


class _Plan:
    """What a `backward` that reaches some parameters has to do."""

    def __init__(self, reached: list[Value]) -> None:
        self.reached = reached
        self.expected = by_bucket(reached)
        self.detail = detail_of(self.expected)
        self.buckets = [*buckets_of(self.detail)]

    def buckets_with(self, details: list[str]) -> list[Bucket]:
        """The buckets in order, with those that only other ranks reach."""
        if details == [self.detail]:
            return self.buckets
        buckets = [*buckets_of(union_of(details))]
        for bucket in buckets:
            if bucket not in self.expected:
                bucket.expect(())
        return buckets


def _plan_for(reached: list[Value]) -> _Plan:
    """The plan of the former `backward`, if this one reaches the same parameters."""
    averager = reached[0]._shared[0].averager
    plan = averager.plan
    if (
        plan is None
        or len(plan.reached) != len(reached)
        or not all(map(is_, plan.reached, reached))
    ):
        plan = averager.plan = _Plan(reached)
    return plan


def _averaged(order: list[Value], leaves: Iterator[Any]) -> Iterator[Any]:
    """The leaves of a `backward` with adjoints, of which those of wrapped optimizers are means."""
    reached = [leaf for leaf in order if leaf._shared is not None]
    if not reached:
        yield from leaves
        return
    doing = _doing(reached[0]._shared[0].averager)
    if (effects := modes.effects.get()) is not None:
        yield from recorded(doing, order, leaves, reached, effects)
        return
    world = communicator()
    plan = _plan_for(reached)
    agreement = world.start_agreement(doing, plan.detail)
    leaves_early(order)
    for bucket, indices in plan.expected.items():
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
            running[-1].poll()
        if not bucket.waiting:
            if queue is None:  # the ranks have begun together, and this has long been there
                queue = deque(plan.buckets_with(world.finish_agreement(agreement)))
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
