"""The base of optimizers."""

from collections.abc import Iterable

import numpy as np

from ..autograd import Array, Tensor

__all__ = ["Optimizer"]


class Optimizer:
    """Updates parameters from their gradients.

    A subclass states the update of one parameter (`_update`); this class does the rest. Updates
    write into the parameter's own array: the parameter stays the same object, no graph survives
    a step, and gradient arrays are never changed.

    Raises:
        ValueError: `params` is empty.
        TypeError: `params` is a single tensor, or holds something that is not a Tensor.
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        if isinstance(params, Tensor):
            raise TypeError("an optimizer takes a list of tensors, got one Tensor: write [tensor]")
        self.params = list(params)
        if not self.params:
            raise ValueError("an optimizer needs at least one parameter, got an empty list")
        for position, param in enumerate(self.params):
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"an optimizer takes Tensors, got {type(param).__name__} at position {position}"
                )

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for param in self.params:
            if param.grad is not None:
                gradient = param.grad.realize_cached_data()
                self._update(param, param.realize_cached_data(), gradient)

    def _update(self, param: Tensor, values: Array, gradient: Array) -> None:
        """Update one parameter: write into `values`, its array; leave `gradient` as it is."""
        raise NotImplementedError(f"{type(self).__name__} defines no _update()")

    def reset_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for param in self.params:
            param.grad = None

    zero_grad = reset_grad

    def clip_grad_norm(self, max_norm: float = 0.25) -> float:
        """Scale all gradients down so that their joint Euclidean norm is at most `max_norm`.

        Returns:
            The norm before clipping.
        """
        with_gradient = [param for param in self.params if param.grad is not None]
        gradients = [param.grad.realize_cached_data() for param in with_gradient]
        norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)))
        if norm > max_norm:
            for param, gradient in zip(with_gradient, gradients, strict=True):
                param.grad = Tensor.make_const(gradient * (max_norm / norm))
        return norm
