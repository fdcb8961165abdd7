"""Schedules of the learning rate, under PyTorch's names and with its values."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, repeat
from typing import Any, ClassVar

from .optimizer import Optimizer
from .settings import BELOW_1, NON_NEGATIVE, POSITIVE, UNIT, ParamGroup, choice, count, number

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR",
    "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip


def _epochs(name: str, value: Any) -> list[int]:
    return [count(1)(name, epoch) for epoch in value]


_CHECKS: dict[str, Any] = {
    **dict.fromkeys(["step_size", "total_iters", "T_max"], count(1)),
    "milestones": lambda name, value: sorted(_epochs(name, value)),
    **dict.fromkeys(["gamma", "eta_min"], NON_NEGATIVE),
    "power": POSITIVE,
    "start_factor": number(lambda x: 0 < x <= 1, "a number in (0, 1]"),
    **dict.fromkeys(["end_factor", "factor"], UNIT),
}
"""What the fields of schedules may be."""


@dataclass(eq=False, repr=False)
class Schedule:
    """The base of all schedules: an optimizer, a count of steps, and a state for checkpoints."""

    optimizer: Optimizer
    checks: ClassVar[Mapping[str, Any]] = _CHECKS
    not_saved: ClassVar[frozenset[str]] = frozenset({"optimizer"})

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

    floor = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
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


@dataclass(eq=False, repr=False)
class StepLR(LRScheduler):
    """Multiplies lr by `gamma` every `step_size` epochs.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.StepLR(optimizer, step_size=2)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """

    step_size: int
    gamma: float = 0.1

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma ** (epoch // self.step_size)


@dataclass(eq=False, repr=False)
class MultiStepLR(LRScheduler):
    """Multiplies lr by `gamma` at each of the epochs `milestones`.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.MultiStepLR(optimizer, milestones=[1, 3])
        >>> [round(schedule.multiplier(epoch, 0), 3) for epoch in range(5)]
        [1.0, 0.1, 0.1, 0.01, 0.01]
    """

    milestones: Sequence[int]
    gamma: float = 0.1

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


@dataclass(eq=False, repr=False)
class ExponentialLR(LRScheduler):
    """Multiplies lr by `gamma` every epoch.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.ExponentialLR(optimizer, gamma=0.5)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [1.0, 0.5, 0.25, 0.125]
    """

    gamma: float

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma**epoch


@dataclass(eq=False, repr=False)
class LinearLR(LRScheduler):
    """lr times a factor that changes linearly over the first `total_iters` epochs.

    Args:
        start_factor: in (0, 1], at epoch 0.
        end_factor: in [0, 1], from epoch `total_iters` on.
        total_iters: the number of epochs between them.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [0.25, 0.5, 0.75, 1.0]
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def multiplier(self, epoch: int, group: int) -> float:
        progress = min(epoch / self.total_iters, 1.0)
        return self.start_factor + (self.end_factor - self.start_factor) * progress


