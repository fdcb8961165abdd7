"""Convolutions in which each channel has kernels of its own: sums of shifted images.

The settings are those of `lowering.correlate` with as many groups as channels.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Array
from .memory_order import channels_last
from .sums import sum_over
from .windows import Lengths, taps

__all__ = ["depthwise", "depthwise_weights"]


def depthwise(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    outputs: Lengths,
) -> Array:
    """y[n, c·m + j, i] = bias + Σ x[n, c, i·stride + k·dilation - before]·weight[c·m + j, 0, k]."""
    if x.ndim == 3:
        settings = (1, *stride), (0, *before), (1, *dilation), (1, *outputs)
        return depthwise(x[:, :, None], weight[:, :, None], bias, *settings)[:, :, 0]
    order = (2, 0, *range(3, x.ndim), 1)  # rows first
    image = channels_last(x).transpose(order)
    channels, kernel = x.shape[1], weight.shape[2:]
    several = weight.shape[0] // channels
    shape = outputs[0], x.shape[0], *outputs[1:], channels, several
    result = np.zeros_like(x, shape=shape, order="C")
    factors = np.moveaxis(weight.reshape((channels, several, *kernel)), (0, 1), (-2, -1))
    is_joined = several == stride[-1] == 1
    repeated: dict[Any, Array] = {}
    for row, source, tap, written, read in _shifts(x, kernel, stride, before, dilation, outputs):
        target = result[(row, slice(None), *written)]
        part = image[(source, slice(None), *read)]
        if is_joined:  # whole rows of pixels in one go
            width = part.shape[-2]
            if (tap, width) not in repeated:
                repeated[tap, width] = np.tile(factors[tap][:, 0], width)
            target = _joined(target[..., 0])
            target += _joined(part) * repeated[tap, width]
        else:
            target += part[..., None] * factors[tap]
    result = result.reshape((*shape[:-2], channels * several))
    if bias is not None:
        result += bias
    return result.transpose((1, x.ndim - 1, 0, *range(2, x.ndim - 1)))


def depthwise_weights(
    x: Array,
    g: Array,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
) -> Array:
    """The adjoint of `depthwise` by its weight."""
    if x.ndim == 3:
        settings = (1, *kernel), (1, *stride), (0, *before), (1, *dilation)
        return depthwise_weights(x[:, :, None], g[:, :, None], *settings)[:, :, 0]
    order = (2, 0, *range(3, x.ndim), 1)
    image, adjoint = [channels_last(each).transpose(order) for each in (x, g)]
    channels, outputs = x.shape[1], g.shape[2:]
    several = g.shape[1] // channels
    result = np.zeros_like(x, shape=(several, *kernel, channels), order="C")
    for row, source, tap, written, read in _shifts(x, kernel, stride, before, dilation, outputs):
        part = image[(source, slice(None), *read)]
        for which in range(several):
            of_row = adjoint[(row, slice(None), *written, slice(which, None, several))]
            products = (part * of_row).reshape((part.shape[0], math.prod(part.shape[1:])))
            total = sum_over(products, (0,)).reshape((-1, channels))
            result[(which, *tap)] += sum_over(total, (0,))[0]
    return np.moveaxis(result, (-1, 0), (0, 1)).reshape((channels * several, 1, *kernel))


def _joined(a: Array) -> Array:
    """The pixels of each row and their channels as one axis."""
    return a.reshape((*a.shape[:-2], a.shape[-2] * a.shape[-1]))


def _shifts(
    x: Array,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    outputs: Lengths,
) -> Iterator[Any]:
    """(row of the output, row of the image, tap, outputs, inputs) of each row and tap."""
    settings = x.shape[3:], kernel[1:], stride[1:], before[1:], dilation[1:], outputs[1:]
    window = taps(*settings)
    for row in range(outputs[0]):
        for tap in range(kernel[0]):
            source = row * stride[0] + tap * dilation[0] - before[0]
            if 0 <= source < x.shape[2]:
                for others, written, read in window:
                    yield row, source, (tap, *others), written, read
