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
from typing import NamedTuple

from ..autograd import Array
from .threads import scratch
from .windows import Lengths, reach, taps

__all__ = ["Block", "Lowering"]

_BUFFER = 2**20  # elements of the lowered matrix that are made at a time: 4 MiB of float32
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
        self.is_last = x.shape[1] == 1 or x.strides[1] == x.dtype.itemsize
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

    def blocks(self, is_shared: bool) -> list[Block]:
        """The output in blocks that fit into the buffer, a number that threads share evenly."""
        axis = 0 if self.is_by_rows else 1
        size = math.prod(self.outputs) * self.columns * self.groups
        multiple = _SHARES if is_shared else 1
        images = _slices(self.image.shape[2], size, multiple)
        rows = [slice(0, self.outputs[axis])]
        if size > _BUFFER:
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
        if not self.is_last and not self.is_turned:
            copy = scratch("image", image, image.shape)
            copy[...] = image
            image = copy
        made = tuple(outputs[1:])
        window = taps(
            image.shape[3:-1], self.kernel[1:], self.stride[1:],
            tuple(before[1:]), self.dilation[1:], made,
        )  # fmt: skip
        of_thread = self._of_thread.__dict__
        key = image.shape, made, window
        if of_thread.get("key") != key:
            of_thread["key"], of_thread["buffer"] = key, self._buffer(image, made)
            of_thread["buffer"][0][...] = 0  # the padding, which stays
        buffer, matrix = of_thread["buffer"]
        every = (slice(None),) * 3
        for tap, written, read in window:
            buffer[(*every, *written, *tap)] = image[(*every, *read)]
        offsets = [tap * self.dilation[0] - before[0] - start for tap in range(self.kernel[0])]
        places = [reach(offset, 1, image.shape[1], outputs[0]) for offset in offsets]
        return matrix, [Rows(tap, *place) for tap, place in enumerate(places) if place[0].stop]

    def _buffer(self, image: Array, outputs: Lengths) -> tuple[Array, Array]:
        """Memory for (G, rows, N, outputs, taps, C), and as a matrix for each row of pixels.

        Where there are few channels, the numbers of a column lie side by side.
        """
        start, taps_and_channels = image.shape[:3], (*self.kernel[1:], image.shape[-1])
        if not self.is_turned:
            buffer = scratch("lowered", image, (*start, *outputs, *taps_and_channels))
            return buffer, buffer.reshape((*start[:2], -1, self.columns))
        buffer = scratch("lowered", image, (*start[:2], *taps_and_channels, start[2], *outputs))
        matrix = buffer.reshape((*start[:2], self.columns, -1)).swapaxes(2, 3)
        count = len(taps_and_channels)
        inner, outer = range(2, 2 + count), range(2 + count, buffer.ndim)
        return buffer.transpose((0, 1, *outer, *inner)), matrix


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