@dataclass(eq=False, repr=False)
class ConstantLR(LRScheduler):
    """lr times `factor`, in [0, 1], during the first `total_iters` epochs.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.ConstantLR(optimizer, factor=0.1, total_iters=2)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [0.1, 0.1, 1.0, 1.0]
    """

    factor: float = 1 / 3
    total_iters: int = 5

    def multiplier(self, epoch: int, group: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


@dataclass(eq=False, repr=False)
class PolynomialLR(LRScheduler):
    """lr times (1 - epoch / total_iters)^power, and 0 from epoch `total_iters` on.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.PolynomialLR(optimizer, total_iters=4)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [1.0, 0.75, 0.5, 0.25]
    """

    total_iters: int = 5
    power: float = 1.0

    def multiplier(self, epoch: int, group: int) -> float:
        return (1 - min(epoch / self.total_iters, 1.0)) ** self.power


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(LRScheduler):
    """lr from its initial value to `eta_min` along half a cosine wave of `T_max` epochs, and back.

    lr = eta_min + (initial lr - eta_min)·(1 + cos(π·epoch / T_max)) / 2

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.CosineAnnealingLR(optimizer, T_max=4)
        >>> [round(schedule.multiplier(epoch, 0), 3) for epoch in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    T_max: int
    eta_min: float = 0.0

    def _prepare(self) -> None:
        self.floor = self.eta_min

    def multiplier(self, epoch: int, group: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise TypeError(f"{name} takes functions, got {value!r}")
    return value


@dataclass(eq=False, repr=False)
class LambdaLR(LRScheduler):
    """lr times a function of the epoch.

    Args:
        lr_lambda: the function, or a list with one for each parameter group; groups added later
            take the last. `state_dict()` leaves functions out.

    Raises:
        ValueError: the list has another length than the parameter groups.
        TypeError: `lr_lambda` holds something that is not a function.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.LambdaLR(optimizer, lambda epoch: 0.5 ** epoch)
        >>> [schedule.multiplier(epoch, 0) for epoch in range(4)]
        [1.0, 0.5, 0.25, 0.125]
    """

    lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]

    not_saved = LRScheduler.not_saved | {"lr_lambda", "lr_lambdas"}

    def _prepare(self) -> None:
        self.lr_lambdas = self._per_group("lr_lambda", _function)

    def multiplier(self, epoch: int, group: int) -> float:
        return self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)](epoch)


@dataclass(eq=False, repr=False)
class OneCycleLR(LRScheduler):
    """lr up to max_lr, then far down, in one cycle (Smith and Topin 2018).

    Momentum (beta1 of Adam, AdamW and Lion) goes the other way. Call `step()` after every batch.

    Args:
        max_lr: the highest learning rate, or a list with one for each parameter group.
        total_steps: number of steps of the cycle; by default `epochs`·`steps_per_epoch`.
        epochs: number of epochs of the training.
        steps_per_epoch: number of batches of an epoch.
        pct_start: the fraction of the cycle in which lr rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: cycle momentum, too.
        base_momentum: its lowest value, at the highest lr; or a list.
        max_momentum: its highest value, at the start and the end; or a list.
        div_factor: max_lr / initial lr.
        final_div_factor: initial lr / last lr.
        three_phase: return to the initial lr as slowly as lr rose, and then to the last.

    Raises:
        ValueError: a setting is out of its range, the length of the cycle is missing, the
            optimizer has no momentum to cycle, or `step()` is called after the end.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=1.0)
        >>> schedule = ndl.optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=5)
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(round(schedule.get_last_lr()[0], 3))
        ...     schedule.step()
        >>> rates
        [0.04, 0.95, 0.611, 0.188, 0.0]
    """

    max_lr: float | list[float]
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float | list[float] = 0.85
    max_momentum: float | list[float] = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    checks: ClassVar = {
        **dict.fromkeys(["total_steps", "epochs", "steps_per_epoch"], count(1)),
        **dict.fromkeys(["div_factor", "final_div_factor"], POSITIVE),
        "pct_start": UNIT,
        "anneal_strategy": choice("cos", "linear"),
    }

    def _prepare(self) -> None:
        if self.total_steps is None:
            if self.epochs is None or self.steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            self.total_steps = self.epochs * self.steps_per_epoch
        peak = self.pct_start * self.total_steps
        # where each phase ends, and the multipliers between the phases
        self.phase_ends = [peak - 1, self.total_steps - 1.0]
        self.knots = [1.0, self.div_factor, 1 / self.final_div_factor]
        if self.three_phase:
            self.phase_ends.insert(1, 2 * peak - 2)
            self.knots.insert(2, 1.0)
        self.momentum_knots: list[list[float]] = []
        if self.cycle_momentum:
            if not all("momentum" in group or "beta1" in group for group in self.groups):
                kind = type(self.optimizer).__name__
                raise ValueError(f"{kind} has no momentum to cycle: set cycle_momentum=False")
            low = self._per_group("base_momentum", BELOW_1)
            high = self._per_group("max_momentum", BELOW_1)
            for bottom, top in zip(low, high, strict=True):
                self.momentum_knots.append([top, bottom, *[top] * (len(self.knots) - 2)])
        max_lrs = self._per_group("max_lr", NON_NEGATIVE)
        for group, lr in zip(self.groups, max_lrs, strict=True):
            group["lr"] = group["initial_lr"] = lr / self.div_factor

    def multiplier(self, epoch: int, group: int) -> float:
        return self._annealed(epoch, self.knots)

    def _go_to(self, epoch: int) -> None:
        if epoch > self.phase_ends[-1] + 1:
            raise ValueError(f"the cycle of {self.total_steps} steps is over: step() has no next")
        super()._go_to(epoch)
        for group, knots in zip(self.groups, self.momentum_knots, strict=False):
            group["beta1" if "beta1" in group else "momentum"] = self._annealed(epoch, knots)

    def _annealed(self, epoch: int, knots: Sequence[float]) -> float:
        """The value at an epoch, annealed from knot to knot, one phase for each."""
        now = min(epoch, self.phase_ends[-1])  # the step after the last batch changes nothing
        phase = next(i for i, end in enumerate(self.phase_ends) if now <= end)
        start = self.phase_ends[phase - 1] if phase else 0.0
        length = self.phase_ends[phase] - start
        progress = (now - start) / length if length else 1.0
        if self.anneal_strategy == "cos":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return knots[phase] + (knots[phase + 1] - knots[phase]) * progress


@dataclass(eq=False, repr=False)
class ReduceLROnPlateau(Schedule):
    """Multiplies lr by `factor` when a metric has stopped improving.

    Args:
        mode: "min" if a lower metric is better, "max" if a higher one is.
        factor: in [0, 1).
        patience: number of epochs without improvement that are tolerated.
        threshold: minimum change that counts as an improvement.
        threshold_mode: "rel": relative to the best metric; "abs": an absolute difference.
        cooldown: number of epochs after a reduction in which bad epochs are not counted.
        min_lr: the lowest learning rate, or a list with one for each parameter group; groups
            added later take the last.
        eps: reductions smaller than this are not made.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        schedule = ReduceLROnPlateau(optimizer, patience=3)
        schedule.step(validation_loss)  # after every epoch

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=1.0)
        >>> schedule = ndl.optim.ReduceLROnPlateau(optimizer, patience=1)
        >>> for loss in [1.0, 0.9, 0.9, 0.9]:
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.1]
    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float | list[float] = 0.0
    eps: float = 1e-8

    checks: ClassVar = {
        "mode": choice("min", "max"),
        "factor": BELOW_1,
        **dict.fromkeys(["patience", "cooldown"], count(0)),
        **dict.fromkeys(["threshold", "eps"], NON_NEGATIVE),
        "threshold_mode": choice("rel", "abs"),
    }
    not_saved = Schedule.not_saved | {"min_lr"}

    def _prepare(self) -> None:
        self.min_lrs = self._per_group("min_lr", NON_NEGATIVE)
        self.best = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:
        """Count an epoch with this metric: a number, or a tensor of one element."""
        metric = float(metrics)
        self.last_epoch += 1
        is_better = self._is_better(metric)
        if is_better:
            self.best = metric
        is_counted = not is_better and self.cooldown_counter == 0
        self.num_bad_epochs = self.num_bad_epochs + 1 if is_counted else 0
        self.cooldown_counter = max(self.cooldown_counter - 1, 0)
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown
            lowest = chain(self.min_lrs, repeat(self.min_lrs[-1]))
            for group, least in zip(self.groups, lowest, strict=False):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1 + sign * self.threshold)
        return sign * metric > sign * self.best + self.threshold


