"""RMSprop."""

from __future__ import annotations

import numpy as np

from ..autograd import Array
from .optimizer import Optimizer, Params, State, blend
from .settings import ParamGroup, setting

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients (Hinton 2012).

        g = grad + weight_decay·θ
        v ← alpha·v + (1 - alpha)·g²
        u ← momentum·u + g / (√v + eps)
        θ ← θ - lr·u

    `centered` (Graves 2013) takes the mean's square from v, which makes it a variance:
    m ← alpha·m + (1 - alpha)·g, and √(v - m²) in the place of √v.

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        alpha: in [0, 1), how slowly v and m forget.
        eps: keeps the divisor from 0.
        weight_decay: strength of the L2 penalty.
        momentum: in [0, 1).
        centered: divide by the standard deviation.
        maximize: climb instead of descend.

    Raises:
        ValueError: a setting is out of its range.
    """

    alpha = setting("alpha")
    eps = setting("eps")
    weight_decay = setting("weight_decay")
    momentum = setting("momentum")

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
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        state = {"square_avg": 0.0}
        if group["centered"]:
            state["grad_avg"] = 0.0
        if group["momentum"]:
            state["momentum_buffer"] = 0.0
        return state

    def update_one(
        self, gradient: Array, state: State, group: ParamGroup, step: int, out: Array
    ) -> None:
        alpha, square = group["alpha"], state["square_avg"]
        np.multiply(gradient, gradient, out=out)
        blend(square, alpha, out, 1 - alpha, out)
        if group["centered"]:
            mean = state["grad_avg"]
            blend(mean, alpha, gradient, 1 - alpha, out)
            np.multiply(mean, mean, out=out)
            np.subtract(square, out, out=out)
            np.maximum(out, 0, out=out)  # rounding may leave a variance of 0 below it
            square = out
        np.sqrt(square, out=out)
        np.add(out, group["eps"], out=out)
        np.divide(gradient, out, out=out)
        if momentum := group["momentum"]:
            velocity = state["momentum_buffer"]
            np.multiply(velocity, momentum, out=velocity)
            np.add(velocity, out, out=velocity)
            np.multiply(velocity, group["lr"], out=out)
        else:
            np.multiply(out, group["lr"], out=out)
