"""Indices drawn with given probabilities."""

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp
from ..device import Generator, device_of

__all__ = ["Multinomial", "multinomial"]


class Multinomial(TensorOp):
    """Indices along the last axis, drawn with probabilities proportional to a. No gradient.

    Without replacement, those of the n smallest E/a, where E are draws from Exp(1).
    """

    differentiable = False
    is_random = True

    def __init__(self, n: int, replacement: bool, generator: Generator | None = None) -> None:
        self.n, self.replacement, self.generator = n, replacement, generator

    def check(self, a: Array) -> None:
        if not (np.isfinite(a).all() and (a >= 0).all()):
            raise ValueError("multinomial: expected finite weights from 0")
        possible = (a > 0).sum(-1)
        least = 1 if self.replacement else self.n
        if (possible < least).any():
            raise ValueError(
                f"multinomial: {self.n} draws {'with' if self.replacement else 'without'} "
                f"replacement need {least} weights above 0, got {possible.min()} in a row"
            )

    def compute(self, a: Array) -> Array:
        a = a.astype("float64")
        if self.replacement:
            sums = np.cumsum(a, -1)
            u = device_of(a).rand(*a.shape[:-1], self.n, generator=self.generator)
            return (sums[..., None, :] <= (u * sums[..., -1:])[..., None]).sum(-1)
        u = device_of(a).rand(*a.shape, generator=self.generator)
        is_possible = a > 0
        times = np.where(is_possible, -np.log1p(-u) / np.where(is_possible, a, 1), np.inf)
        return np.argsort(times, -1)[..., : self.n]

    def infer(self, a: AbstractArray) -> AbstractArray:
        return AbstractArray((*a.shape[:-1], self.n), np.dtype(np.int64))


def multinomial(
    a: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the weights in a (n,) or (rows, n).

    Returns int64 (num_samples,) or (rows, num_samples). Random numbers come from `generator`, by
    default from NumPy's global state.

    Raises:
        ValueError: a weight that is negative or not finite; fewer weights above 0 than draws
            without replacement; a with other axes.

    Example:
        >>> import needle as ndl
        >>> ndl.multinomial(ndl.Tensor([[0.0, 3.0], [1.0, 0.0]]), 1).numpy()
        array([[1],
               [0]])
    """
    if num_samples < 1:
        raise ValueError(f"multinomial: expected at least one draw, got {num_samples}")
    if a.ndim not in (1, 2):
        raise ValueError(f"multinomial: expected weights (n,) or (rows, n), got {a.shape}")
    return Multinomial(num_samples, replacement, generator)(a)
