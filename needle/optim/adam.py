"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

import numpy as np

from .optimizer import Optimizer, Params
from .settings import ParamGroup, group_settings

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with AMSGrad (Reddi et al. 2018) on request.

        g = grad + weight_decay·θ
        m ← β₁·m + (1 - β₁)·g
        v ← β₂·v + (1 - β₂)·g²
        θ ← θ - lr·(m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps)

    AMSGrad uses the largest v so far instead of v.

    Args:
        params: the tensors to train, or parameter groups.
        lr: learning rate.
        beta1: β₁ in [0, 1), the decay rate of m.
        beta2: β₂ in [0, 1), the decay rate of v.
        eps: added to the divisor, against division by 0.
        weight_decay: strength of the L2 penalty.
        amsgrad: use the largest v.
        betas: (beta1, beta2), as in PyTorch, instead of both.
        maximize: maximize instead of minimize.
    """

    beta1, beta2, eps, weight_decay = group_settings("beta1", "beta2", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        betas: tuple[float, float] | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        return dict.fromkeys(names, 0.0)

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        lr, beta1, beta2 = settings.lr, settings.beta1, settings.beta2
        if not self.decouples_weight_decay:
            g = g + settings.weight_decay * theta
        m = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
        new_state = {"exp_avg": m, "exp_avg_sq": v}
        if settings.amsgrad:
            v = new_state["max_exp_avg_sq"] = np.maximum(state["max_exp_avg_sq"], v)
        # both sides of the quotient times √(1 - β₂ᵗ): one pass over the array less
        correction = np.sqrt(1 - beta2**step)
        direction = m / (np.sqrt(v) + settings.eps * correction)
        change = lr * correction / (1 - beta1**step) * direction
        if self.decouples_weight_decay:
            change = change + lr * settings.weight_decay * theta
        return theta - change, new_state


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

        θ ← θ - lr·weight_decay·θ, then Adam's step with g = grad

    Args and errors as in `Adam`; the defaults are PyTorch's.
    """

    decouples_weight_decay = True

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        betas: tuple[float, float] | None = None,
        maximize: bool = False,
    ) -> None:
        Optimizer.__init__(self, params, locals())
