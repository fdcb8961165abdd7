"""Normalisation over the batch, over features, over groups of channels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import init, ops
from ...autograd import Tensor, assign
from ..checks import as_shape, check_channels, check_floats, check_groups, check_trailing

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean)/√(variance + eps)·weight + bias for each channel (Ioffe & Szegedy 2015).

    In training, mean and (biased) variance are those of the batch, and the running ones, unless
    None, move towards them: running ← (1 - momentum)·running + momentum·observed. Otherwise the
    running ones are used.

    Args:
        x: (N, C, ...).
        running_mean, running_var, weight, bias: (C,); no scale or shift where None.

    Raises:
        TypeError: x is not a Tensor of floating-point numbers.
        ValueError: x has no channels, or one value per channel in training; or running statistics
            are missing outside training.
    """
    check_channels("BatchNorm", "(N, C, ...)", x)
    check_floats("BatchNorm", x)
    channels = x.shape[1]
    axes = (0, *range(2, x.ndim))
    where: dict[str, Any] = {"device": x.device, "dtype": x.dtype}
    scale = _along_channels(x, init.ones(channels, **where) if weight is None else weight)
    shift = _along_channels(x, init.zeros(channels, **where) if bias is None else bias)
    if training:
        if x.size <= channels:
            raise ValueError(
                f"batch normalisation in training expected more than one value a channel, got "
                f"shape {x.shape}: use a larger batch, or eval()"
            )
        if running_mean is None or running_var is None:
            return ops.Normalize(axes, eps)(x, scale, shift)[0]
        op = ops.BatchNorm(axes, momentum, eps)
        outputs = op(x, scale, shift, running_mean, running_var)
        assign(running_mean, outputs[3])
        assign(running_var, outputs[4])
        return outputs[0]
    if running_mean is None or running_var is None:
        raise ValueError("batch normalisation outside training expected running statistics")
    scale = scale * _along_channels(x, running_var + eps) ** -0.5
    return x * scale + (shift - _along_channels(x, running_mean) * scale)


def _along_channels(x: Tensor, values: Tensor) -> Tensor:
    """`values` (C,) in a shape that broadcasts along axis 1 of x."""
    return values if x.ndim == 2 else values.reshape((-1,) + (1,) * (x.ndim - 2))


def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int] | int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean)/√(variance + eps)·weight + bias over the last axes (Ba et al. 2016).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the lengths of the axes that are normalised together.
        weight, bias: of that shape; no scale or shift where None.

    Raises:
        TypeError: x holds no floating-point numbers.
        ValueError: x ends in another shape.
    """
    shape = as_shape("LayerNorm", normalized_shape)
    check_trailing("LayerNorm", x, shape)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    where: dict[str, Any] = {"device": x.device, "dtype": x.dtype}
    scale = init.ones(*shape, **where) if weight is None else weight
    shift = init.zeros(*shape, **where) if bias is None else bias
    return ops.normalize(x, scale, shift, axes, eps)


def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Each sample's channels in groups, each normalised over all its values (Wu & He 2018).

    Args:
        x: (N, C, ...).
        num_groups: a divisor of C.
        weight, bias: (C,); no scale or shift where None.

    Raises:
        TypeError: x holds no floating-point numbers.
        ValueError: x has no channels, or they do not split into `num_groups`.
    """
    check_channels("GroupNorm", "(N, C, ...)", x)
    check_floats("GroupNorm", x)
    samples, channels = x.shape[:2]
    check_groups(num_groups, channels)
    shape = (num_groups, channels // num_groups, 1)
    where: dict[str, Any] = {"device": x.device, "dtype": x.dtype}
    scale = init.ones(*shape, **where) if weight is None else weight.reshape(shape)
    shift = init.zeros(*shape, **where) if bias is None else bias.reshape(shape)
    grouped = x.reshape((samples, *shape[:2], math.prod(x.shape[2:])))
    return ops.normalize(grouped, scale, shift, (2, 3), eps).reshape(x.shape)


def rms_norm(
    x: Tensor,
    normalized_shape: Sequence[int] | int,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x/√(m(x²) + eps)·weight, m(·) the mean over the last axes (Zhang & Sennrich 2019).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the lengths of the axes that are normalised together.
        weight: of that shape; no scale where None.
        eps: by default the spacing of x's dtype at 1.

    Raises:
        TypeError: x holds no floating-point numbers.
        ValueError: x ends in another shape.
    """
    shape = as_shape("RMSNorm", normalized_shape)
    check_trailing("RMSNorm", x, shape)
    axes = tuple(range(-len(shape), 0))
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    y = x * ((x**2).mean(axes, keepdims=True) + eps) ** -0.5
    return y if weight is None else y * weight
