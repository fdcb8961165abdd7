"""Initialisation: the scheme of new layers, and existing tensors in place, under PyTorch's names.

Each function that takes a tensor overwrites its array with what `needle.init` gives, and returns
the tensor. Random numbers come from `generator`, by default from NumPy's global state; a tensor of
integers or booleans, which cannot hold them, is a TypeError. A weight has the shape (..., in, out):
fan_in is the product of all lengths but the last, fan_out of all but the last but one; `mode` says
which of the two the Kaiming initialisations use.
"""

import inspect
import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from .. import init
from .._lazy import unknown
from ..autograd import Tensor, assign
from ..autograd.modes import override
from ..device import Generator
from ..init import calculate_gain

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_",
    "ones_", "orthogonal_", "reset_", "scheme", "trunc_normal_", "uniform_", "xavier_normal_",
    "xavier_uniform_", "zeros_",
]  # fmt: skip


def _linear_bias(in_features: int, out_features: int, **where: Any) -> Tensor:
    return init.kaiming_uniform(out_features, 1, (1, out_features), **where)


def _pytorch_linear(fan_in: int, *shape: int, **where: Any) -> Tensor:
    bound = 1 / math.sqrt(max(fan_in, 1))
    return init.rand(*shape, low=-bound, high=bound, **where)


_SCHEMES: dict[str, Callable[[int, int], dict[str, Callable[..., Tensor]]]] = {
    "needle": lambda i, o: {
        "weight": partial(init.kaiming_uniform, i, o),
        "bias": partial(_linear_bias, i, o),
    },
    "pytorch": lambda i, o: {
        "weight": partial(_pytorch_linear, i, i, o),
        "bias": partial(_pytorch_linear, i, 1, o),
    },
}
"""How a Linear layer draws its parameters. Other layers have PyTorch's initialisation anyway."""

_scheme = ContextVar("scheme", default="needle")


def linear_draws(in_features: int, out_features: int) -> dict[str, Callable[..., Tensor]]:
    """The functions that draw the parameters of a Linear layer, by the scheme there is."""
    return _SCHEMES[_scheme.get()](in_features, out_features)


def scheme(name: str) -> override:
    """Context manager and decorator: how Linear layers that are built inside are initialised.

    "needle", the default, is Kaiming initialisation for ReLU, of the bias too, whose fan_in is
    out_features: the bias of Linear(32, 1) reaches ±2.4. "pytorch" is U(±1/√in_features) for both,
    which suits smooth activations such as tanh better. Another name is a ValueError.

    Example:
        >>> from needle import nn
        >>> with nn.init.scheme("pytorch"):
        ...     model = nn.Sequential(nn.Linear(2, 100), nn.Tanh(), nn.Linear(100, 1))
        >>> abs(model[2].bias.item()) <= 0.1
        True
    """
    if name not in _SCHEMES:
        raise ValueError(f"scheme {name!r}: expected one of {', '.join(_SCHEMES)}")
    return override(_scheme, name)


def reset_(module: Any, name: str | None = None) -> Any:
    """Draw the parameters of a layer or a model anew, by a scheme; returns the module.

    Calls `reset_parameters()` of all modules that have it. `name` is that of a `scheme`, by
    default the one there is.

    Example:
        >>> from needle import nn
        >>> layer = nn.init.reset_(nn.Linear(100, 1), "pytorch")
        >>> abs(layer.bias.item()) <= 0.1
        True
    """
    with scheme(_scheme.get() if name is None else name):
        for _, part in module.named_modules():
            reset = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
    return module


P = ParamSpec("P")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill a tensor with `val`.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.constant_(w, 0.5))
        [[0.5 0.5 0.5]
         [0.5 0.5 0.5]]
    """
    return _fill(tensor, init.constant, *tensor.shape, c=val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill a tensor with 0.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.zeros_(w))
        [[0. 0. 0.]
         [0. 0. 0.]]
    """
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill a tensor with 1.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor(ndl.init.zeros(2, 3))
        >>> print(ndl.nn.init.ones_(w))
        [[1. 1. 1.]
         [1. 1. 1.]]
    """
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with 1 on the diagonal and 0 elsewhere.

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
    """Fill a tensor with draws from U(a, b), a ≤ b.

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
    """Fill a tensor with draws from N(mean, std²), std ≥ 0.

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
    """Fill a tensor with draws from N(mean, std²), restricted to [a, b].

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.trunc_normal_(weight, std=0.02).shape
        (4, 3)
    """
    options: Any = {"mean": mean, "std": std, "a": a, "b": b, "generator": generator}
    return _fill(tensor, init.trunc_normal, *tensor.shape, **options)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill a matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Linear(4, 3).weight
        >>> ndl.nn.init.orthogonal_(weight).shape
        (4, 3)
    """
    return _fill(tensor, init.orthogonal, *tensor.shape, gain=gain, generator=generator)


def _xavier(
    draw: Callable[..., Tensor],
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
) -> Tensor:
    fans = _fans(tensor).values()
    return _fill(tensor, draw, *fans, gain, tensor.shape, generator=generator)


def _kaiming(
    draw: Callable[..., Tensor],
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


def _in_place(
    fill: Callable[Concatenate[Callable[..., Tensor], P], Tensor], draw: Callable[..., Tensor]
) -> Callable[P, Tensor]:
    """`fill` with its first argument, under the name and with the docstring of `draw`."""

    def function(*args: P.args, **options: P.kwargs) -> Tensor:
        return fill(draw, *args, **options)

    signature = inspect.signature(fill)
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=list(signature.parameters.values())[1:]
    )
    function.__name__ = function.__qualname__ = f"{draw.__name__}_"
    function.__doc__ = draw.__doc__
    return function


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


xavier_uniform_ = _in_place(_xavier, init.xavier_uniform)
xavier_normal_ = _in_place(_xavier, init.xavier_normal)
kaiming_uniform_ = _in_place(_kaiming, init.kaiming_uniform)
kaiming_normal_ = _in_place(_kaiming, init.kaiming_normal)


if not TYPE_CHECKING:  # type checkers know all names
    __getattr__ = unknown(__name__)
