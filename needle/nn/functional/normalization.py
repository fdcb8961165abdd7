"""Normalisation over the batch, over features, over groups of channels.

Each function computes (x - mean)/√(variance + eps)·weight + bias with the biased variance, without
scale or shift where weight or bias is None. Their shape is (C,), or `normalized_shape`, the lengths
of the last axes.

Raises:
    TypeError: x is not a Tensor of floating-point numbers.
    ValueError: x has another shape.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from ... import init, ops
from ...autograd import Tensor, TensorTuple, assign
from ...ops.functions import in_single_precision
from ...ops.kinds import plain_number
from ...ops.pooling import window_sum
from ..checks import (
    as_shape,
    check_channels,
    check_floats,
    check_groups,
    check_sizes,
    check_trailing,
)

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm",
]  # fmt: skip


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
    """Normalises each channel of x (N, C, ...) over the batch (Ioffe & Szegedy 2015).

    In training with the statistics of the batch, which must hold more than one value per channel;
    from them the running ones (C,), unless None, are updated: running ← (1 - momentum)·running +
    momentum·observed. Otherwise with the running ones.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> print(F.batch_norm(x, None, None, training=True).numpy().round(3))
        [[-1. -1.]
         [ 1.  1.]]
    """
    check_floats("BatchNorm", x)
    if x.dtype.char == "e":  # the decorator's wrapper would cost each call more
        return _batch_norm_in_single_precision(
            x, running_mean, running_var, weight, bias, training, momentum, eps
        )
    lengths = x.shape
    if len(lengths) < 2:
        check_channels("BatchNorm", "(N, C, ...)", x)
    channels, shape = lengths[1], lengths[1:2] + (1,) * (len(lengths) - 2)
    axes = (0, *range(2, len(lengths)))
    scale, shift = _operand(weight, 1, shape, x), _operand(bias, 0, shape, x)
    if training:
        if math.prod(lengths) <= channels:
            raise ValueError(
                f"batch normalisation in training expected more than one value per channel, got "
                f"shape {x.shape}: use a larger batch, or eval()"
            )
        if running_mean is None or running_var is None:
            return ops.Normalize(axes, eps)(x, scale, shift)[0]
        operands = x, scale, shift, running_mean, running_var
        outputs = TensorTuple.make_from_op(_batch_norm(axes, momentum, eps), operands)
        assign(running_mean, outputs.constant(3), is_read_by_gradients=False)
        assign(running_var, outputs.constant(4), is_read_by_gradients=False)
        return outputs[0]
    if running_mean is None or running_var is None:
        raise ValueError("batch normalisation outside training expected running statistics")
    scale = scale * _operand(running_var + plain_number(eps), 1, shape, x) ** -0.5
    return x * scale + (shift - _operand(running_mean, 0, shape, x) * scale)


_batch_norm_in_single_precision = in_single_precision(batch_norm)
_batch_norm = cache(ops.BatchNorm)  # one instance for all calls


@in_single_precision
def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int] | int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises x (..., *normalized_shape) over its last axes (Ba et al. 2016).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> print(F.layer_norm(x, 2).numpy().round(3))
        [[-1.  1.]
         [-1.  1.]]
    """
    shape = as_shape("LayerNorm", normalized_shape)
    check_trailing("LayerNorm", x, shape)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return ops.normalize(x, _operand(weight, 1, shape, x), _operand(bias, 0, shape, x), axes, eps)


