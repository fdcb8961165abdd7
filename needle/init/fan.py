"""Initialisations that keep the variance of activations or gradients level across layers.

fan_in and fan_out count the connections into and out of one unit. Each function returns a tensor
of shape (fan_in, fan_out), or of `shape` where that is given; other keywords go to `init.rand`
and `init.randn`.
"""

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor
from .basic import rand, randn
from .gain import calculate_gain

__all__ = ["kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform"]


def xavier_uniform(
    fan_in: int,
    fan_out: int,
    gain: float = 1.0,
    shape: Sequence[int] | None = None,
    **kwargs: Any,
) -> Tensor:
    """U(-a, a) with a = gain·√(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / _count(fan_in + fan_out))
    return rand(*_shape(fan_in, fan_out, shape), low=-bound, high=bound, **kwargs)


def xavier_normal(
    fan_in: int,
    fan_out: int,
    gain: float = 1.0,
    shape: Sequence[int] | None = None,
    **kwargs: Any,
) -> Tensor:
    """N(0, std²) with std = gain·√(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12)."""
    std = gain * math.sqrt(2.0 / _count(fan_in + fan_out))
    return randn(*_shape(fan_in, fan_out, shape), std=std, **kwargs)


def kaiming_uniform(
    fan_in: int,
    fan_out: int,
    shape: Sequence[int] | None = None,
    nonlinearity: str = "relu",
    **kwargs: Any,
) -> Tensor:
    """U(-b, b) with b = gain·√(3 / fan_in), gain √2 for relu (He et al. 2015, eq. 10)."""
    bound = calculate_gain(nonlinearity) * math.sqrt(3.0 / _count(fan_in))
    return rand(*_shape(fan_in, fan_out, shape), low=-bound, high=bound, **kwargs)


def kaiming_normal(
    fan_in: int,
    fan_out: int,
    shape: Sequence[int] | None = None,
    nonlinearity: str = "relu",
    **kwargs: Any,
) -> Tensor:
    """N(0, std²) with std = gain / √fan_in, gain √2 for relu (He et al. 2015, eq. 10)."""
    std = calculate_gain(nonlinearity) / math.sqrt(_count(fan_in))
    return randn(*_shape(fan_in, fan_out, shape), std=std, **kwargs)


def _count(connections: int) -> int:
    """To divide by: at least 1, since a weight without connections has nothing to draw."""
    return max(connections, 1)


def _shape(fan_in: int, fan_out: int, shape: Sequence[int] | None) -> Sequence[int]:
    return (fan_in, fan_out) if shape is None else shape
