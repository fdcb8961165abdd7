"""Initialisation of tensors that exist already, in place, under PyTorch's names.

Each function overwrites the tensor's own array and returns the tensor; those that draw raise a
TypeError if it does not hold floats. Fans are counted in needle's layout, where a weight ends in
(..., in, out): fan_in is the product of all lengths but the last, fan_out that of all but the last
but one.
"""

import math
from typing import Any

from .. import init
from ..autograd import Tensor
from ..init import calculate_gain

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_",
    "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_",
    "zeros_",
]  # fmt: skip


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with val."""
    tensor.realize_cached_data()[...] = val
    return tensor


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
    array = zeros_(tensor).realize_cached_data()
    shorter = min(tensor.shape)
    array[range(shorter), range(shorter)] = 1
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draws from U(a, b).

    Raises:
        ValueError: a is above b.
    """
    if not a <= b:
        raise ValueError(f"uniform_ draws from [a, b], but a={a} is above b={b}")
    return _fill(tensor, init.rand(*tensor.shape, low=a, high=b, **_where(tensor)))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draws from N(mean, std²).

    Raises:
        ValueError: std is negative.
    """
    if not std >= 0:
        raise ValueError(f"normal_: std must be at least 0, got {std}")
    return _fill(tensor, init.randn(*tensor.shape, mean=mean, std=std, **_where(tensor)))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Draws from N(mean, std²) under the condition that they lie in [a, b]."""
    options: dict[str, Any] = {"mean": mean, "std": std, "a": a, "b": b, **_where(tensor)}
    return _fill(tensor, init.trunc_normal(*tensor.shape, **options))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows or columns, whichever are fewer, times gain."""
    return _fill(tensor, init.orthogonal(*tensor.shape, gain=gain, **_where(tensor)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(-a, a) with a = gain·√(6/(fan_in + fan_out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, std²) with std = gain·√(2/(fan_in + fan_out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, std=gain * math.sqrt(2 / sum(_fans(tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """U(-b, b) with b = gain·√(3/fan), a being the slope of leaky_relu (He et al. 2015)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """N(0, std²) with std = gain/√fan, a being the slope of leaky_relu (He et al. 2015)."""
    return normal_(tensor, std=_kaiming_std(tensor, a, mode, nonlinearity))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"mode {mode!r}: expected fan_in or fan_out")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode])


def _fans(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight (..., in, out)."""
    if tensor.ndim < 2:
        raise ValueError(f"fans need a weight of at least two axes, got shape {tensor.shape}")
    *window, inputs, outputs = tensor.shape
    count = math.prod(window)
    return max(count * inputs, 1), max(count * outputs, 1)  # an empty weight has nothing to draw


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    tensor.realize_cached_data()[...] = values.realize_cached_data()
    return tensor


def _where(tensor: Tensor) -> dict[str, Any]:
    if tensor.dtype.kind != "f":
        raise TypeError(f"draws are fractions, and a tensor of {tensor.dtype} holds none")
    return {"device": tensor.device, "dtype": tensor.dtype}
