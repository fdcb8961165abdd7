"""Comparisons: boolean tensors of the broadcast shape. No gradient passes."""

import numpy as np

from .kinds import elementwise

__all__ = [
    "Equal", "equal", "Greater", "greater", "GreaterEqual", "greater_equal",
    "Less", "less", "LessEqual", "less_equal", "NotEqual", "not_equal",
]  # fmt: skip

# fmt: off
Equal, equal = elementwise(
    "Equal", "equal", np.equal, None, "Where a = b, as booleans. No gradient.")
NotEqual, not_equal = elementwise(
    "NotEqual", "not_equal", np.not_equal, None, "Where a ≠ b, as booleans. No gradient.")
Less, less = elementwise(
    "Less", "less", np.less, None, "Where a < b, as booleans. No gradient.")
LessEqual, less_equal = elementwise(
    "LessEqual", "less_equal", np.less_equal, None, "Where a ≤ b, as booleans. No gradient.")
Greater, greater = elementwise(
    "Greater", "greater", np.greater, None, "Where a > b, as booleans. No gradient.")
GreaterEqual, greater_equal = elementwise(
    "GreaterEqual", "greater_equal", np.greater_equal, None,
    "Where a ≥ b, as booleans. No gradient.")
