"""Ops that draw anew whenever they run, through the device of their operand."""

from functools import lru_cache

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp
from ..device import Generator, device_of
from .arithmetic import mask
from .kinds import Elementwise, plain_number, with_parameters

__all__ = ["DropoutMask", "dropout_mask"]


class Kept(TensorOp):
    """True with probability 1 - p, else False, in the shape of a. No gradient.

    Draws from `generator`, or from NumPy's global random state where that is None.
    """

    differentiable = False
    is_random = True

    def __init__(self, p: float, generator: Generator | None = None) -> None:
        self.p = plain_number(p)
        self.generator = generator

    def compute(self, a: Array) -> Array:
        return device_of(a).rand(*a.shape, generator=self.generator) <= 1 - self.p

    def infer(self, a: AbstractArray) -> AbstractArray:
        return AbstractArray(a.shape, np.bool)  # and nothing is drawn


class Seeds(TensorOp):
    """Integers from 0 to 2⁵³ - 1, each of which seeds a stream, in the shape of a. No gradient.

    Draws as `Kept`.
    """

    differentiable = False
    is_random = True

    def __init__(self, generator: Generator | None = None) -> None:
        self.generator = generator

    def compute(self, a: Array) -> Array:
        numbers = device_of(a).rand(*a.shape, generator=self.generator)  # multiples of 2⁻⁵³
        return (numbers * 2.0**53).astype("int64")

    def infer(self, a: AbstractArray) -> AbstractArray:
        return AbstractArray(a.shape, np.dtype(np.int64))


class DropoutMask(Kept):
    """1/(1 - p) with probability 1 - p, else 0, in the shape and dtype of a. No gradient."""

    def compute(self, a: Array) -> Array:
        return super().compute(a).astype(a.dtype) * _scale_of_kept(self.p)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return a


dropout_mask = with_parameters(DropoutMask, "dropout_mask")


class Dropped(Elementwise):
    """a/(1 - p) where a boolean is true, else 0, also if a is infinite. Adjoint: that of g."""

    constant_operands = slice(1, None)

    def __init__(self, p: float) -> None:
        self.scale = _scale_of_kept(plain_number(p))

    def compute(self, a: Array, is_kept: Array) -> Array:
        result = mask(a, is_kept)
        result *= self.scale
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        return Tensor.make_from_op(self, (out_grad, node.inputs[1])), None


dropped = lru_cache(64)(Dropped)  # one instance for all calls


def _scale_of_kept(p: float) -> float:
    """1/(1 - p), which keeps the mean as it is without dropout."""
    return 1 / (1 - p) if p < 1 else 0.0
