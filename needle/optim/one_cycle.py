"""The schedule of one cycle: the learning rate up and far down, momentum the other way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .schedule import LRScheduler
from .settings import BELOW_1, NON_NEGATIVE, POSITIVE, UNIT, choice, count

__all__ = ["OneCycleLR"]


@dataclass(eq=False, repr=False)
class OneCycleLR(LRScheduler):
    """Raises lr to max_lr, then lowers it far below its start, in one cycle (Smith and Topin 2018).

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

    def _go_to(self, epoch: Any) -> None:
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
