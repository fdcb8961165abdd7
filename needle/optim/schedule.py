"""The base of learning rate schedules: an optimizer, a count of steps, and a multiplier."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .effects import recordable
from .optimizer import Optimizer
from .settings import NON_NEGATIVE, POSITIVE, UNIT, ParamGroup, count, number

__all__ = ["LRScheduler", "Schedule", "epochs"]


def epochs(name: str, value: Any) -> list[int]:
    return [count(1)(name, epoch) for epoch in value]


CHECKS: dict[str, Any] = {
    **dict.fromkeys(["step_size", "total_iters", "T_0", "T_max", "T_mult"], count(1)),
    "milestones": lambda name, value: sorted(epochs(name, value)),
    **dict.fromkeys(["gamma", "eta_min"], NON_NEGATIVE),
    "power": POSITIVE,
    "start_factor": number(lambda x: 0 < x <= 1, "a number in (0, 1]"),
    **dict.fromkeys(["end_factor", "factor"], UNIT),
}
"""What the fields of schedules may be."""


def _short(value: Any) -> str:
    """A setting for `repr`; a function by its name."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_short, value))}]"
    return getattr(value, "__name__", None) or f"{value!r}"


@dataclass(eq=False, repr=False)
class Schedule:
    """The base of all schedules: an optimizer, a count of steps, and a state for checkpoints."""

    optimizer: Optimizer
    checks: ClassVar[Mapping[str, Any]] = CHECKS
    not_saved: ClassVar[frozenset[str]] = frozenset({"optimizer"})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "step" in vars(cls):
            cls.step = recordable(cls.step)  # type: ignore[attr-defined]

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, Optimizer):
            kind, given = type(self).__name__, type(self.optimizer).__name__
            raise TypeError(f"{kind} takes an Optimizer, got {given}")
        self.last_epoch = 0
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in self.checks and value is not field.default:
                setattr(self, name, self.checks[name](name, value))
        self._prepare()

    def _prepare(self) -> None:
        """Compute what follows from the settings, which have been checked."""

    def _per_group(self, name: str, check: Any) -> list[Any]:
        """One checked value for each parameter group, from a single one or a list."""
        value, groups = getattr(self, name), len(self.groups)
        values = list(value) if isinstance(value, list | tuple) else [value] * groups
        if len(values) != groups:
            raise ValueError(f"{name} has {len(values)} entries for {groups} parameter groups")
        return [check(name, each) for each in values]

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

    def __repr__(self) -> str:
        shown = [(field.name, getattr(self, field.name)) for field in fields(self)[1:]]
        shown += [("last_epoch", self.last_epoch), ("lr", self.get_last_lr())]
        settings = ", ".join(f"{name}={_short(value)}" for name, value in shown)
        return f"{type(self).__name__}({settings})"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state of another scheduler of the same kind.

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

    floor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in self.groups]
        self._begin()

    def multiplier(self, epoch: Any, group: int) -> float:
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

    def _go_to(self, epoch: Any) -> None:
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
