"""In-place initialisation of existing tensors, under PyTorch's names.

Each function overwrites the tensor's own array with what `needle.init` gives, and returns the
tensor. Random numbers come from `generator`, by default from NumPy's global state; a tensor of
integers or booleans, which cannot hold them, is a TypeError. A weight has the shape (..., in, out):
fan_in is the product of all lengths but the last, fan_out of all but the last but one; `mode` says
which of the two the Kaiming initialisations use.
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
    """Fill with val.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.constant_(w, 0.5))
        [[0.5 0.5 0.5]
         [0.5 0.5 0.5]]
    """
    return _fill(tensor, init.constant, *tensor.shape, c=val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.zeros_(w))
        [[0. 0. 0.]
         [0. 0. 0.]]
    """
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.ones_(w))
        [[1. 1. 1.]
         [1. 1. 1.]]
    """
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.eye_(w))
        [[1. 0. 0.]
         [0. 1. 0.]]
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_ takes a matrix, got shape {tensor.shape}")
    return _fill(tensor, Tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from U(a, b), a ≤ b.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.uniform_(weight, -0.1, 0.1).shape
        (4, 3)
    """
    if not a <= b:
        raise ValueError(f"uniform_ draws from [a, b], but a={a} is above b={b}")
    return _fill(tensor, init.rand, *tensor.shape, low=a, high=b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from N(mean, std²), std ≥ 0.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.normal_(weight, std=0.02).shape
        (4, 3)
    """
    if not std >= 0:
        raise ValueError(f"normal_: std must be at least 0, got {std}")
    return _fill(tensor, init.randn, *tensor.shape, mean=mean, std=std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²), restricted to [a, b].

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.trunc_normal_(weight, std=0.02).shape
        (4, 3)
    """
    options: Any = {"mean": mean, "std": std, "a": a, "b": b, "generator": generator}
    return _fill(tensor, init.trunc_normal, *tensor.shape, **options)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows or columns, whichever are fewer, times gain.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.orthogonal_(weight).shape
        (4, 3)
    """
    return _fill(tensor, init.orthogonal, *tensor.shape, gain=gain, generator=generator)


def _xavier(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def fill(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
        fans = _fans(tensor).values()
        return _fill(tensor, draw, *fans, gain, tensor.shape, generator=generator)

    return _in_place(fill, draw)


def _kaiming(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def fill(
        tensor: Tensor,
        a: float = 0.0,
        mode: str = "fan_in",
        nonlinearity: str = "leaky_relu",
        generator: Generator | None = None,
    ) -> Tensor:
        fans = _fans(tensor)
        if mode not in fans:
            raise ValueError(f"mode {mode!r}: expected fan_in or fan_out")
        args = fans[mode], fans[mode], tensor.shape, nonlinearity, a
        return _fill(tensor, draw, *args, generator=generator)

    return _in_place(fill, draw)


def _in_place(fill: Callable[..., Tensor], draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    fill.__name__ = fill.__qualname__ = f"{draw.__name__}_"
    fill.__doc__ = draw.__doc__
    return fill


def _fans(tensor: Tensor) -> dict[str, int]:
    if tensor.ndim < 2:
        raise ValueError(f"fans need a weight of at least two axes, got shape {tensor.shape}")
    *window, inputs, outputs = tensor.shape
    return {"fan_in": math.prod(window) * inputs, "fan_out": math.prod(window) * outputs}


def _fill(tensor: Tensor, function: Callable[..., Tensor], *args: Any, **options: Any) -> Tensor:
    if "generator" in options and tensor.dtype.kind != "f":
        raise TypeError(f"random values are floats, which a tensor of {tensor.dtype} cannot hold")
    assign(tensor, function(*args, device=tensor.device, dtype=tensor.dtype, **options))
    return tensor


xavier_uniform_, xavier_normal_ = _xavier(init.xavier_uniform), _xavier(init.xavier_normal)
kaiming_uniform_, kaiming_normal_ = _kaiming(init.kaiming_uniform), _kaiming(init.kaiming_normal)
