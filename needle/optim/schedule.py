"""The base of learning rate schedules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .optimizer import Optimizer
from .settings import NON_NEGATIVE, POSITIVE, UNIT, ParamGroup, count, number

__all__ = ["LRScheduler", "Schedule"]

_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(["step_size", "total_iters", "T_max"], count),
    "milestones": lambda name, epochs: sorted(count(name, epoch) for epoch in epochs),
    **dict.fromkeys(["gamma", "eta_min"], NON_NEGATIVE),
    "power": POSITIVE,
    "start_factor": number(lambda x: 0 < x <= 1, "a number in (0, 1]"),
    **dict.fromkeys(["end_factor", "factor"], UNIT),
}
"""What the fields of schedules may be."""


class Schedule:
    """The base of all schedules: an optimizer, a count of steps, and a state for checkpoints."""

    not_saved: ClassVar[frozenset[str]] = frozenset({"optimizer"})

    def _check(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            kind, given = type(self).__name__, type(optimizer).__name__
            raise TypeError(f"{kind} takes an Optimizer, got {given}")
        self.optimizer = optimizer
        self.last_epoch = 0

    @property
    def groups(self) -> list[ParamGroup]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    def get_last_lr(self) -> list[float]:
        """The learning rate of each parameter group."""
        return [group["lr"] for group in self.groups]

    def state_dict(self) -> dict[str, Any]:
        """A copy of settings and progress; functions are left out."""
        names = sorted(vars(self).keys() - self.not_saved)
        return copy.deepcopy({name: vars(self)[name] for name in names})

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where another scheduler of this kind stood.

        The learning rates themselves belong to the optimizer's state: load that, too.

        Raises:
            ValueError: the state belongs to a scheduler of another kind.
        """
        here, expected = sorted(state_dict), sorted(vars(self).keys() - self.not_saved)
        if here != expected:
            kind = type(self).__name__
            raise ValueError(f"the state is not that of a {kind}: {here}, expected {expected}")
        vars(self).update(copy.deepcopy(dict(state_dict)))


@dataclass(eq=False, repr=False)
class LRScheduler(Schedule):
    """A schedule given by a multiplier: lr = floor + (initial lr - floor)·multiplier(epoch).

    A step multiplies lr - floor by multiplier(epoch) / multiplier(epoch - 1), so that schedules
    of one optimizer multiply, changes by hand stay, and parameter groups can be added later.
    An epoch is one call of `step()`. A subclass defines `multiplier`; its fields are checked
    where needle has one of that name.

    Raises:
        TypeError: `optimizer` is not an Optimizer.
        ValueError: a setting is out of its range.

    Example:
        >>> import needle as ndl
        >>> class HalveOnce(ndl.optim.LRScheduler):
        ...     def multiplier(self, epoch, group):
        ...         return 1.0 if epoch < 1 else 0.5
        >>> schedule = HalveOnce(ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.05]
    """

    optimizer: Optimizer
    floor = 0.0

    def __post_init__(self) -> None:
        self._check(self.optimizer)
        for field in fields(self):
            if check := _CHECKS.get(field.name):
                setattr(self, field.name, check(field.name, getattr(self, field.name)))
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in self.groups]
        self._begin()

    def multiplier(self, epoch: int, group: int) -> float:
        """The multiplier of an epoch for the parameter group with this number."""
        raise NotImplementedError(f"{type(self).__name__} defines no multiplier()")

    def restart(self) -> None:
        """Go to epoch 0, from the initial learning rates."""
        for group, base in zip(self.groups, self.base_lrs, strict=False):
            group["lr"] = base
        self._begin()

    def step(self) -> None:
        """Go to the next epoch."""
        self._go_to(self.last_epoch + 1)

    def _begin(self) -> None:
        """Epoch 0 on top of the learning rates there are: other schedules may have changed them."""
        self.multipliers = [1.0] * len(self.base_lrs)
        self._go_to(0)

    def _go_to(self, epoch: int) -> None:
        for position, group in enumerate(self.groups):
            if position == len(self.base_lrs):  # a group added since
                self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
                self.multipliers.append(self.multiplier(self.last_epoch, position))
            former, new = self.multipliers[position], self.multiplier(epoch, position)
            self.multipliers[position] = new
            # from 0, nothing is left to multiply
            lr, ratio = (group["lr"], new / former) if former else (self.base_lrs[position], new)
            group["lr"] = self.floor + (lr - self.floor) * ratio
        self.last_epoch = epoch
