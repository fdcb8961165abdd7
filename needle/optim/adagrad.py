"""Adagrad."""

from __future__ import annotations

import numpy as np

from ..autograd import Array
from .optimizer import Optimizer, Params, State
from .settings import ParamGroup, setting

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

        g = grad + weight_decay·θ
        s ← s + g²
        θ ← θ - lr / (1 + (t - 1)·lr_decay) · g / (√s + eps)

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        lr_decay: how fast the learning rate falls with the number of steps t.
        weight_decay: strength of the L2 penalty.
        initial_accumulator_value: where s starts.
        eps: keeps the divisor from 0.
        maximize: climb instead of descend.

    Raises:
        ValueError: a setting is out of its range.
    """

    lr_decay = setting("lr_decay")
    weight_decay = setting("weight_decay")
    eps = setting("eps")

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
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def update_one(
        self, gradient: Array, state: State, group: ParamGroup, step: int, out: Array
    ) -> None:
        total = state["sum"]
        np.multiply(gradient, gradient, out=out)
        np.add(total, out, out=total)
        np.sqrt(total, out=out)
        np.add(out, group["eps"], out=out)
        np.divide(gradient, out, out=out)
        np.multiply(out, group["lr"] / (1 + (step - 1) * group["lr_decay"]), out=out)
