"""How a step walks over parameters and memory: few NumPy calls, and a bounded scratch array.

Small parameters that share their settings are updated together: their gradients are gathered into
one flat array, the rule runs once over it, and the change goes back to the parameters' own arrays.
A step over 22 small parameters then costs a dozen NumPy calls, not 22 dozens. A large parameter is
updated in pieces that fit the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Array, Tensor
from ..autograd.modes import observers
from .bucket import Bucket
from .program import Program, structure
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Executor"]

_SMALL = 8_192  # elements: up to here, gathering is cheaper than a rule's calls
_LEAST_SCRATCH = 32_768  # elements: what models smaller than this may spend on speed
_MOST_SCRATCH = 131_072  # elements: pieces of this size were faster than the whole, and than others


class Executor:
    """Runs the update rule of an optimizer, in place or by ops that an observer sees."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []  # filled by the first step
        self.saved: dict[Tensor, dict[str, Any]] = {}  # the state, while there are no buckets
        self.programs: dict[Any, Program] = {}  # by the structure of groups
        self.recorded: list[tuple[Bucket, Any]] = []  # of the last step that was observed

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """The step count and state arrays of each parameter that has some: views."""
        gathered = dict(self.saved)
        for bucket in self.buckets:
            gathered.update(bucket.states())
        return gathered

    def regroup(self, state: dict[Tensor, dict[str, Any]]) -> None:
        """Go on from this state, with the parameter groups of the next step."""
        self.saved, self.buckets, self.recorded = state, [], []

    def __getstate__(self) -> dict[str, Any]:
        # buckets hold views of shared memory, which a copy or a pickle would tear apart
        return {**vars(Executor()), "saved": self.state}

    def _filled(self, optimizer: Optimizer) -> list[Bucket]:
        if not self.buckets:
            self.buckets, self.saved = _fill_buckets(optimizer.param_groups, self.saved), {}
        return self.buckets

    def step(self, optimizer: Optimizer) -> None:
        """Update the parameters that have gradients."""
        buckets = self._filled(optimizer)
        # all gradients first: in lazy mode they are computed here, from values before the step
        work = [(bucket, bucket.gradients()) for bucket in buckets]
        if is_recorded := bool(observers.get()):
            self.recorded = []
        for bucket, gradients in work:
            if not gradients:
                continue
            if len(gradients) < len(bucket.params):
                position = buckets.index(bucket)
                buckets[position : position + 1] = parts = bucket.split()
                bucket = parts[0]
            bucket.prepare(optimizer, self.programs)
            if is_recorded:
                bucket.record()
                self.recorded.append((bucket, bucket.numbers))
            else:
                bucket.update(gradients)

    def advance(self) -> bool:
        """Count a step for the recorded one, and update its numbers; False if it does not fit."""
        for bucket, numbers in self.recorded:
            is_prepared = bucket.numbers is numbers and structure(bucket.group) == bucket.structure
            if bucket not in self.buckets or not is_prepared:
                return False
        for bucket, numbers in self.recorded:
            bucket.advance(numbers)
        return bool(self.recorded)

    def source(self, optimizer: Optimizer) -> str:
        """The compiled functions."""
        for bucket in self._filled(optimizer):
            bucket.prepare(optimizer, self.programs)
        return "\n".join(dict.fromkeys(bucket.program.source for bucket in self.buckets))


def _kind(param: Tensor) -> Any:
    array = param.realize_cached_data()
    return type(array), array.dtype


def _fill_buckets(
    groups: Sequence[ParamGroup], saved: Mapping[Tensor, dict[str, Any]]
) -> list[Bucket]:
    """Distribute the parameters of all groups over buckets, small ones together."""
    largest: dict[Any, Array] = {}
    for param in (param for group in groups for param in group["params"]):
        array, kind = param.realize_cached_data(), _kind(param)
        if kind not in largest or array.size > largest[kind].size:
            largest[kind] = array
    sizes, scratch = {}, {}
    for kind, array in largest.items():
        size = min(max(array.size, _LEAST_SCRATCH), _MOST_SCRATCH)
        sizes[kind] = max(size // len(largest), 2 * _SMALL)  # kinds share the memory
        scratch[kind] = cache(partial(np.empty_like, array, shape=(sizes[kind],)))
    together: dict[Any, list[list[Tensor]]] = {}
    for number, group in enumerate(groups):
        for param in group["params"]:
            kind, state = _kind(param), saved.get(param, {})
            alone = param if param.size > _SMALL else None
            key = number, kind, state.get("step", 0), tuple(state), alone
            parts = together.setdefault(key, [[]])
            size = sum(other.size for other in parts[-1])
            if parts[-1] and size + param.size > sizes[kind] // 2:
                parts.append([])
            parts[-1].append(param)
    return [
        Bucket(groups[number], params, scratch[kind], saved)
        for (number, kind, *_), parts in together.items()
        for params in parts
    ]
