"""The order in memory of images (N, C, ...): as (N, ..., C), with their channels last."""

import numpy as np

from ..autograd import Array

__all__ = ["channels_last", "images_like"]


def images_like(a: Array, shape: tuple[int, ...]) -> Array:
    """New memory for images (N, C, ...) of a's dtype."""
    count, channels, *lengths = shape
    memory = np.empty_like(a, shape=(count, *lengths, channels), order="C")
    return memory.transpose((0, memory.ndim - 1, *range(1, memory.ndim - 1)))


def channels_last(a: Array) -> Array:
    """Images, copied unless their channels lie side by side."""
    if a.shape[1] > 1 and a.strides[1] != a.dtype.itemsize:
        copy = images_like(a, a.shape)
        copy[...] = a
        return copy
    return a
