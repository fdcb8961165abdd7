"""Orthogonal matrices and truncated normal draws."""

import math
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Device, default_device

__all__ = ["orthogonal", "trunc_normal"]

_FURTHEST = 1e100  # an interval beyond it has one number to draw; its square does not overflow


def orthogonal(
    *shape: int,
    gain: float = 1.0,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """A random matrix whose rows or columns, whichever are fewer, are orthonormal, times gain.

    Uniform over all such matrices: the Q of a QR decomposition of N(0, 1) draws, with the signs
    that make R's diagonal positive (Saxe et al. 2014; Mezzadri 2007). Of more than two axes, all
    but the last are taken together.

    Raises:
        ValueError: fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(f"orthogonal needs at least two axes, got shape {shape}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    draws = (device or default_device()).randn(max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(draws)
    q *= np.where(np.diagonal(r) < 0, -gain, gain)
    matrix = q if rows >= columns else q.T
    return Tensor.make_const(matrix.reshape(shape).astype(dtype, order="C"), requires_grad)


def trunc_normal(
    *shape: int,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    device: Device | None = None,
    dtype: Any = "float32",
    requires_grad: bool = False,
) -> Tensor:
    """Draws from N(mean, std²) under the condition that they lie in [a, b].

    Raises:
        ValueError: mean or std is not finite, std is not positive, or a is not below b.
    """
    if not (0 < std < math.inf and math.isfinite(mean) and a < b):
        raise ValueError(
            "trunc_normal needs a finite mean and std, std > 0 and a < b, "
            f"got mean={mean}, std={std}, a={a}, b={b}"
        )
    device = device or default_device()
    draws = _standard_draws((a - mean) / std, (b - mean) / std, math.prod(shape), device)
    array = np.clip(draws * std + mean, a, b).reshape(shape).astype(dtype)
    return Tensor.make_const(array, requires_grad)


def _standard_draws(low: float, high: float, count: int, device: Device) -> np.ndarray:
    """Draws from N(0, 1) in [low, high], by rejection from the uniform distribution.

    A draw x is kept with probability e^((m² - x²)/2), m being the number in the interval that is
    closest to 0. Where that is less than e^-40, the interval is cut off.
    """
    low, high = (min(max(end, -_FURTHEST), _FURTHEST) for end in (low, high))
    mode = min(max(low, 0.0), high)
    reach = math.hypot(mode, math.sqrt(80))
    low, high = max(low, -reach), min(high, reach)
    kept = np.empty(0)
    while kept.size < count:
        draws = device.rand(2 * (count - kept.size) + 16) * (high - low) + low
        is_kept = device.rand(draws.size) <= np.exp((mode**2 - draws**2) / 2)
        kept = np.concatenate([kept, draws[is_kept]])
    return kept[:count]
