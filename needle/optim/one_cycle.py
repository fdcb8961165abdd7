"""The one-cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .optimizer import Optimizer
from .schedule import LRScheduler, Schedule, per_group
from .settings import HALF_OPEN_UNIT, NON_NEGATIVE, POSITIVE, UNIT, choice, count

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """lr up from max_lr / div_factor to max_lr, then far down, once (Smith and Topin 2018).

    Momentum (beta1 of Adam and its kin) goes the other way. `step()` belongs after every batch.

    Args:
        optimizer: whose learning rates change.
        max_lr: the highest learning rate, or a list of one for each parameter group.
        total_steps: the steps of the cycle; by default `epochs`·`steps_per_epoch`.
        epochs: how many epochs the training has.
        steps_per_epoch: how many batches an epoch has.
        pct_start: the share of the cycle that leads up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: cycle momentum, too.
        base_momentum: its lowest value, at the highest lr; or a list.
        max_momentum: its highest value, at the start and the end; or a list.
        div_factor: max_lr / initial lr.
        final_div_factor: initial lr / last lr.
        three_phase: come down to the initial lr as slowly as up, and then to the last.

    Raises:
        ValueError: a setting is out of its range, the length of the cycle is missing, the
            optimizer has no momentum to cycle, or `step()` is called after the end.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        Schedule.__init__(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = count("epochs", epochs) * count("steps_per_epoch", steps_per_epoch)
        self.total_steps = count("total_steps", total_steps)
        share = UNIT("pct_start", pct_start) * self.total_steps
        self.anneal_strategy = choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        up = POSITIVE("div_factor", div_factor)
        last = 1 / POSITIVE("final_div_factor", final_div_factor)
        # where each phase ends, and the multipliers between the phases
        self.phase_ends = [share - 1, self.total_steps - 1.0]
        self.knots = [1.0, up, last]
        if three_phase:
            self.phase_ends.insert(1, 2 * share - 2)
            self.knots.insert(2, 1.0)
        self.momentum_knots = self._momentum_knots(base_momentum, max_momentum, cycle_momentum)
        for group, lr in zip(self.groups, per_group("max_lr", max_lr, optimizer), strict=True):
            group["lr"] = group["initial_lr"] = NON_NEGATIVE("max_lr", lr) / up
        super().__init__(optimizer)

    def _momentum_knots(self, base: Any, largest: Any, cycles: bool) -> list[list[float]]:
        if not cycles:
            return []
        if not all("momentum" in group or "beta1" in group for group in self.groups):
            raise ValueError(
                f"{type(self.optimizer).__name__} has no momentum to cycle: "
                "set cycle_momentum=False"
            )
        bounds = zip(
            per_group("base_momentum", base, self.optimizer),
            per_group("max_momentum", largest, self.optimizer),
            strict=True,
        )
        return [
            [
                HALF_OPEN_UNIT("max_momentum", high),
                HALF_OPEN_UNIT("base_momentum", low),
                *[high] * (len(self.knots) - 2),
            ]
            for low, high in bounds
        ]

    def multiplier(self, epoch: int, group: int) -> float:
        return self._annealed(epoch, self.knots)

    def _begin(self) -> None:
        super()._begin()
        self._set_momentum()

    def step(self) -> None:
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"the cycle of {self.total_steps} steps is over: step() has no next")
        super().step()
        self._set_momentum()

    def _set_momentum(self) -> None:
        for group, knots in zip(self.groups, self.momentum_knots, strict=False):
            name = "beta1" if "beta1" in group else "momentum"
            group[name] = self._annealed(self.last_epoch, knots)

    def _annealed(self, epoch: int, knots: Sequence[float]) -> float:
        """The value at an epoch on the way from knot to knot, one phase for each."""
        now = min(epoch, self.total_steps - 1)  # the step after the last batch changes nothing
        phase = next(i for i, end in enumerate(self.phase_ends) if now <= end)
        start = self.phase_ends[phase - 1] if phase else 0.0
        length = self.phase_ends[phase] - start
        share = (now - start) / length if length else 1.0
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        return knots[phase] + (knots[phase + 1] - knots[phase]) * share
