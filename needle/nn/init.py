"""In-place initialisation of existing tensors, under PyTorch's names.

Each function overwrites the tensor's own array with what `needle.init` gives, and returns the
tensor. Those that draw take them from `generator`, or from NumPy's global random state without one;
they raise a TypeError for a tensor of integers or booleans. Fans follow needle's layout, in which
the shape of a weight ends in (..., in, out): fan_in is the product of all lengths but the last,
fan_out of all but the last but one.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import init
from ..autograd import Tensor, assign
from ..device import Generator
from ..init import calculate_gain

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_",
    "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_",
    "zeros_",
]  # fmt: skip


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with val."""
    return _fill(tensor, init.constant, *tensor.shape, c=val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_ takes a matrix, got shape {tensor.shape}")
    return _fill(tensor, Tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from U(a, b), a ≤ b."""
    if not a <= b:
        raise ValueError(f"uniform_ draws from [a, b], but a={a} is above b={b}")
    return _draw(tensor, generator, init.rand, *tensor.shape, low=a, high=b)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from N(mean, std²), std ≥ 0."""
    if not std >= 0:
        raise ValueError(f"normal_: std must be at least 0, got {std}")
    return _draw(tensor, generator, init.randn, *tensor.shape, mean=mean, std=std)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²), restricted to [a, b]."""
    shape = tensor.shape
    return _draw(tensor, generator, init.trunc_normal, *shape, mean=mean, std=std, a=a, b=b)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows or columns, whichever are fewer, times gain."""
    return _draw(tensor, generator, init.orthogonal, *tensor.shape, gain=gain)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from `needle.init.xavier_uniform`."""
    return _draw(tensor, generator, init.xavier_uniform, *_fans(tensor), gain, tensor.shape)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draws from `needle.init.xavier_normal`."""
    return _draw(tensor, generator, init.xavier_normal, *_fans(tensor), gain, tensor.shape)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draws from `needle.init.kaiming_uniform` for the fan `mode`; a: slope of leaky_relu."""
    return _kaiming(init.kaiming_uniform, tensor, a, mode, nonlinearity, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draws from `needle.init.kaiming_normal` for the fan `mode`; a: slope of leaky_relu."""
    return _kaiming(init.kaiming_normal, tensor, a, mode, nonlinearity, generator)


def _kaiming(
    draw: Callable[..., Tensor], tensor: Tensor, a: float, mode: str, nonlinearity: str,
    generator: Generator | None,
) -> Tensor:  # fmt: skip
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"mode {mode!r}: expected fan_in or fan_out")
    return _draw(tensor, generator, draw, fans[mode], fans[mode], tensor.shape, nonlinearity, a)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight (..., in, out)."""
    if tensor.ndim < 2:
        raise ValueError(f"fans need a weight of at least two axes, got shape {tensor.shape}")
    *window, inputs, outputs = tensor.shape
    return math.prod(window) * inputs, math.prod(window) * outputs


def _draw(
    tensor: Tensor, generator: Generator | None, function: Callable[..., Tensor], *args: Any,
    **options: Any,
) -> Tensor:  # fmt: skip
    """Fill with the result of an initialiser that draws."""
    if tensor.dtype.kind != "f":
        raise TypeError(f"random values are floats, which a tensor of {tensor.dtype} cannot hold")
    return _fill(tensor, function, *args, generator=generator, **options)


def _fill(tensor: Tensor, function: Callable[..., Tensor], *args: Any, **options: Any) -> Tensor:
    assign(tensor, function(*args, device=tensor.device, dtype=tensor.dtype, **options))
    return tensor
