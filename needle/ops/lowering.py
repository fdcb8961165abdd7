"""Lowered images: matrices with what the windows of a convolution read in their rows.

The whole matrix would have each pixel as often as the kernel has taps. Images are lowered by rows
instead: along all axes but the first, so that each pixel is copied once for each column of the
kernel. A row of the kernel then takes the rows of the matrix from some row of pixels on. Where
strides leave little to share, where there are few channels, and along a single axis, images are
lowered whole: as the only row of images with one axis more.
"""

import math
import threading
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..autograd import Array
from .threads import scratch
from .windows import Lengths, reach

__all__ = ["Block", "Lowering"]

_BUFFER = 2**19  # elements of the lowered matrix that are made at a time: 2 MiB of float32
_LEAST_SHARED = 3 * _BUFFER  # elements of the lowered matrix that threads share
_SHARES = 8  # blocks, or a multiple, where threads share them
_COLUMNS = 32  # a product of fewer wastes time
_CHANNELS = 16  # fewer are not worth copying side by side


class Block(NamedTuple):
    """A part of the output that is computed at a time."""

    rows: slice
    images: slice


class Rows(NamedTuple):
    """The rows of pixels of a block of the output that a row of the kernel reads, and where."""

    tap: int
    written: slice
    read: slice


class Lowering:
    """How the windows of images x (N, C, ...) that have these settings are lowered.

    In the attributes the first axis is that of the rows.
    """

    def __init__(
        self,
        x: Array,
        kernel: Lengths,
        stride: Lengths,
        before: Lengths,
        dilation: Lengths,
        groups: int,
        outputs: Lengths,
    ) -> None:
        channels = x.shape[1] // groups
        self.groups = groups
        self.is_by_rows = _is_by_rows(kernel, stride, math.prod(kernel[1:]) * channels)
        self.is_turned = not self.is_by_rows and channels < _CHANNELS
        if not self.is_by_rows:
            kernel, stride, before = (1, *kernel), (1, *stride), (0, *before)
            dilation, outputs = (1, *dilation), (1, *outputs)
        self.kernel, self.stride, self.before = kernel, stride, before
        self.dilation, self.outputs = dilation, outputs
        self.columns = channels * math.prod(kernel[1:])
        self.image = self.by_rows(x)
        self._of_thread = threading.local()

    def by_rows(self, a: Array) -> Array:
        """Images (N, C, ...) as (G, rows, N, ..., C/G)."""
        a = a.reshape((len(a), self.groups, a.shape[1] // self.groups, *a.shape[2:]))
        if self.is_by_rows:
            return a.transpose((1, 3, 0, *range(4, a.ndim), 2))
        return a.transpose((1, 0, *range(3, a.ndim), 2))[:, None]

    def part(self, a: Array, block: Block) -> Array:
        """What a block has of images `by_rows`."""
        if self.is_by_rows:
            return a[:, block.rows, block.images]
        return a[:, :, block.images, block.rows]

    @property
    def is_worth_sharing(self) -> bool:
        """Whether there is enough work for threads, which take time to start and to meet."""
        size = math.prod(self.outputs) * self.columns * self.groups
        return size * self.image.shape[2] >= _LEAST_SHARED

    def blocks(self, is_shared: bool) -> list[Block]:
        """The output in blocks that fit into the buffer, a number that threads share evenly."""
        axis = 0 if self.is_by_rows else 1
        size = math.prod(self.outputs) * self.columns * self.groups
        multiple = _SHARES if is_shared else 1
        images = _slices(self.image.shape[2], size, multiple)
        rows = [slice(0, self.outputs[axis])]
        if size > _BUFFER:  # of a single image
            multiple = -(-multiple // max(1, len(images)))
            rows = _slices(self.outputs[axis], size // self.outputs[axis], multiple)
        return [Block(*each) for each in product(rows, images)]

    def lower(self, block: Block) -> tuple[Array, list[Rows]]:
        """The matrix (G, rows of pixels, pixels, columns) of a block, and who reads which rows."""
        axis = 0 if self.is_by_rows else 1
        before, outputs = list(self.before), list(self.outputs)
        before[axis] -= block.rows.start * self.stride[axis]
        outputs[axis] = block.rows.stop - block.rows.start
        start = max(0, -before[0])
        stop = outputs[0] + (self.kernel[0] - 1) * self.dilation[0] - before[0]
        image = self.image[:, start:stop, block.images]
        of_thread = self._of_thread.__dict__
        key = image.shape, tuple(before[1:]), tuple(outputs[1:])
        if of_thread.get("key") != key:
            of_thread["memory"], of_thread["key"] = self._memory(image, *key[1:]), key
        inside, read, copies, matrix = of_thread["memory"]
        inside[...] = image[(..., *read, slice(None))]
        for target, windows in copies:
            target[...] = windows
        offsets = [tap * self.dilation[0] - before[0] - start for tap in range(self.kernel[0])]
        places = [reach(offset, 1, image.shape[1], outputs[0]) for offset in offsets]
        return matrix, [Rows(tap, *place) for tap, place in enumerate(places) if place[0].stop]

    def _memory(self, image: Array, before: Lengths, outputs: Lengths) -> tuple[Any, ...]:
        """Where to put images, what of them, what to copy then, and the matrix that is made."""
        kernel, stride, dilation = self.kernel[1:], self.stride[1:], self.dilation[1:]
        start, channels = image.shape[:3], image.shape[-1]
        settings = zip(outputs, stride, kernel, dilation, strict=True)
        lengths = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in settings]
        # with few channels, it is the numbers of a column that lie side by side
        if self.is_turned:
            padded = scratch("padded", image, (*start[:2], channels, start[2], *lengths))
            padded = padded.transpose((0, 1, 3, *range(4, padded.ndim), 2))
            buffer = scratch("lowered", image, (*start[:2], *kernel, channels, start[2], *outputs))
            matrix = buffer.reshape((*start[:2], self.columns, -1)).swapaxes(2, 3)
            inner = range(2, 3 + len(kernel))
            buffer = buffer.transpose((0, 1, *range(inner.stop, buffer.ndim), *inner))
        else:
            padded = scratch("padded", image, (*start, *lengths, channels))
            buffer = scratch("lowered", image, (*start, *outputs, *kernel, channels))
            matrix = buffer.reshape((*start[:2], -1, self.columns))
        padded[...] = 0
        read, written = [], []
        for first, length, available in zip(before, lengths, image.shape[3:-1], strict=True):
            source, target = max(0, -first), max(0, first)
            count = max(0, min(available - source, length - target))
            read.append(slice(source, source + count))
            written.append(slice(target, target + count))
        copies = _copies(buffer, padded, stride, dilation, outputs)
        return padded[(..., *written, slice(None))], read, copies, matrix


def _copies(
    buffer: Array, padded: Array, stride: Lengths, dilation: Lengths, outputs: Lengths
) -> list[tuple[Array, Array]]:
    """What to copy to have the windows of images (G, rows, N, ..., C) in the buffer.

    All windows at once, where the taps of a row lie side by side. Arrays of other libraries have no
    such views: one tap at a time.
    """
    ndim = len(outputs)
    if padded.__class__ is np.ndarray:
        outer, inner, last = padded.strides[:3], padded.strides[3:-1], padded.strides[-1]
        steps = [a * b for apart in (stride, dilation) for a, b in zip(apart, inner, strict=True)]
        return [(buffer, as_strided(padded, buffer.shape, (*outer, *steps, last)))]
    copies = []
    for tap in np.ndindex(buffer.shape[3 + ndim : -1]):
        starts = [k * d for k, d in zip(tap, dilation, strict=True)]
        read = [
            slice(start, start + (count - 1) * step + 1, step)
            for start, count, step in zip(starts, outputs, stride, strict=True)
        ]
        every = [slice(None)] * (3 + ndim)
        copies.append((buffer[(*every, *tap)], padded[(..., *read, slice(None))]))
    return copies


def _is_by_rows(kernel: Lengths, stride: Lengths, columns: int) -> bool:
    return len(kernel) > 1 < kernel[0] and stride[0] == 1 and columns >= _COLUMNS


def _slices(count: int, size: int, multiple: int) -> list[slice]:
    """Slices of `count` things of some size each that fit into the buffer together.

    One, or a multiple of a number of them.
    """
    number = -(-count * size // _BUFFER)
    if number > 1:
        number = min(count, -(-number // multiple) * multiple)
    step = max(1, -(-count // max(1, number)))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
