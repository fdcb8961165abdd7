"""The base of learning rate schedules."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from .optimizer import Optimizer
from .settings import ParamGroup

__all__ = ["LRScheduler", "Schedule", "per_group"]


class Schedule:
    """What all schedules share: an optimizer, a count of steps, and a state for checkpoints.

    Raises:
        TypeError: `optimizer` is none.
    """

    not_saved: ClassVar[frozenset[str]] = frozenset({"optimizer"})

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__} takes an Optimizer, got {type(optimizer).__name__}"
            )
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
        return copy.deepcopy({name: vars(self)[name] for name in self._saved_names()})

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where another scheduler of this kind stood.

        The learning rates themselves belong to the optimizer's state: load that, too.

        Raises:
            ValueError: the state belongs to a scheduler of another kind.
        """
        expected = self._saved_names()
        if sorted(state_dict) != expected:
            raise ValueError(
                f"the state is not that of a {type(self).__name__}: "
                f"it has {sorted(state_dict)}, expected {expected}"
            )
        vars(self).update(copy.deepcopy(dict(state_dict)))

    def _saved_names(self) -> list[str]:
        return sorted(vars(self).keys() - self.not_saved)


class LRScheduler(Schedule):
    """A schedule given by a multiplier: lr = floor + (initial lr - floor)·multiplier(epoch).

    A step multiplies lr - floor by multiplier(epoch) / multiplier(epoch - 1). So several
    schedules on one optimizer multiply, a learning rate changed by hand stays changed, and a
    parameter group added later goes along from the learning rate it came with.
    An epoch is one call of `step()`, be it made after every epoch or after every batch.

    A subclass defines `multiplier`.

    Raises:
        TypeError: `optimizer` is none.

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

    floor = 0.0

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
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

    def _begin(self) -> None:
        """Epoch 0 on top of the learning rates there are: other schedules may have changed them."""
        self.last_epoch = 0
        self.multipliers = [self.multiplier(0, group) for group in range(len(self.base_lrs))]
        for group, multiplier in zip(self.groups, self.multipliers, strict=False):
            group["lr"] = self._scaled(group["lr"], multiplier)

    def step(self) -> None:
        """Go to the next epoch."""
        for number in range(len(self.multipliers), len(self.groups)):  # added since
            self.multipliers.append(self.multiplier(self.last_epoch, number))
            group = self.groups[number]
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
        epoch = self.last_epoch + 1
        for number, former in enumerate(self.multipliers):
            new = self.multiplier(epoch, number)
            group = self.groups[number]
            if former == 0:  # nothing is left to multiply
                group["lr"] = self._scaled(self.base_lrs[number], new)
            else:
                group["lr"] = self._scaled(group["lr"], new / former)
            self.multipliers[number] = new
        self.last_epoch = epoch

    def _scaled(self, lr: float, by: float) -> float:
        return self.floor + (lr - self.floor) * by


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each parameter group, from a single one or a list."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} parameter groups")
    return values
