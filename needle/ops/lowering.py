"""Convolutions of arrays as matrix products with lowered images.

An image is lowered where the pixels that a window reads lie side by side in a row of a matrix, so
that the convolution is the product of that matrix and the kernel. The whole matrix would have each
pixel as often as the kernel has taps. Here it is made for one row of the output at a time, in a
buffer that stays in the processor's cache: the buffer has a slot for each row of the kernel, and
from one row of the output to the next only the slots change whose row of the image the kernel has
left behind. The matrix of the kernel has its rows in the order of the slots. Each pixel is copied
once for each column of the kernel: the saving of Cho & Brand 2017 ("MEC"), in less memory.

Arrays are (N, C, ...) with channels last in memory: as (H, N, W, C), so that a row of the output is
one product over all images. Small images, and images of one axis, are lowered as a whole.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..autograd import Array
from .depthwise import depthwise, depthwise_weights
from .memory_order import channels_last, inverse, memory_order
from .windows import Lengths, Tap, taps

__all__ = ["correlate", "correlate_transposed", "correlate_weights"]

_BUFFER = 2**19  # elements of the lowered matrix that are made at a time: 2 MiB of float32
_ROWS = 128  # a product of fewer rows wastes time

Lowered = Iterator[tuple[Any, int, Array]]  # where in the output, the slot of tap 0, (G, rows, K)


def correlate(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
    outputs: Lengths,
) -> Array:
    """y[n, o, i] = bias[o] + Σ x[n, c, i·stride + k·dilation - before]·weight[o, c, k]."""
    channels = weight.shape[0]
    ends = [(count - 1) * step + 1 for count, step in zip(outputs, stride, strict=True)]
    is_inside = all(end <= length for end, length in zip(ends, x.shape[2:], strict=True))
    if math.prod(weight.shape[2:]) == groups == 1 and not any(before) and is_inside:
        picked = [slice(0, end, step) for end, step in zip(ends, stride, strict=True)]
        return _pointwise(x[(..., *picked)], weight, bias)
    if weight.shape[1] == 1 and groups > 1:
        return depthwise(x, weight, bias, stride, before, dilation, outputs)
    is_rolled = _is_rolled(x, channels, weight.shape[2:], outputs)
    order = memory_order(x.ndim, is_rolled)
    shape = x.shape[0], channels, *outputs
    result = np.empty_like(x, shape=[shape[axis] for axis in order], order="C")
    matrices = weight.reshape((groups, channels // groups, *weight.shape[1:]))
    matrices = np.moveaxis(matrices, (1, 2), (-1, -2))  # (G, ..., C, O)
    kernels: dict[int, Array] = {}
    for place, start, matrix in _lowered(
        x, is_rolled, weight.shape[2:], stride, before, dilation, groups, outputs
    ):
        if start not in kernels:
            turned = np.roll(matrices, start, axis=1)
            kernels[start] = turned.reshape((groups, -1, turned.shape[-1]))
        target = result[place]
        if groups == 1:
            np.matmul(matrix[0], kernels[start][0], out=target.reshape(-1, channels))
        else:
            found = np.swapaxes(np.matmul(matrix, kernels[start]), 0, 1)
            target[...] = found.reshape(target.shape)
        if bias is not None:
            target += bias
    return result.transpose(inverse(order))


def _pointwise(x: Array, weight: Array, bias: Array | None) -> Array:
    """A product of the channels of each pixel alone."""
    order = memory_order(x.ndim, is_rolled=x.strides[2] > x.strides[0])
    image = channels_last(x, order)
    kernel = np.swapaxes(weight.reshape(weight.shape[:2]), 0, 1)
    result = np.matmul(image.reshape((-1, x.shape[1])), kernel)
    if bias is not None:
        result += bias
    return result.reshape((*image.shape[:-1], weight.shape[0])).transpose(inverse(order))


def correlate_transposed(
    g: Array,
    weight: Array,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
    lengths: Lengths,
) -> Array:
    """The adjoint of `correlate` by x: Σ g[n, o, i]·weight[o, c, k] at each pixel that was read.

    Pixels that are r more than a multiple of the stride are read by some taps of the kernel alone:
    these are a kernel of their own, that moves over g by steps of 1.
    """
    outputs, inputs, *kernel = weight.shape
    flipped = weight.reshape((groups, outputs // groups, *weight.shape[1:])).swapaxes(1, 2)
    flipped = flipped.reshape((groups * inputs, outputs // groups, *kernel))
    flipped = np.flip(flipped, tuple(range(2, flipped.ndim)))
    phases = [
        list(_phases(*axis)) for axis in zip(kernel, stride, before, dilation, lengths, strict=True)
    ]
    one = (1,) * len(kernel)
    is_single = math.prod(stride) == 1 and all(lengths)  # phase, with all pixels
    if not is_single:
        order = memory_order(g.ndim, is_rolled=True)
        shape = (g.shape[0], groups * inputs, *lengths)
        result = np.zeros_like(g, shape=[shape[axis] for axis in order], order="C")
        result = result.transpose(inverse(order))
    for combination in product(*phases):
        places, chosen, first, apart, counts = zip(*combination, strict=True)
        part = correlate(g, flipped[(..., *chosen)], None, one, first, apart, groups, counts)
        if is_single:
            return part
        result[(..., *places)] = part
    return result


def _phases(kernel: int, stride: int, before: int, dilation: int, length: int) -> Iterator[Any]:
    """The pixels that some taps read: where, by which taps of the flipped kernel, from where in g.

    Tap k reads pixel p as output (p + before - k·dilation)/stride, if that is a whole number.
    """
    common = math.gcd(stride, dilation)
    for rest in range(min(stride, length)):
        read_by = [k for k in range(kernel) if (rest + before - k * dilation) % stride == 0]
        if read_by:
            first = (read_by[-1] * dilation - rest - before) // stride
            chosen = slice(kernel - 1 - read_by[-1], kernel - read_by[0], stride // common)
            count = (length - rest - 1) // stride + 1
            yield slice(rest, None, stride), chosen, first, dilation // common, count


def correlate_weights(
    x: Array,
    g: Array,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
) -> Array:
    """The adjoint of `correlate` by w: Σ x[n, c, i·stride + k·dilation - before]·g[n, o, i]."""
    outputs, inputs = g.shape[1] // groups, x.shape[1] // groups
    lengths = g.shape[2:]
    if inputs == 1 and groups > 1:
        return depthwise_weights(x, g, kernel, stride, before, dilation)
    is_rolled = _is_rolled(x, g.shape[1], kernel, lengths)
    image = channels_last(g, memory_order(g.ndim, is_rolled))
    turned: dict[int, Array] = {}
    for place, start, matrix in _lowered(
        x, is_rolled, kernel, stride, before, dilation, groups, lengths
    ):
        rows = np.swapaxes(image[place].reshape((-1, groups, outputs)), 0, 1)
        part = np.matmul(np.swapaxes(matrix, 1, 2), rows)
        turned[start] = turned[start] + part if start in turned else part
    total = np.zeros_like(x, shape=(groups, *kernel, inputs, outputs), order="C")
    for start, part in turned.items():
        total += np.roll(part.reshape(total.shape), -start, axis=1)
    ndim = len(kernel)
    total = total.transpose((0, ndim + 2, ndim + 1, *range(1, ndim + 1)))
    return total.reshape((groups * outputs, inputs, *kernel))


# --- lowering


def _is_rolled(x: Array, channels: int, kernel: Lengths, outputs: Lengths) -> bool:
    """Whether to lower a row of the output at a time, rather than whole images.

    Not for kernels larger than the images, since there is a copy of it for each of its rows.
    """
    size = math.prod(kernel)
    rows = x.shape[0] * math.prod(outputs[1:])
    is_large = rows >= _ROWS or math.prod(outputs) * size * x.shape[1] > _BUFFER
    return len(kernel) > 1 < kernel[0] and is_large and rows * outputs[0] >= channels * size


def _lowered(
    x: Array,
    is_rolled: bool,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
    outputs: Lengths,
) -> Lowered:
    image = channels_last(x, memory_order(x.ndim, is_rolled))
    image = np.moveaxis(image.reshape((*image.shape[:-1], groups, x.shape[1] // groups)), -2, 0)
    lower = _rolled if is_rolled else _whole
    return lower(image, kernel, stride, before, dilation, outputs)


def _rolled(
    image: Array,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    outputs: Lengths,
) -> Lowered:
    """Of image (G, H, N, ..., C) what each row of the output reads."""
    groups, height, samples, *lengths, channels = image.shape
    settings = lengths, kernel[1:], stride[1:], before[1:], dilation[1:], outputs[1:]
    window = taps(*map(tuple, settings))
    slots, step, apart = kernel[0], stride[0], dilation[0]
    common = math.gcd(step, apart)
    moved, interleaved = step // common, apart // common  # rows of other remainders share nothing
    inner = math.prod(kernel) * channels
    buffer = None
    for images in _blocks(samples, groups * math.prod(outputs[1:]) * inner):
        count = images.stop - images.start
        shape = groups, count, *outputs[1:], *kernel, channels
        if buffer is None or buffer.shape != shape:  # else what is padding stays 0
            buffer = np.zeros_like(image, shape=shape)
        matrix = buffer.reshape((groups, -1, inner))
        every: tuple[Any, ...] = (slice(None),) * (2 + len(lengths))
        for phase in range(interleaved):
            for turn, row in enumerate(range(phase, outputs[0], interleaved)):
                start = turn * moved % slots
                for tap in range(max(0, slots - moved) if turn else 0, slots):
                    slot = (start + tap) % slots
                    source = row * step + tap * apart - before[0]
                    if 0 <= source < height:
                        _fill(buffer, image[:, source, images], window, (slot,))
                    else:
                        buffer[(*every, slot)] = 0
                yield (row, images), start, matrix


def _whole(
    image: Array,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    outputs: Lengths,
) -> Lowered:
    """Of image (G, N, ..., C) what whole images of the output read, or parts of long ones."""
    groups, samples, *lengths, channels = image.shape
    inner = math.prod(kernel) * channels
    row = groups * math.prod(outputs[1:]) * inner
    buffer = None
    for images in _blocks(samples, row * outputs[0]):
        count = images.stop - images.start
        for rows in _blocks(outputs[0], row * count):
            first = before[0] - rows.start * stride[0]
            made = rows.stop - rows.start, *outputs[1:]
            window = taps(tuple(lengths), kernel, stride, (first, *before[1:]), dilation, made)
            shape = groups, count, *made, *kernel, channels
            if buffer is None or buffer.shape != shape:
                buffer = np.zeros_like(image, shape=shape)
            else:
                buffer[...] = 0
            _fill(buffer, image[:, images], window, ())
            yield (images, rows), 0, buffer.reshape((groups, -1, inner))


def _fill(buffer: Array, image: Array, window: tuple[Tap, ...], slot: tuple[int, ...]) -> None:
    every = (slice(None), slice(None))
    for tap, written, read in window:
        buffer[(*every, *written, *slot, *tap)] = image[(*every, *read)]


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` things of some size each that fit into the buffer together."""
    step = max(1, _BUFFER // max(1, size))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