@dataclass(eq=False, repr=False)
class SequentialLR(Schedule):
    """Runs one schedule after another: a warm-up, then cosine annealing, for example.

    Args:
        schedulers: in order, all of the same optimizer. Each starts from its epoch 0.
        milestones: the epochs at which the second, third, ... start.

    Raises:
        ValueError: there is no scheduler, one belongs to another optimizer or needs a metric, or
            the milestones are not increasing, positive, and one fewer than the schedulers.

    Example:
        warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        schedule = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, 95)], [5])

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=1.0)
        >>> warmup = ndl.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> decay = ndl.optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule = ndl.optim.SequentialLR(optimizer, [warmup, decay], milestones=[2])
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(schedule.get_last_lr()[0])
        ...     schedule.step()
        >>> rates
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    schedulers: Sequence[LRScheduler | SequentialLR]
    milestones: Sequence[int]

    checks: ClassVar = {"milestones": _epochs}
    not_saved = Schedule.not_saved | {"schedulers"}

    def _prepare(self) -> None:
        self.schedulers = list(self.schedulers)
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR needs one milestone between two schedulers, got "
                f"{len(self.schedulers)} schedulers and milestones {self.milestones}"
            )
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must grow, got {self.milestones}")
        for position, scheduler in enumerate(self.schedulers):
            if not isinstance(scheduler, LRScheduler | SequentialLR):
                kind = type(scheduler).__name__
                raise ValueError(f"SequentialLR cannot run {kind} at position {position}")
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"the scheduler at position {position} has another optimizer")
        self.restart()

    def restart(self) -> None:
        """Go to epoch 0."""
        self.last_epoch = 0
        self.schedulers[0].restart()

    def step(self) -> None:
        """Go to the next epoch."""
        self.last_epoch += 1
        current = self.schedulers[bisect_right(self.milestones, self.last_epoch)]
        if self.last_epoch in self.milestones:
            current.restart()
        else:
            current.step()

    def state_dict(self) -> dict[str, Any]:
        inner = [scheduler.state_dict() for scheduler in self.schedulers]
        return {**super().state_dict(), "schedulers": inner}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = dict(state_dict)
        inner, ours = own.pop("schedulers", []), self.schedulers
        if len(inner) != len(ours):
            raise ValueError(f"the state has {len(inner)} schedulers, expected {len(ours)}")
        super().load_state_dict(own)
        for scheduler, state in zip(ours, inner, strict=True):
            scheduler.load_state_dict(state)
