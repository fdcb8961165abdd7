"""What optimizers and schedules do in Python whenever a recorded step runs.

`needle.autograd.modes.effects` is given these actions. A step calls `fits()` of each, which tells
whether what was recorded still holds, then `begin()` of each in order, computes, and calls `end()`;
or `undo()`, in the opposite order, where an exception came in between. If it comes after the new
values were written, `end()` is called of each again. Actions with `is_first` begin before the
others; they may raise `Restart`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, modes
from .program import structure

if TYPE_CHECKING:
    from .executor import Bucket
    from .optimizer import Optimizer
    from .schedule import Schedule

__all__ = ["Restart", "ScheduleStep", "Update", "recordable"]


class Restart(Exception):
    """Raised by `begin()`: what was recorded does not hold, and `fits()` tells it from now on."""


class Update:
    """The update of buckets that share their numbers: one group's, in one step of its optimizer.

    It is the `number`-th update of these buckets in a recorded step, from 1.
    """

    is_first = False

    def __init__(
        self, optimizer: Optimizer, bucket: Bucket, numbers: Sequence[Tensor], number: int
    ) -> None:
        self.optimizer, self.numbers, self.number = optimizer, numbers, number
        self.buckets = [bucket]
        self.group, self.program, self.structure = bucket.group, bucket.program, bucket.structure
        self._settings: list[Any] = []  # that are known to fit
        self._known: list[Bucket] | None = None  # all buckets of the optimizer, with these
        self._steps = 0  # after the update

    @property
    def params(self) -> list[Tensor]:
        """The parameters of all buckets."""
        return [param for bucket in self.buckets for param in bucket.params]

    def shares_numbers(self, bucket: Bucket, number: int) -> bool:
        """Whether a bucket, updated next for the `number`-th time, needs the same numbers."""
        own = self.buckets[0]
        return (
            number == self.number
            and bucket.group is self.group
            and bucket.steps == own.steps
            and bucket.structure == self.structure
            and bucket.kind == own.kind
        )

    def fits(self) -> bool:
        """Whether the recorded ops are still those of the optimizer."""
        buckets, values = self.optimizer._executor.buckets, [*self.group.values()]
        if buckets is not self._known:
            if not all(bucket in buckets for bucket in self.buckets):
                return False
            self._known = buckets
        if values != self._settings:
            if structure(self.group) != self.structure:
                return False
            self._settings = values
        return len({bucket.steps for bucket in self.buckets}) == 1

    def begin(self) -> None:
        """Give the recorded ops the numbers of the next step."""
        bucket = self.buckets[0]
        self._steps = bucket.steps + self.number if bucket.used_state else 0
        numbers = self.program.compute_numbers(self.group, self._steps)
        for tensor, number in zip(self.numbers, numbers, strict=True):
            tensor.cached_data[()] = number

    def end(self) -> None:
        """The step was made."""
        if self.buckets[0].used_state:
            for bucket in self.buckets:
                bucket.steps = self._steps

    def undo(self) -> None:
        """The step was not made."""


class ScheduleStep:
    """A step of a schedule, with a copy of its state to go back to."""

    is_first = False

    def __init__(self, schedule: Schedule, step: Callable[[], None]) -> None:
        self.schedule, self._step = schedule, step
        self.optimizer = schedule.optimizer
        self.buckets = ()
        self.is_last = True  # no update of the optimizer follows
        self._is_made = False
        self._former: Any = None  # while the step is being made

    def fits(self) -> bool:
        return True

    def begin(self) -> None:
        self._is_made = False
        if not self.is_last:
            self._make()

    def end(self) -> None:
        if not self._is_made:
            self._make()
        self._former = None

    def _make(self) -> None:
        self.undo()  # half a step, which an exception has left
        groups = self.optimizer.param_groups
        self._former = self.schedule.state_dict(), [group.copy() for group in groups]
        self._step()
        self._is_made = True

    def undo(self) -> None:
        if self._former is None:
            return
        state, groups = self._former
        self.schedule.load_state_dict(state)
        for group, former in zip(self.optimizer.param_groups, groups, strict=True):
            dict.update(group, former)
        self._former = None


def recordable(step: Callable[..., None]) -> Callable[..., None]:
    """The `step` of a schedule, which a recorded step makes whenever it runs.

    One that is given a tensor, such as a validation loss, reads its value and cannot be recorded.
    """

    @functools.wraps(step)
    def wrapper(schedule: Schedule, *args: Any, **kwargs: Any) -> None:
        effects = modes.effects.get()
        given = (*args, *kwargs.values())
        if effects is None or any(isinstance(each, Tensor) for each in given):
            return step(schedule, *args, **kwargs)
        return effects.act(ScheduleStep(schedule, lambda: step(schedule, *args, **kwargs)))

    return wrapper
