"""What layers check of their inputs and settings."""

import math
from collections.abc import Sequence

from ..autograd import Tensor
from ..ops.kinds import integers

__all__ = ["as_shape", "check_features", "check_floats", "check_trailing"]


def check_features(layer: str, x: Tensor, features: int) -> None:
    """Raise unless x is (..., features) of floating-point numbers."""
    shape = x.shape
    if not shape or shape[-1] != features:
        flat = math.prod(shape[1:]) == features
        hint = ": flatten the images first (nn.Flatten)" if flat else ""
        raise ValueError(f"{layer} expected (..., {features}), got {shape}{hint}")
    check_floats(layer, x)


def check_trailing(layer: str, x: Tensor, trailing: tuple[int, ...]) -> None:
    """Raise unless x is (..., *trailing) of floating-point numbers."""
    shape = x.shape
    if shape[-len(trailing) :] != trailing:
        raise ValueError(f"{layer} expected (..., {', '.join(map(str, trailing))}), got {shape}")
    check_floats(layer, x)


def check_floats(layer: str, x: Tensor) -> None:
    """Raise unless x holds floating-point numbers."""
    if x.dtype.kind != "f":
        raise TypeError(
            f"{layer} expected floating-point numbers, got {x.dtype}: use astype('float32')"
        )


def as_shape(layer: str, lengths: Sequence[int] | int) -> tuple[int, ...]:
    """`normalized_shape` as a tuple of positive lengths.

    Raises:
        TypeError: it is neither an integer nor several.
        ValueError: there is none, or one is not positive.
    """
    shape = integers(lengths, "normalized_shape")
    if not shape or min(shape) < 1:
        raise ValueError(f"{layer}: normalized_shape of positive lengths, got {lengths}")
    return shape
