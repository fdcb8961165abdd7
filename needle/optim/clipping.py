"""Clipping: keeping gradients within bounds before a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Array, Tensor, modes
from ..device import to_numpy
from .settings import tensors_of

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients down together so that their joint norm is at most `max_norm`.

        grad ← grad · min(1, max_norm / (norm + 1e-6))

    The gradient arrays are not written to: `.grad` is replaced.

    Args:
        parameters: one tensor or several; those without a gradient are skipped.
        max_norm: the largest norm allowed.
        norm_type: p of the p-norm over all elements; infinity, also "inf", is the maximum.
        error_if_nonfinite: raise an error where the norm is infinite or NaN.

    Returns:
        The norm before clipping; a Tensor in a function that is compiled.

    Raises:
        TypeError: `parameters` is a model, or holds something that is not a Tensor.
        ValueError: `max_norm` is negative or NaN, or `norm_type` is not positive.
        RuntimeError: the norm is not finite and `error_if_nonfinite` is set.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0, 1.0])
        >>> (ndl.Tensor([3.0, 4.0]) * w).sum().backward()
        >>> ndl.optim.clip_grad_norm_([w], max_norm=1.0)
        5.0
        >>> print(w.grad.numpy().round(3))
        [0.6 0.8]
    """
    norm_type = float(norm_type)  # PyTorch's users write "inf", too
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be at least 0, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"norm_type must be positive, got {norm_type}")
    params = _with_gradient(parameters, "clip_grad_norm_")
    if modes.effects.get() is not None:
        return _clip_recorded(params, max_norm, norm_type, error_if_nonfinite)
    norm = _norm([param.grad.realize_cached_data() for param in params], norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"the gradients have norm {norm}: look for a division by zero, a logarithm of zero or "
            "a learning rate that is too large"
        )
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1:  # a norm that is NaN makes all gradients NaN
        _replace(params, np.multiply, scale)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value].

    The gradient arrays are not written to: `.grad` is replaced.

    Raises:
        ValueError: `clip_value` is negative or NaN.

    Example:
        >>> import needle as ndl
        >>> w = ndl.Tensor([1.0, 1.0])
        >>> (ndl.Tensor([3.0, 0.5]) * w).sum().backward()
        >>> ndl.optim.clip_grad_value_([w], 1.0)
        >>> print(w.grad)
        [1.  0.5]
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_value must be at least 0, got {clip_value}")
    params = _with_gradient(parameters, "clip_grad_value_")
    if modes.effects.get() is not None:
        for param in params:
            param._grad = ops.clip(param._grad, -clip_value, clip_value)
    else:
        _replace(params, np.clip, -clip_value, clip_value)


def _clip_recorded(params: list[Tensor], max_norm: float, p: float, is_checked: bool) -> Any:
    """The same by ops on Tensors, which branch on no values. In float64, which no power exceeds."""
    if is_checked:
        raise TypeError(
            "clip_grad_norm_ in a compiled function cannot raise errors that depend on values: "
            "return the norm and look at it, without error_if_nonfinite"
        )
    sizes = [abs(ops.astype(param._grad, np.float64)) for param in params if param.size]
    if not sizes:
        return 0.0
    if p == math.inf:
        norm = reduce(ops.maximum, [ops.max(size) for size in sizes])
    else:
        powers = [size * size if p == 2 else size**p for size in sizes]
        norm = sum([ops.summation(power) for power in powers]) ** (1 / p)
    scale = ops.minimum(max_norm / (norm + 1e-6), 1.0)
    for param in params:
        gradient = param._grad
        param._grad = gradient * ops.astype(scale, gradient.dtype)
    return norm


def _with_gradient(parameters: Tensor | Iterable[Tensor], function: str) -> list[Tensor]:
    return [param for param in tensors_of(parameters, function) if param._grad is not None]


def _replace(params: list[Tensor], function: Callable[..., Any], *numbers: float) -> None:
    """Change one gradient after another: each old array can go before the next new one comes."""
    for param in params:
        gradient = param.grad.realize_cached_data()
        new = function(gradient, *numbers, out=np.empty_like(gradient))
        param.grad = Tensor.make_const(new)


def _norm(gradients: list[Array], p: float) -> float:
    """The joint norm: one number is read, and a second one where powers overflow."""
    gradients = [gradient for gradient in gradients if gradient.size]
    if not gradients:
        return 0.0
    if p == math.inf:
        return _read(reduce(np.maximum, [np.abs(gradient).max() for gradient in gradients]))
    with np.errstate(over="ignore"):
        norm = _read(sum(_power_sum(gradient, p) for gradient in gradients)) ** (1 / p)
    # powers may be beyond the range of the dtype where the norm is not
    if not math.isfinite(norm) and math.isfinite(largest := _norm(gradients, math.inf)):
        total = _read(sum(_power_sum(gradient / largest, p) for gradient in gradients))
        return largest * total ** (1 / p)
    return norm


def _power_sum(gradient: Array, p: float) -> Array:
    powers = np.vdot(gradient, gradient) if p == 2 else (np.abs(gradient) ** p).sum()
    return powers.astype(np.float64)


def _read(number: Any) -> float:
    return float(number if isinstance(number, np.generic) else to_numpy(number))
