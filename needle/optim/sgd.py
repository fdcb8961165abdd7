"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from .optimizer import Optimizer
from .settings import ParamGroup, setting

__all__ = ["SGD"]


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov's form and weight decay.

        g = grad + weight_decay·θ
        u ← momentum·u + (1 - dampening)·g
        θ ← θ - lr·u

    Nesterov's form looks one step ahead: θ ← θ - lr·(momentum·u + (1 - dampening)·g).

    Args:
        params, lr, maximize: see `Optimizer`.
        momentum: in [0, 1).
        weight_decay: strength of the L2 penalty.
        dampening: None, the default, means `momentum`: u is a mean of past gradients, and starts
            at 0. A number gives PyTorch's rule, in which the first gradient is not damped;
            `dampening=0` is PyTorch's default.
        nesterov: look one step of momentum ahead (Sutskever et al. 2013).

    Raises:
        ValueError: a setting is out of its range, or nesterov is set without momentum.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.SGD([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w)
        [0.8]
    """

    lr: float = setting(0.01)
    momentum: float = setting(0.0)
    weight_decay: float = setting(0.0)
    dampening: float | None = setting(None)
    nesterov: bool = setting(False)
    _: KW_ONLY
    maximize: bool = setting(False)

    def check_group(self, group: ParamGroup) -> None:
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("nesterov=True needs momentum > 0 and no other dampening than 0")

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        lr, momentum, dampening = settings.lr, settings.momentum, settings.dampening
        g = g + settings.weight_decay * theta
        if not momentum:
            return theta - lr * g, {}
        weight = 1 - (momentum if dampening is None else dampening)
        damped = momentum if dampening is None else dampening * (step > 1)
        u = momentum * state["momentum_buffer"] + (1 - damped) * g
        change = lr * u
        if settings.nesterov:
            change = lr * weight * (momentum / weight * u + g)
        return theta - change, {"momentum_buffer": u}
