"""Ops that draw: each run of a graph draws anew, from NumPy's global random state."""

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from ..device import Device, default_device

__all__ = ["DropoutMask", "dropout_mask"]


class DropoutMask(TensorOp):
    """1/(1 - p) with probability 1 - p, else 0, in the shape and dtype of a. No gradient."""

    differentiable = False

    def __init__(self, p: float, device: Device | None = None) -> None:
        self.p = p
        self.device = device or default_device()

    def compute(self, a: Array) -> Array:
        keep = 1 - self.p
        kept = self.device.rand(*a.shape) <= keep
        return np.multiply(kept, 1 / keep if keep else 0, dtype=a.dtype)


def dropout_mask(a: Tensor, p: float) -> Tensor:
    """A random mask for `a`: 1/(1 - p) where U(0, 1) ≤ 1 - p, else 0."""
    return DropoutMask(p, a.device)(a)
