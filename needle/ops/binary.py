"""The cross-entropy of a probability and a binary target.

In the formulas g is the adjoint of the result.
"""

import numpy as np

from ..autograd import Array, Tensor
from .arithmetic import maximum
from .kinds import Elementwise, constant_like

__all__ = ["BinaryCrossEntropy", "binary_cross_entropy"]

# what a logarithm is limited to, and what is divided by, at probabilities of exactly 0 and 1
_LOWEST_LOG = -100
_SMALLEST = 1e-12


class BinaryCrossEntropy(Elementwise):
    """-(t·ln p + (1 - t)·ln(1 - p)), with logarithms of at least -100.

    Adjoints: g·(p - t)/(p·(1 - p)), with a denominator of at least 10⁻¹², g·(ln(1 - p) - ln p).
    """

    def compute(self, p: Array, target: Array) -> Array:
        return -(target * _limited(np.log, p) + (1 - target) * _limited(np.log1p, -p))

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, Tensor | None]:
        p, target = node.inputs
        of_target = None
        if target.requires_grad:  # the loss is linear in it
            ones, zeros = constant_like(target, 1), constant_like(target, 0)
            of_target = out_grad * (self(p, ones) - self(p, zeros))
        return out_grad * ((p - target) / maximum(p * (1 - p), _SMALLEST)), of_target


def _limited(logarithm: np.ufunc, a: Array) -> Array:
    with np.errstate(divide="ignore"):  # of 0, and log1p of -1
        return np.maximum(logarithm(a), _LOWEST_LOG)


def binary_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    """-(t·ln p + (1 - t)·ln(1 - p)) for probabilities p and targets t, finite from 0 to 1."""
    return BinaryCrossEntropy()(p, target)
