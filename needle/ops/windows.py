"""Windows that slide over the spatial axes of images (N, C, ...): where each reads.

Along an axis, output i reads at i·stride + k·dilation - before for each tap k of the kernel; what
lies outside of the image is padding.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .kinds import integers

__all__ = [
    "Lengths",
    "Padding",
    "Tap",
    "each_axis",
    "each_padding",
    "output_lengths",
    "reach",
    "taps",
]

Lengths = tuple[int, ...]  # a number for each spatial axis
Padding = tuple[tuple[int, int], ...]  # (before, after) for each spatial axis
Tap = tuple[Lengths, tuple[slice, ...], tuple[slice, ...]]


def each_axis(setting: Any, ndim: int, name: str, least: int = 1) -> Lengths:
    """A setting as a tuple: a whole number for all `ndim` axes, or one for each."""
    given = integers(setting, name)
    if len(given) == 1:
        given *= ndim
    if len(given) != ndim:
        raise ValueError(f"{name}: expected a number or {ndim} of them, got {setting}")
    for each in given:
        if isinstance(each, bool) or not isinstance(each, int | np.integer):
            raise TypeError(f"{name}: expected whole numbers, got {setting!r}")
        if each < least:
            raise ValueError(f"{name}: expected numbers of at least {least}, got {setting}")
    return tuple(map(int, given))


def each_padding(setting: Any, ndim: int) -> Padding:
    """`padding` as pairs: a whole number for all ends, one for each axis, or a pair for each."""
    if isinstance(setting, Sequence) and setting and isinstance(setting[0], Sequence):
        pairs = [each_axis(tuple(pair), 2, "padding", 0) for pair in setting]
        if len(pairs) != ndim:
            raise ValueError(f"padding: expected {ndim} pairs, got {setting}")
        return tuple([(before, after) for before, after in pairs])
    return tuple([(each, each) for each in each_axis(setting, ndim, "padding", 0)])


def output_lengths(
    lengths: Lengths,
    kernel: Lengths,
    stride: Lengths,
    padding: Padding,
    dilation: Lengths,
    ceil: bool = False,
) -> Lengths:
    """How many windows there are along each axis.

    With `ceil` the last one may reach beyond the end, if it begins inside or in the padding before.
    """
    found = []
    for length, taps, step, (before, after), apart in zip(
        lengths, kernel, stride, padding, dilation, strict=True
    ):
        room = before + length + after - (apart * (taps - 1) + 1)
        count = (room + (step - 1 if ceil else 0)) // step + 1
        if ceil and (count - 1) * step >= length + before:
            count -= 1
        found.append(count)
    if min(found, default=1) < 1:
        padded = tuple(b + length + a for length, (b, a) in zip(lengths, padding, strict=True))
        reached = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        spread = f", which reaches over {reached}" if reached != kernel else ""
        raise ValueError(
            f"a kernel of {kernel}{spread} does not fit into an image of {padded}"
            f"{', its padding included' if padded != lengths else ''}: use a smaller kernel or "
            "more padding"
        )
    return tuple(found)


def reach(offset: int, stride: int, length: int, outputs: int) -> tuple[slice, slice]:
    """Which of the outputs read inside an axis at i·stride + offset, and where they read."""
    first = max(0, -(offset // stride))
    last = min(outputs, (length - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


@lru_cache(maxsize=256)
def taps(
    lengths: Lengths,
    kernel: Lengths,
    stride: Lengths,
    before: Lengths,
    dilation: Lengths,
    outputs: Lengths,
) -> tuple[Tap, ...]:
    """(tap, outputs, inputs) for each tap of the kernel that reads inside of the image."""
    found = []
    for tap in itertools.product(*map(range, kernel)):
        pairs = [
            reach(k * apart - first, step, length, count)
            for k, apart, first, step, length, count in zip(
                tap, dilation, before, stride, lengths, outputs, strict=True
            )
        ]
        if all(written.stop > written.start for written, _ in pairs):
            written, read = zip(*pairs, strict=True) if pairs else ((), ())
            found.append((tap, tuple(written), tuple(read)))
    return tuple(found)
