"""Convolutions of arrays as products with lowered images, a block of the output at a time.

Arrays are (N, C, ...) with channels last in memory: as (N, ..., C).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np

from ..autograd import Array
from .depthwise import depthwise, depthwise_weights
from .lowering import Block, Lowering, Rows
from .memory_order import channels_last, images_like
from .tall_products import (
    is_adjoint_stackable,
    is_stackable,
    tall_adjoint_product,
    tall_product,
)
from .threads import in_threads, scratch
from .windows import Lengths

__all__ = ["correlate", "correlate_transposed", "correlate_weights"]


def correlate(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
    outputs: Lengths,
    out: Array | None = None,
) -> Array:
    """y[n, o, i] = bias[o] + Σ x[n, c, i·stride + k·dilation - before]·weight[o, c, k].

    The result may be in the memory of `out`, of any order.
    """
    channels = weight.shape[0]
    ends = [(count - 1) * step + 1 for count, step in zip(outputs, stride, strict=True)]
    is_inside = all(end <= length for end, length in zip(ends, x.shape[2:], strict=True))
    if math.prod(weight.shape[2:]) == groups == 1 and not any(before) and is_inside:
        picked = [slice(0, end, step) for end, step in zip(ends, stride, strict=True)]
        return _pointwise(x[(..., *picked)], weight, bias)
    if weight.shape[1] == 1 and groups > 1:
        return depthwise(x, weight, bias, stride, before, dilation, outputs)
    kernel = weight.shape[2:]
    lowering = Lowering(x, kernel, stride, before, dilation, groups, outputs)
    result = images_like(x, (x.shape[0], channels, *outputs)) if out is None else out
    by_rows = lowering.by_rows(result)
    kernels = _by_taps(weight, lowering)
    shift = None if bias is None else bias.reshape((groups, *[1] * (by_rows.ndim - 2), -1))
    is_shared = _may_share(x, lowering) and is_stackable(*kernels.shape[2:])
    multiply = tall_product if is_shared else np.matmul

    def compute(block: Block) -> None:
        matrix, rows = lowering.lower(block)
        target = lowering.part(by_rows, block)
        if lowering.is_by_rows or out is not None:
            target[...] = _sum_of_rows(multiply, matrix, rows, kernels, target.shape)
        else:  # which is a matrix in memory
            pixels = target.reshape((groups, -1, target.shape[-1]))
            multiply(matrix[:, 0], kernels[0], out=pixels)
        if shift is not None:
            target += shift

    list(_each(compute, lowering, is_shared))
    return result


def _sum_of_rows(
    multiply: Any, matrix: Array, rows: list[Rows], kernels: Array, shape: tuple[int, ...]
) -> Array:
    """The sum of the products with the rows of the kernel, of this shape (G, rows, ..., O)."""
    groups, height, *_, outputs = shape
    pixels = matrix.shape[2]
    total = scratch("sum", matrix, (groups, height * pixels, outputs))
    term = scratch("term", matrix, total.shape)
    rows = sorted(rows, key=lambda each: each.written.start - each.written.stop)
    is_first = bool(rows) and rows[0].written == slice(0, height)
    if not is_first:
        total[...] = 0
    for tap, written, read in rows:
        part = matrix[:, read].reshape((groups, -1, matrix.shape[3]))
        if is_first:
            multiply(part, kernels[tap], out=total)
            is_first = False
        else:
            target = total[:, written.start * pixels : written.stop * pixels]
            target += multiply(part, kernels[tap], out=term[:, : part.shape[1]])
    return total.reshape(shape)


def _by_taps(weight: Array, lowering: Lowering) -> Array:
    """A weight (O, C/G, ...) as (rows of the kernel, G, columns, O/G)."""
    groups, outputs = lowering.groups, weight.shape[0] // lowering.groups
    parts = weight.reshape((groups, outputs, weight.shape[1], *lowering.kernel))
    parts = parts.transpose((3, 0, *range(4, parts.ndim), 2, 1))
    return parts.reshape((lowering.kernel[0], groups, lowering.columns, outputs))


def _may_share(x: Array, lowering: Lowering) -> bool:
    """Whether threads may share the work: with NumPy's arrays, not with those of a GPU."""
    return x.__class__ is np.ndarray and lowering.is_worth_sharing


def _each(function: Callable[[Block], Any], lowering: Lowering, is_shared: bool) -> Iterable[Any]:
    """function(block) for each block."""
    blocks = lowering.blocks(is_shared)
    return in_threads(function, blocks) if is_shared else map(function, blocks)


def _pointwise(x: Array, weight: Array, bias: Array | None) -> Array:
    """A product of the channels of each pixel alone."""
    image = np.moveaxis(channels_last(x), 1, -1)
    kernel = np.swapaxes(weight.reshape(weight.shape[:2]), 0, 1)
    result = np.matmul(image.reshape((-1, x.shape[1])), kernel)
    if bias is not None:
        result += bias
    return np.moveaxis(result.reshape((*image.shape[:-1], weight.shape[0])), -1, 1)


def correlate_transposed(
    g: Array,
    weight: Array,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    groups: int,
    lengths: Lengths,
    out: Array | None = None,
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
        shape = g.shape[0], groups * inputs, *lengths
        result = images_like(g, shape) if out is None else out
        result[...] = 0
    for combination in product(*phases):
        places, chosen, first, apart, counts = zip(*combination, strict=True)
        into = out if is_single else None
        part = correlate(g, flipped[(..., *chosen)], None, one, first, apart, groups, counts, into)
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
    lowering = Lowering(x, kernel, stride, before, dilation, groups, lengths)
    by_rows = lowering.by_rows(g)
    shape = lowering.kernel[0], groups, lowering.columns, outputs
    is_shared = _may_share(x, lowering) and is_adjoint_stackable(inputs, outputs)
    multiply = tall_adjoint_product if is_shared else _adjoint_product

    def compute(block: Block) -> Array:
        matrix, rows = lowering.lower(block)
        pixels = matrix.shape[2]
        part = lowering.part(by_rows, block)
        adjoint = scratch("adjoint", part, part.shape)
        adjoint[...] = part
        adjoint = adjoint.reshape((groups, -1, outputs))
        total = np.zeros_like(x, shape=shape, order="C")
        for tap, written, read in rows:
            of_part = adjoint[:, written.start * pixels : written.stop * pixels]
            of_rows = matrix[:, read].reshape((groups, -1, lowering.columns))
            total[tap] = multiply(of_rows, of_part, inputs)
        return total

    total: Any = sum(_each(compute, lowering, is_shared), np.zeros_like(x, shape=shape, order="C"))
    total = total.reshape((lowering.kernel[0], groups, *lowering.kernel[1:], inputs, outputs))
    total = np.moveaxis(total, (1, -1, -2), (0, 1, 2))
    return total.reshape((groups * outputs, inputs, *kernel))


def _adjoint_product(a: Array, b: Array, width: int) -> Array:
    return np.matmul(np.swapaxes(a, 1, 2), b)
