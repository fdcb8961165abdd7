"""Ops that draw anew whenever they run, through the device of their operand."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp
from ..device import Generator, device_of
from .arithmetic import mask
from .kinds import elementwise, plain_number, with_parameters

__all__ = ["DropoutMask", "dropout_mask"]


class DropoutMask(TensorOp):
    """1/(1 - p) with probability 1 - p, else 0, in the shape and dtype of a. No gradient.

    Draws from `generator`, or from NumPy's global random state where that is None.
    """

    differentiable = False
    is_random = True

    def __init__(self, p: float, generator: Generator | None = None) -> None:
        self.p = plain_number(p)
        self.generator = generator

    def compute(self, a: Array) -> Array:
        keep = 1 - self.p
        kept = device_of(a).rand(*a.shape, generator=self.generator) <= keep
        return kept.astype(a.dtype) * (1 / keep if keep else 0)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return a  # and nothing is drawn


dropout_mask = with_parameters(DropoutMask, "dropout_mask")


def _drop(a: Array, factors: Array) -> Array:
    result = mask(a, np.not_equal(factors, 0))
    result *= factors
    return result


dropped: Callable[[Tensor, Any], Tensor]  # its derivative has it, too
Dropped, dropped = elementwise(
    "Dropped", "dropped", _drop,
    lambda g, y, a, factors: (dropped(g, factors), None),
    "a·factors, 0 where a factor is 0, also if a is infinite. Adjoint: that of g.",
)  # fmt: skip