@in_single_precision
def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises samples of x (N, C, ...) over groups of C/num_groups channels (Wu & He 2018).

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> print(F.group_norm(x, 1).numpy().round(3))
        [[-1.  1.]
         [-1.  1.]]
    """
    check_channels("GroupNorm", "(N, C, ...)", x)
    check_floats("GroupNorm", x)
    samples, channels = x.shape[:2]
    check_groups(num_groups, channels)
    shape = (num_groups, channels // num_groups, 1)
    scale, shift = _operand(weight, 1, shape, x), _operand(bias, 0, shape, x)
    grouped = x.reshape((samples, *shape[:2], math.prod(x.shape[2:])))
    return ops.normalize(grouped, scale, shift, (2, 3), eps).reshape(x.shape)


@in_single_precision
def rms_norm(
    x: Tensor,
    normalized_shape: Sequence[int] | int,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x/√(m(x²) + eps)·weight, m(·) the mean over the last axes (Zhang & Sennrich 2019).

    `eps` is by default the machine epsilon of x's dtype.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> print(F.rms_norm(x, 2).numpy().round(3))
        [[0.632 1.265]
         [0.632 1.265]]
    """
    shape = as_shape("RMSNorm", normalized_shape)
    check_trailing("RMSNorm", x, shape)
    axes = tuple(range(-len(shape), 0))
    eps = float(np.finfo(x.dtype).eps) if eps is None else plain_number(eps)
    y = x * ((x**2).mean(axes, keepdims=True) + eps) ** -0.5
    return y if weight is None else y * weight


@in_single_precision
def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample of x (N, C, ...) (Ulyanov et al. 2016).

    With its own statistics, from which the running ones (C,), unless None, are updated: running ←
    (1 - momentum)·running + momentum·observed, observed the mean over the samples of means and
    unbiased variances. Without `use_input_stats` with the running ones.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> x = ndl.Tensor([[[1.0, 3.0], [2.0, 6.0]]])
        >>> print(F.instance_norm(x).numpy().round(3))
        [[[-1.  1.]
          [-1.  1.]]]
    """
    check_channels("InstanceNorm", "(N, C, ...)", x, range(3, 65))
    check_floats("InstanceNorm", x)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ValueError(
            f"instance normalisation expected more than one element per channel, got {x.shape}"
        )
    axes = tuple(range(2, x.ndim))
    if running_mean is not None and running_var is not None:
        constant = x.detach()
        observed = {
            running_mean: constant.mean(axes).mean(0),
            running_var: constant.var(axes, ddof=1).mean(0),
        }
        momentum = plain_number(momentum)
        for running, value in observed.items():
            moved = running.detach() * (1 - momentum) + value * momentum
            assign(running, moved, is_read_by_gradients=False)
    shape = (x.shape[1], *[1] * len(axes))
    scale, shift = _operand(weight, 1, shape, x), _operand(bias, 0, shape, x)
    return ops.normalize(x, scale, shift, axes, eps)


@in_single_precision
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x/(k + alpha·m(x²))^beta, m(·) over `size` neighbouring channels (Krizhevsky et al. 2012).

    x is (N, C, ...); beyond the first and the last channel there are zeros.

    Example:
        >>> import needle as ndl
        >>> from needle.nn import functional as F
        >>> print(F.local_response_norm(ndl.Tensor([[[1.0], [2.0]]]), 2, alpha=2.0, beta=1.0))
        [[[0.5       ]
          [0.33333333]]]
    """
    check_channels("LocalResponseNorm", "(N, C, ...)", x, range(3, 65))
    check_floats("LocalResponseNorm", x)
    check_sizes("LocalResponseNorm", 1, size=size)
    if not x.size:
        return x * 1
    lengths = x.shape[1], math.prod(x.shape[2:])
    ends = (size // 2, (size - 1) // 2), (0, 0)
    op = window_sum(lengths, (size, 1), (1, 1), ends, (1, 1))
    sums = op((x * x).reshape((x.shape[0], 1, *lengths))).reshape(x.shape)
    return x / (sums * (alpha / size) + k) ** beta


def _operand(given: Tensor | None, default: float, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """A scale, shift or statistic in `shape`; a constant like x where it is None."""
    if given is None:
        return init.constant(*shape, c=default, device=x.device, dtype=x.dtype)
    return given if given.shape == shape else given.reshape(shape)
