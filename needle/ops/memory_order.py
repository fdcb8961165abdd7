"""The order in memory of images (N, C, ...): with their channels last."""

import numpy as np

from ..autograd import Array

__all__ = ["channels_last", "inverse", "memory_order"]


def memory_order(ndim: int, is_rolled: bool) -> tuple[int, ...]:
    """The order of the axes in memory, the channels last: (H, N, W, C) or (N, H, W, C)."""
    return (2, 0, *range(3, ndim), 1) if is_rolled else (0, *range(2, ndim), 1)


def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def channels_last(a: Array, order: tuple[int, ...]) -> Array:
    """`a` with its axes in this order, copied unless its channels lie side by side."""
    a = a.transpose(order)
    if a.shape[-1] > 1 and a.strides[-1] != a.dtype.itemsize:
        a = np.copy(a, order="C")
    return a
