"""The schedule that follows a metric: the learning rate goes down when it stops improving."""

import math
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, ClassVar

from .schedule import Schedule
from .settings import BELOW_1, NON_NEGATIVE, choice, count

__all__ = ["ReduceLROnPlateau"]


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
