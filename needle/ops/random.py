"""Ops that draw anew whenever they run, through the device of their operand."""

from ..autograd import AbstractArray, Array, TensorOp
from ..device import Generator, device_of
from .kinds import with_parameters

__all__ = ["DropoutMask", "dropout_mask"]


class DropoutMask(TensorOp):
    """1/(1 - p) with probability 1 - p, else 0, in the shape and dtype of a. No gradient.

    Draws from `generator`, or from NumPy's global random state where that is None.
    """

    differentiable = False
    is_random = True

    def __init__(self, p: float, generator: Generator | None = None) -> None:
        self.p = p
        self.generator = generator

    def compute(self, a: Array) -> Array:
        keep = 1 - self.p
        kept = device_of(a).rand(*a.shape, generator=self.generator) <= keep
        return kept.astype(a.dtype) * (1 / keep if keep else 0)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return a  # and nothing is drawn


dropout_mask = with_parameters(DropoutMask, "dropout_mask")
