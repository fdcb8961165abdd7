"""Schedules of the learning rate, under PyTorch's names and with its values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from .one_cycle import OneCycleLR
from .optimizer import Optimizer
from .schedule import LRScheduler, Schedule, per_group
from .settings import HALF_OPEN_UNIT, NON_NEGATIVE, choice, count

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


@dataclass(eq=False, repr=False)
class StepLR(LRScheduler):
    """Multiplies lr by `gamma` every `step_size` epochs."""

    step_size: int
    gamma: float = 0.1

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma ** (epoch // self.step_size)


@dataclass(eq=False, repr=False)
class MultiStepLR(LRScheduler):
    """Multiplies lr by `gamma` at each of the epochs `milestones`."""

    milestones: Sequence[int]
    gamma: float = 0.1

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


@dataclass(eq=False, repr=False)
class ExponentialLR(LRScheduler):
    """Multiplies lr by `gamma` every epoch."""

    gamma: float

    def multiplier(self, epoch: int, group: int) -> float:
        return self.gamma**epoch


@dataclass(eq=False, repr=False)
class LinearLR(LRScheduler):
    """lr times a factor that changes linearly over the first `total_iters` epochs.

    Args:
        optimizer: its learning rates change.
        start_factor: in (0, 1], at epoch 0.
        end_factor: in [0, 1], from epoch `total_iters` on.
        total_iters: the number of epochs between them.
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def multiplier(self, epoch: int, group: int) -> float:
        progress = min(epoch / self.total_iters, 1.0)
        return self.start_factor + (self.end_factor - self.start_factor) * progress


@dataclass(eq=False, repr=False)
class ConstantLR(LRScheduler):
    """lr times `factor`, in [0, 1], during the first `total_iters` epochs."""

    factor: float = 1 / 3
    total_iters: int = 5

    def multiplier(self, epoch: int, group: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


@dataclass(eq=False, repr=False)
class PolynomialLR(LRScheduler):
    """lr times (1 - epoch / total_iters)^power, and 0 from epoch `total_iters` on."""

    total_iters: int = 5
    power: float = 1.0

    def multiplier(self, epoch: int, group: int) -> float:
        return (1 - min(epoch / self.total_iters, 1.0)) ** self.power


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(LRScheduler):
    """lr from its initial value to `eta_min` along half a cosine wave of `T_max` epochs, and back.

    lr = eta_min + (initial lr - eta_min)·(1 + cos(π·epoch / T_max)) / 2
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        self.floor = self.eta_min
        super().__post_init__()

    def multiplier(self, epoch: int, group: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """lr times a function of the epoch.

    Args:
        optimizer: its learning rates change.
        lr_lambda: the function, or a list with one for each parameter group; groups added later
            take the last. `state_dict()` leaves functions out.

    Raises:
        ValueError: the list has another length than the parameter groups.
        TypeError: `lr_lambda` holds something that is not a function.
    """

    not_saved = LRScheduler.not_saved | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        self._check(optimizer)
        self.lr_lambdas = per_group("lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda takes functions, got {function!r}")
        super().__init__(optimizer)

    def multiplier(self, epoch: int, group: int) -> float:
        return self.lr_lambdas[min(group, len(self.lr_lambdas) - 1)](epoch)


class ReduceLROnPlateau(Schedule):
    """Multiplies lr by `factor` when a metric has stopped improving.

    Args:
        optimizer: its learning rates change.
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
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self._check(optimizer)
        self.mode = choice("mode", mode, ("min", "max"))
        self.factor = HALF_OPEN_UNIT("factor", factor)
        self.patience = count("patience", patience, least=0)
        self.threshold = NON_NEGATIVE("threshold", threshold)
        self.threshold_mode = choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = count("cooldown", cooldown, least=0)
        self.min_lrs = [NON_NEGATIVE("min_lr", lr) for lr in per_group("min_lr", min_lr, optimizer)]
        self.eps = NON_NEGATIVE("eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:
        """Count an epoch with this metric: a number, or a tensor of one element."""
        metric = float(metrics)
        self.last_epoch += 1
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        margin = self.threshold
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1 + sign * margin)
        return sign * metric > sign * self.best + margin

    def _reduce(self) -> None:
        lowest = chain(self.min_lrs, repeat(self.min_lrs[-1]))
        for group, least in zip(self.groups, lowest, strict=False):
            lr = max(group["lr"] * self.factor, least)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr


class SequentialLR(Schedule):
    """Runs one schedule after another: a warm-up, then cosine annealing, for example.

    Args:
        optimizer: its learning rates change.
        schedulers: in order, all of the same optimizer. Each starts from its epoch 0.
        milestones: the epochs at which the second, third, ... start.

    Raises:
        ValueError: there is no scheduler, one belongs to another optimizer or needs a metric, or
            the milestones are not increasing, positive, and one fewer than the schedulers.

    Example:
        warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        schedule = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, 95)], [5])
    """

    not_saved = Schedule.not_saved | {"schedulers"}

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler | SequentialLR],
        milestones: Sequence[int],
    ) -> None:
        self._check(optimizer)
        self.schedulers = list(schedulers)
        self.milestones = [count("milestones", epoch) for epoch in milestones]
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR needs one milestone between two schedulers, got "
                f"{len(self.schedulers)} schedulers and milestones {self.milestones}"
            )
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must grow, got {self.milestones}")
        for position, scheduler in enumerate(self.schedulers):
            if not isinstance(scheduler, LRScheduler | SequentialLR):
                raise ValueError(
                    f"SequentialLR cannot run {type(scheduler).__name__} at position {position}"
                )
            if scheduler.optimizer is not optimizer:
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
        inner = own.pop("schedulers", [])
        if len(inner) != len(self.schedulers):
            raise ValueError(
                f"the state has {len(inner)} schedulers, expected {len(self.schedulers)}"
            )
        super().load_state_dict(own)
        for scheduler, state in zip(self.schedulers, inner, strict=True):
            scheduler.load_state_dict(state)
