"""Comparisons: boolean tensors of the broadcast shape. No gradient passes."""

import numpy as np

from .kinds import Elementwise, binary

__all__ = [
    "Equal", "equal", "Greater", "greater", "GreaterEqual", "greater_equal",
    "Less", "less", "LessEqual", "less_equal", "NotEqual", "not_equal",
]  # fmt: skip


class _Comparison(Elementwise):
    differentiable = False


class Equal(_Comparison):
    """Where a = b, as booleans. No gradient."""

    compute = np.equal


class NotEqual(_Comparison):
    """Where a ≠ b, as booleans. No gradient."""

    compute = np.not_equal


class Less(_Comparison):
    """Where a < b, as booleans. No gradient."""

    compute = np.less


class LessEqual(_Comparison):
    """Where a ≤ b, as booleans. No gradient."""

    compute = np.less_equal


class Greater(_Comparison):
    """Where a > b, as booleans. No gradient."""

    compute = np.greater


class GreaterEqual(_Comparison):
    """Where a ≥ b, as booleans. No gradient."""

    compute = np.greater_equal


equal = binary(Equal())
not_equal = binary(NotEqual(), "not_equal")
less = binary(Less())
less_equal = binary(LessEqual(), "less_equal")
greater = binary(Greater())
greater_equal = binary(GreaterEqual(), "greater_equal")
