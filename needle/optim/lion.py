"""Lion."""

from __future__ import annotations

import numpy as np

from ..autograd import Array
from .optimizer import Optimizer, Params, State
from .settings import ParamGroup, setting

__all__ = ["Lion"]


class Lion(Optimizer):
    """Steps of equal size in every element: the sign of a mean gradient (Chen et al. 2023).

        θ ← θ - lr·weight_decay·θ
        θ ← θ - lr·sign(β₁·m + (1 - β₁)·grad)
        m ← β₂·m + (1 - β₂)·grad

    Since every element moves by lr, it wants a learning rate some ten times below Adam's.

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        beta1: β₁ in [0, 1), the share of m in the direction.
        beta2: β₂ in [0, 1), how slowly m forgets.
        weight_decay: how fast θ shrinks.
        betas: (beta1, beta2), as in PyTorch, in the place of both.
        maximize: climb instead of descend.

    Raises:
        ValueError: a setting is out of its range.
    """

    decouples_weight_decay = True

    beta1 = setting("beta1")
    beta2 = setting("beta2")
    weight_decay = setting("weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        *,
        betas: tuple[float, float] | None = None,
        maximize: bool = False,
    ) -> None:
        settings = ParamGroup()
        settings.update(
            lr=lr,
            betas=(beta1, beta2) if betas is None else betas,
            weight_decay=weight_decay,
            maximize=maximize,
        )
        super().__init__(params, settings)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"exp_avg": 0.0}

    def update_one(
        self, gradient: Array, state: State, group: ParamGroup, step: int, out: Array
    ) -> None:
        mean = state["exp_avg"]
        # β·m + (1 - β)·g = (m - g)·β + g, which needs no memory beside its result
        np.subtract(mean, gradient, out=out)
        np.multiply(out, group["beta1"], out=out)
        np.add(out, gradient, out=out)
        np.sign(out, out=out)
        np.multiply(out, group["lr"], out=out)
        np.subtract(mean, gradient, out=mean)
        np.multiply(mean, group["beta2"], out=mean)
        np.add(mean, gradient, out=mean)
