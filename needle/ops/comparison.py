"""Comparisons: boolean tensors through which no gradient passes."""

from typing import Any

import numpy as np

from ..autograd import Tensor
from .kinds import Elementwise

__all__ = [
    "Equal", "equal", "Greater", "greater", "GreaterEqual", "greater_equal",
    "Less", "less", "LessEqual", "less_equal", "NotEqual", "not_equal",
]  # fmt: skip


class _Comparison(Elementwise):
    differentiable = False


class Equal(_Comparison):
    """a = b. No gradient."""

    compute = np.equal


class NotEqual(_Comparison):
    """a ≠ b. No gradient."""

    compute = np.not_equal


class Less(_Comparison):
    """a < b. No gradient."""

    compute = np.less


class LessEqual(_Comparison):
    """a ≤ b. No gradient."""

    compute = np.less_equal


class Greater(_Comparison):
    """a > b. No gradient."""

    compute = np.greater


class GreaterEqual(_Comparison):
    """a ≥ b. No gradient."""

    compute = np.greater_equal


def equal(a: Tensor, b: Any) -> Tensor:
    """Where a = b, as a boolean tensor of the broadcast shape."""
    return Equal()(a, b)


def not_equal(a: Tensor, b: Any) -> Tensor:
    """Where a ≠ b, as a boolean tensor of the broadcast shape."""
    return NotEqual()(a, b)


def less(a: Tensor, b: Any) -> Tensor:
    """Where a < b, as a boolean tensor of the broadcast shape."""
    return Less()(a, b)


def less_equal(a: Tensor, b: Any) -> Tensor:
    """Where a ≤ b, as a boolean tensor of the broadcast shape."""
    return LessEqual()(a, b)


def greater(a: Tensor, b: Any) -> Tensor:
    """Where a > b, as a boolean tensor of the broadcast shape."""
    return Greater()(a, b)


def greater_equal(a: Tensor, b: Any) -> Tensor:
    """Where a ≥ b, as a boolean tensor of the broadcast shape."""
    return GreaterEqual()(a, b)
