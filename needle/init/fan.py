"""Initialisations that keep the variance of activations or gradients constant across layers.

Each function returns a tensor of shape (fan_in, fan_out), or of `shape` if that is given; other
keywords go to `init.rand` and `init.randn`. Fans of 0, those of empty weights, count as 1.
"""

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor
from .draws import rand, randn

__all__ = [
    "calculate_gain", "kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform",
]  # fmt: skip

_LINEAR = ["linear", *(f"conv{how}{n}d" for how in ("", "_transpose") for n in (1, 2, 3))]
_GAINS = dict.fromkeys([*_LINEAR, "sigmoid"], 1.0)
_GAINS |= {"tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The recommended factor for weights before a nonlinearity, as in PyTorch.

    1 for linear, convolutions (conv1d ... conv_transpose3d) and sigmoid, 5/3 for tanh, √2 for relu,
    √(2/(1 + slope²)) for leaky_relu, whose slope is `param`, by default 0.01; 3/4 for selu.

    Example:
        >>> from needle import init
        >>> round(init.calculate_gain("leaky_relu", 0.2), 4)
        1.3868
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"nonlinearity {nonlinearity!r}: known are {known}")
    return _GAINS[nonlinearity]


def xavier_uniform(
    fan_in: int, fan_out: int, gain: float = 1.0, shape: Sequence[int] | None = None, **kwargs: Any
) -> Tensor:
    """U(-a, a) with a = gain·√(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16).

    Example:
        >>> import needle as ndl
        >>> weight = ndl.init.xavier_uniform(100, 50)
        >>> weight.shape, bool(abs(weight.numpy()).max() <= 0.2)
        ((100, 50), True)
    """
    bound = gain * math.sqrt(6.0 / max(fan_in + fan_out, 1))
    return rand(*_shape(fan_in, fan_out, shape), low=-bound, high=bound, **kwargs)


def xavier_normal(
    fan_in: int, fan_out: int, gain: float = 1.0, shape: Sequence[int] | None = None, **kwargs: Any
) -> Tensor:
    """N(0, std²) with std = gain·√(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12).

    Example:
        >>> import needle as ndl
        >>> ndl.init.xavier_normal(100, 50, gain=2.0).shape
        (100, 50)
    """
    std = gain * math.sqrt(2.0 / max(fan_in + fan_out, 1))
    return randn(*_shape(fan_in, fan_out, shape), std=std, **kwargs)


def kaiming_uniform(
    fan_in: int,
    fan_out: int,
    shape: Sequence[int] | None = None,
    nonlinearity: str = "relu",
    a: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """U(-b, b) with b = gain·√(3 / fan_in) (He et al. 2015, eq. 10); a: slope of leaky_relu.

    Example:
        >>> import needle as ndl
        >>> ndl.init.kaiming_uniform(27, 16, shape=(3, 3, 3, 16)).shape
        (3, 3, 3, 16)
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / max(fan_in, 1))
    return rand(*_shape(fan_in, fan_out, shape), low=-bound, high=bound, **kwargs)


def kaiming_normal(
    fan_in: int,
    fan_out: int,
    shape: Sequence[int] | None = None,
    nonlinearity: str = "relu",
    a: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """N(0, std²) with std = gain / √fan_in (He et al. 2015, eq. 10); a: slope of leaky_relu.

    Example:
        >>> import needle as ndl
        >>> ndl.init.kaiming_normal(100, 50).shape
        (100, 50)
    """
    std = calculate_gain(nonlinearity, a) / math.sqrt(max(fan_in, 1))
    return randn(*_shape(fan_in, fan_out, shape), std=std, **kwargs)


def _shape(fan_in: int, fan_out: int, shape: Sequence[int] | None) -> Sequence[int]:
    return (fan_in, fan_out) if shape is None else shape
