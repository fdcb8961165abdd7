"""Update rules that give each element a step of its own: Adagrad, Adadelta, RMSprop, Adam, ..."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from .optimizer import Optimizer
from .settings import ParamGroup, setting

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "RMSprop"]


@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """Adagrad: steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

        g = grad + weight_decay·θ
        s ← s + g²
        θ ← θ - lr / (1 + (t - 1)·lr_decay) · g / (√s + eps)

    Args:
        params, lr, maximize: see `Optimizer`.
        lr_decay: decay of the learning rate with the number of steps t.
        weight_decay: strength of the L2 penalty.
        initial_accumulator_value: the initial value of s.
        eps: added to the divisor, against division by 0.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.Adagrad([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w)
        [0.9]
    """

    lr: float = setting(0.01)
    lr_decay: float = setting(0.0)
    weight_decay: float = setting(0.0)
    initial_accumulator_value: float = setting(0.0)
    eps: float = setting(1e-10)
    _: KW_ONLY
    maximize: bool = setting(False)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        g = g + settings.weight_decay * theta
        total = state["sum"] + g * g
        lr = settings.lr / (1 + (step - 1) * settings.lr_decay)
        return theta - lr * (g / (np.sqrt(total) + settings.eps)), {"sum": total}


@dataclass(eq=False, repr=False)
class Adadelta(Optimizer):
    """Adadelta: steps in the unit of the parameters, which need no learning rate (Zeiler 2012).

        g = grad + weight_decay·θ
        v ← rho·v + (1 - rho)·g²
        Δ = √(u + eps) / √(v + eps) · g
        u ← rho·u + (1 - rho)·Δ²
        θ ← θ - lr·Δ

    Args:
        params, lr, maximize: see `Optimizer`.
        rho: in [0, 1), the decay rate of v and u.
        eps: added under the roots; its root is about the size of the first steps.
        weight_decay: strength of the L2 penalty.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.Adadelta([w])
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w.numpy().round(4))
        [0.9968]
    """

    lr: float = setting(1.0)
    rho: float = setting(0.9)
    eps: float = setting(1e-6)
    weight_decay: float = setting(0.0)
    _: KW_ONLY
    maximize: bool = setting(False)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        rho, eps = settings.rho, settings.eps
        g = g + settings.weight_decay * theta
        v = rho * state["square_avg"] + (1 - rho) * (g * g)
        change = np.sqrt(state["acc_delta"] + eps) / np.sqrt(v + eps) * g
        u = rho * state["acc_delta"] + (1 - rho) * (change * change)
        return theta - settings.lr * change, {"square_avg": v, "acc_delta": u}


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """RMSprop: steps divided by the root of a running mean of squared gradients (Hinton 2012).

        g = grad + weight_decay·θ
        v ← alpha·v + (1 - alpha)·g²
        u ← momentum·u + g / (√v + eps)
        θ ← θ - lr·u

    With `centered` (Graves 2013), the variance v - m² replaces v, where
    m ← alpha·m + (1 - alpha)·g.

    Args:
        params, lr, maximize: see `Optimizer`.
        alpha: in [0, 1), the decay rate of v and m.
        eps: added to the divisor, against division by 0.
        weight_decay: strength of the L2 penalty.
        momentum: in [0, 1).
        centered: divide by the standard deviation.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.RMSprop([w], lr=0.01)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w.numpy().round(3))
        [0.9]
    """

    lr: float = setting(0.01)
    alpha: float = setting(0.99)
    eps: float = setting(1e-8)
    weight_decay: float = setting(0.0)
    momentum: float = setting(0.0)
    centered: bool = setting(False)
    _: KW_ONLY
    maximize: bool = setting(False)

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


@dataclass(eq=False, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with AMSGrad (Reddi et al. 2018) on request.

        g = grad + weight_decay·θ
        m ← β₁·m + (1 - β₁)·g
        v ← β₂·v + (1 - β₂)·g²
        θ ← θ - lr·(m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps)

    AMSGrad uses the largest v so far instead of v.

    Args:
        params, lr, maximize: see `Optimizer`.
        beta1: β₁ in [0, 1), the decay rate of m.
        beta2: β₂ in [0, 1), the decay rate of v.
        eps: added to the divisor, against division by 0.
        weight_decay: strength of the L2 penalty.
        amsgrad: use the largest v.
        betas: (beta1, beta2), as in PyTorch, instead of both.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.Adam([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w)
        [0.9]
    """

    lr: float = setting(0.01)
    beta1: float = setting(0.9)
    beta2: float = setting(0.999)
    eps: float = setting(1e-8)
    weight_decay: float = setting(0.0)
    amsgrad: bool = setting(False)
    _: KW_ONLY
    betas: tuple[float, float] | None = setting(None)
    maximize: bool = setting(False)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        state = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return {**state, "max_exp_avg_sq": 0.0} if group["amsgrad"] else state

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


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

        θ ← θ - lr·weight_decay·θ, then Adam's step with g = grad

    Args and errors as in `Adam`; the defaults are PyTorch's.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.AdamW([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w)
        [0.899]
    """

    decouples_weight_decay = True

    lr: float = setting(0.001)
    weight_decay: float = setting(0.01)


@dataclass(eq=False, repr=False)
class Lion(Optimizer):
    """Lion: steps of equal size in each element, the sign of a mean gradient (Chen et al. 2023).

        θ ← θ - lr·weight_decay·θ
        θ ← θ - lr·sign(β₁·m + (1 - β₁)·grad)
        m ← β₂·m + (1 - β₂)·grad

    Every element moves by lr, so lr should be about ten times lower than Adam's.

    Args:
        params, lr, maximize: see `Optimizer`.
        beta1: β₁ in [0, 1), the weight of m in the direction.
        beta2: β₂ in [0, 1), the decay rate of m.
        weight_decay: strength of the decoupled weight decay.
        betas: (beta1, beta2), as in PyTorch, instead of both.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0])
        >>> optimizer = ndl.optim.Lion([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> print(w)
        [0.9]
    """

    decouples_weight_decay = True

    lr: float = setting(1e-4)
    beta1: float = setting(0.9)
    beta2: float = setting(0.99)
    weight_decay: float = setting(0.0)
    _: KW_ONLY
    betas: tuple[float, float] | None = setting(None)
    maximize: bool = setting(False)

    def initial_state(self, group: ParamGroup) -> dict[str, float]:
        return {"exp_avg": 0.0}

    def update(self, theta: Any, g: Any, state: dict[str, Any], settings: Any, step: Any) -> Any:
        # β·m + (1 - β)·g = g + β·(m - g), which needs less memory
        m = state["exp_avg"]
        direction = np.sign(g + settings.beta1 * (m - g))
        m = g + settings.beta2 * (m - g)
        change = settings.lr * direction + settings.lr * settings.weight_decay * theta
        return theta - change, {"exp_avg": m}
