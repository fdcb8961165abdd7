"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from .optimizer import Optimizer, Params
from .settings import ParamGroup, group_settings

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

        g = grad + weight_decay·θ
        s ← s + g²
        θ ← θ - lr / (1 + (t - 1)·lr_decay) · g / (√s + eps)

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        lr_decay: decay of the learning rate with the number of steps t.
        weight_decay: strength of the L2 penalty.
        initial_accumulator_value: the initial value of s.
        eps: added to the divisor, against division by 0.
        maximize: maximize instead of minimize.
    """

    lr_decay, weight_decay, eps = group_settings("lr_decay", "weight_decay", "eps")

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        g = g + settings.weight_decay * theta
        total = state["sum"] + g * g
        lr = settings.lr / (1 + (step - 1) * settings.lr_decay)
        return theta - lr * (g / (np.sqrt(total) + settings.eps)), {"sum": total}
