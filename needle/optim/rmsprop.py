"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from .optimizer import Optimizer, Params
from .settings import ParamGroup, group_settings

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients (Hinton 2012).

        g = grad + weight_decay·θ
        v ← alpha·v + (1 - alpha)·g²
        u ← momentum·u + g / (√v + eps)
        θ ← θ - lr·u

    With `centered` (Graves 2013), the variance v - m² replaces v, where
    m ← alpha·m + (1 - alpha)·g.

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        alpha: in [0, 1), the decay rate of v and m.
        eps: added to the divisor, against division by 0.
        weight_decay: strength of the L2 penalty.
        momentum: in [0, 1).
        centered: divide by the standard deviation.
        maximize: maximize instead of minimize.
    """

    alpha, eps, weight_decay, momentum = group_settings("alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        state = {"square_avg": 0.0}
        if group["centered"]:
            state["grad_avg"] = 0.0
        if group["momentum"]:
            state["momentum_buffer"] = 0.0
        return state

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        alpha = settings.alpha
        g = g + settings.weight_decay * theta
        v = alpha * state["square_avg"] + (1 - alpha) * (g * g)
        new_state = {"square_avg": v}
        if settings.centered:
            m = new_state["grad_avg"] = alpha * state["grad_avg"] + (1 - alpha) * g
            v = np.maximum(v - m * m, 0)  # rounding may leave a variance of 0 below it
        u = g / (np.sqrt(v) + settings.eps)
        if settings.momentum:
            u = settings.momentum * state["momentum_buffer"] + u
            new_state["momentum_buffer"] = u
        return theta - settings.lr * u, new_state
