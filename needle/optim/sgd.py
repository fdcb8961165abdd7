"""Stochastic gradient descent."""

from collections.abc import Iterable

import numpy as np

from ..autograd import Array, Tensor
from .optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov's form and weight decay.

        g = grad + weight_decay·θ
        u ← momentum·u + (1 - dampening)·g
        θ ← θ - lr·u

    Nesterov's form looks one step ahead: θ ← θ - lr·(momentum·u + (1 - dampening)·g).

    Args:
        params: the tensors to train.
        lr: learning rate.
        momentum: β in [0, 1).
        weight_decay: strength of the L2 penalty.
        dampening: None, the default, means `momentum`: u is a mean of past gradients, and starts
            at 0. A number gives PyTorch's rule, in which the first gradient enters u whole;
            `dampening=0` is PyTorch's default.
        nesterov: look one step of momentum ahead (Sutskever et al. 2013).

    Raises:
        ValueError: a setting is negative, not finite, or momentum is missing for nesterov.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float | None = None,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params)
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        for name, value in settings.items():
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"SGD: {name} must be a finite number of at least 0, got {value}")
        if nesterov and (not momentum or dampening):
            raise ValueError("SGD: nesterov=True needs momentum > 0 and no other dampening than 0")
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.nesterov = nesterov
        self.u: dict[Tensor, Array] = {}

    def _update(self, param: Tensor, values: Array, gradient: Array) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * values
        if self.momentum:
            gradient = self._momentum_step(param, gradient)
        values -= self.lr * gradient

    def _momentum_step(self, param: Tensor, gradient: Array) -> Array:
        share = 1 - (self.momentum if self.dampening is None else self.dampening)
        if param not in self.u:
            first_share = share if self.dampening is None else 1
            self.u[param] = gradient * first_share
        else:
            self.u[param] *= self.momentum
            self.u[param] += gradient * share
        if self.nesterov:
            return gradient * share + self.u[param] * self.momentum
        return self.u[param]
