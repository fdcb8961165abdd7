"""Lion."""

from __future__ import annotations

from typing import Any

import numpy as np

from .optimizer import Optimizer, Params
from .settings import ParamGroup, group_settings

__all__ = ["Lion"]


class Lion(Optimizer):
    """Steps of equal size in every element: the sign of a mean gradient (Chen et al. 2023).

        θ ← θ - lr·weight_decay·θ
        θ ← θ - lr·sign(β₁·m + (1 - β₁)·grad)
        m ← β₂·m + (1 - β₂)·grad

    Every element moves by lr, so lr should be about ten times lower than Adam's.

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        beta1: β₁ in [0, 1), the weight of m in the direction.
        beta2: β₂ in [0, 1), the decay rate of m.
        weight_decay: strength of the decoupled weight decay.
        betas: (beta1, beta2), as in PyTorch, instead of both.
        maximize: maximize instead of minimize.
    """

    decouples_weight_decay = True

    beta1, beta2, weight_decay = group_settings("beta1", "beta2", "weight_decay")

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
        super().__init__(params, locals())

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"exp_avg": 0.0}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        # β·m + (1 - β)·g = g + β·(m - g), which needs less memory
        m = state["exp_avg"]
        direction = np.sign(g + settings.beta1 * (m - g))
        m = g + settings.beta2 * (m - g)
        change = settings.lr * direction + settings.lr * settings.weight_decay * theta
        return theta - change, {"exp_avg": m}
