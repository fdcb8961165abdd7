"""Schedules of the learning rate, under PyTorch's names and with its values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .._lazy import unknown
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .schedule import LRScheduler, Schedule, epochs

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip


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
    """Multiplies lr by a factor that changes linearly over the first `total_iters` epochs.

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
    """Multiplies lr by `factor`, in [0, 1], during the first `total_iters` epochs.

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
    """Multiplies lr by (1 - epoch / total_iters)^power, which is 0 from epoch `total_iters` on.

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
    """Lowers lr to `eta_min` along half a cosine wave of `T_max` epochs, then raises it again.

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


@dataclass(eq=False, repr=False)
class CosineAnnealingWarmRestarts(LRScheduler):
    """lr along half a cosine wave to `eta_min`, again and again (Loshchilov and Hutter 2017).

    lr = eta_min + (initial lr - eta_min)·(1 + cos(π·t / T)) / 2

    t is the number of epochs since the last restart. The first wave takes T = `T_0` epochs, each
    further one `T_mult` times as many as the one before it. lr is computed from the initial lr, as
    in PyTorch: other changes of lr are replaced.

    Example:
        >>> import needle as ndl
        >>> optimizer = ndl.optim.SGD([ndl.Tensor([1.0])], lr=0.1)
        >>> schedule = ndl.optim.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
        >>> [round(schedule.multiplier(epoch, 0), 3) for epoch in range(7)]
        [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def _prepare(self) -> None:
        self.floor = self.eta_min

    def multiplier(self, epoch: float, group: int) -> float:
        length = self.T_0
        if self.T_mult == 1:
            epoch %= length
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return (1 + math.cos(math.pi * epoch / length)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to `epoch`, which may be a fraction: epoch + batch / batches.

        A negative epoch is a ValueError.
        """
        if epoch is not None and not 0 <= epoch < math.inf:
            raise ValueError(f"epoch must be a finite number of at least 0, got {epoch}")
        self._go_to(self.last_epoch + 1 if epoch is None else epoch)

    def _go_to(self, epoch: float) -> None:
        self.multipliers = [0.0] * len(self.multipliers)  # what follows starts from the initial lr
        super()._go_to(epoch)


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise TypeError(f"{name} takes functions, got {value!r}")
    return value


@dataclass(eq=False, repr=False)
class LambdaLR(LRScheduler):
    """Multiplies the initial lr by a function of the epoch.

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

    checks: ClassVar = {"milestones": epochs}
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


if not TYPE_CHECKING:  # type checkers know all names
    __getattr__ = unknown(__name__)
