"""Checks of the inputs and settings of layers, for `functional` and for constructors."""

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.abstract import NeedsNumbers
from ..ops.kinds import integers, plain_number

__all__ = [
    "as_shape", "check_channels", "check_floats", "check_fraction", "check_groups",
    "check_reduction", "check_sizes", "check_tensor", "check_trailing", "numbers_of",
]  # fmt: skip


def check_tensor(layer: str, x: Any) -> None:
    if not isinstance(x, Tensor):
        is_results = isinstance(x, tuple) and any(isinstance(each, Tensor) for each in x)
        hint = "pass one of its entries" if is_results else "wrap it with needle.Tensor(...)"
        raise TypeError(f"{layer} expected a Tensor, got {type(x).__name__}: {hint}")


def check_floats(layer: str, x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dtype.kind != "f":
        check_tensor(layer, x)
        raise TypeError(
            f"{layer} expected floating-point numbers, got {x.dtype}: use astype('float32')"
        )


def check_trailing(layer: str, x: Tensor, trailing: tuple[int, ...]) -> None:
    """Raise unless x is (..., *trailing) of floating-point numbers."""
    if not isinstance(x, Tensor) or x.dtype.kind != "f":  # a call saved, for small inputs
        check_floats(layer, x)
    shape = x.shape
    if shape[-len(trailing) :] != trailing:
        is_flat = len(trailing) == 1 and math.prod(shape[1:]) == trailing[0]
        hint = ": flatten the images first (nn.Flatten)" if is_flat else ""
        raise ValueError(
            f"{layer} expected (..., {', '.join(map(str, trailing))}), got {shape}{hint}"
        )


def check_channels(
    layer: str,
    layout: str,
    x: Tensor,
    ndims: Container[int] = range(2, 65),
    channels: int | None = None,
) -> None:
    """Raise unless x has one of `ndims` axes, the second of length `channels`, if that is given."""
    check_tensor(layer, x)
    shape = x.shape
    if len(shape) not in ndims or (channels is not None and shape[1] != channels):
        number = "" if channels is None else f" with C = {channels}"
        raise ValueError(f"{layer} expected {layout}{number}, got {shape}")


def check_groups(num_groups: int, channels: int) -> None:
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"GroupNorm: {channels} channels do not split into {num_groups} groups")


def check_sizes(layer: str, least: int = 0, **sizes: Any) -> None:
    """Raise unless all sizes are whole numbers of at least `least`."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"{layer}: {name} must be a whole number, got {size!r}")
        if size < least:
            allowed = "positive" if least == 1 else f"at least {least}"
            raise ValueError(f"{layer}: {name} must be {allowed}, got {size}")


def check_fraction(what: str, value: float) -> float:
    """`value` as a Python number; a ValueError unless it is from 0 to 1."""
    number = plain_number(value)
    if not isinstance(number, _NUMBERS) or not 0 <= number <= 1:
        raise ValueError(f"{what} must be from 0 to 1, got {value}")
    return number


_NUMBERS = (int, float)  # `int | float` would be made in each call


def numbers_of(values: Any, instead: str) -> np.ndarray:
    """Numbers that shapes depend on.

    `compile` and `vmap` know shapes alone: there, the error for a Tensor says what to do instead.
    """
    if not isinstance(values, Tensor):
        return np.asarray(values)
    try:
        return values.numpy()
    except NeedsNumbers as error:
        raise NeedsNumbers(f"{error}. Here a shape depends on them: {instead}") from None


def check_reduction(reduction: str, *more: str) -> None:
    known = ("mean", "sum", "none", *more)
    if reduction not in known:
        raise ValueError(f"reduction {reduction!r}: expected one of {', '.join(known)}")


def as_shape(layer: str, lengths: Sequence[int] | int) -> tuple[int, ...]:
    """`normalized_shape` as a tuple of positive lengths."""
    shape = integers(lengths, "normalized_shape")
    if not shape or min(shape) < 1:
        raise ValueError(f"{layer}: normalized_shape of positive lengths, got {lengths}")
    return shape
