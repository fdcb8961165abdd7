"""Layout: where the elements of a node lie in the memory of another node, its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..program import Node, getitem
from .addresses import address_of

__all__ = ["Layout", "Place", "axes_through", "contiguous", "dense", "view", "zeros"]


@dataclass(frozen=True)
class Layout:
    """Elements of `owner`'s memory: the first at `offset`, others by `strides`, both in bytes."""

    owner: Node
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill their memory, in any order of the axes."""
        return self.strides == _ordered(self.shape, self.strides, self.dtype)

    @property
    def is_contiguous(self) -> bool:
        return self.strides == _packed(self.shape, self.dtype.itemsize)


@dataclass(frozen=True)
class Place:
    """A layout in a piece of memory: `home` is a leaf, a Buffer or an array."""

    home: Any
    layout: Layout


def dense(node: Node, like: tuple[int, ...]) -> Layout:
    """A layout without gaps, whose axes stand in memory in the order of other strides."""
    assert node.shape is not None
    return Layout(node, 0, node.shape, _ordered(node.shape, like, node.dtype), node.dtype)


def _ordered(shape: tuple[int, ...], like: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
    axes = sorted(range(len(shape)), key=lambda axis: -like[axis])
    packed = _packed(tuple(shape[axis] for axis in axes), dtype.itemsize)
    return tuple(packed[axes.index(axis)] for axis in range(len(shape)))


def contiguous(node: Node, shape: tuple[int, ...] | None = None) -> Layout:
    """The layout of a node that owns memory in C's order."""
    shape = node.shape if shape is None else shape
    assert shape is not None
    return Layout(node, 0, shape, _packed(shape, node.dtype.itemsize), node.dtype)


def _packed(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    strides = []
    for length in reversed(shape):
        strides.append(0 if length == 1 else size)
        size *= length
    return tuple(reversed(strides))


def zeros(layout: Layout) -> Any:
    """An array of zeros that lies in memory as this layout does."""
    if layout.is_dense:
        memory = np.zeros(layout.shape, layout.dtype).reshape(-1)
        return np.ndarray(layout.shape, layout.dtype, memory, 0, layout.strides)
    return np.zeros(layout.shape, layout.dtype)


def view(node: Node, base: Layout) -> Layout | None:
    """The layout of a view of `base`, or None for a reshape that must copy."""
    dummy = as_strided(np.empty((), base.dtype), base.shape, base.strides)
    try:
        if node.function is np.reshape:
            array = _reshaped(dummy, node.operands[1])
        elif node.function is getitem:
            index = node.operands[1] if isinstance(node.operands[1], tuple) else node.operands[1:]
            array = dummy[index if Ellipsis in index else (*index, ...)]  # an array, no scalar
        else:
            array = node.function(dummy, *node.operands[1:])
    except (ValueError, AttributeError):
        return None
    offset = base.offset + address_of(array) - address_of(dummy)
    strides = [
        0 if n == 1 else stride for n, stride in zip(array.shape, array.strides, strict=True)
    ]
    return Layout(base.owner, offset, array.shape, tuple(strides), base.dtype)


def _reshaped(dummy: Any, shape: tuple[int, ...]) -> Any:
    """A view of another shape; raises where there is none."""
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        return np.reshape(dummy, shape, copy=False)
    array = dummy.view()
    array.shape = shape
    return array


def axes_through(node: Node, axes: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The axes of a view in terms of those of its operand, or None where it does more.

    `axes` names each axis of the operand; axes of length 1 and those that repeat are None.
    """
    operand, function = node.operands[0], node.function
    if function is np.transpose:
        return tuple(axes[axis] for axis in node.operands[1])
    if function is np.broadcast_to:
        new = [None] * (len(node.shape or ()) - len(axes))
        return (*new, *axes)
    if function is np.reshape:
        names = [axis for axis, n in zip(axes, operand.shape, strict=True) if n != 1]
        lengths = [n for n in operand.shape if n != 1]
        if lengths != [n for n in node.shape or () if n != 1]:
            return None
        rest = iter(names)
        return tuple(None if n == 1 else next(rest) for n in node.shape or ())
    if function is getitem:
        return _axes_indexed(node.operands[1], operand.shape, axes)
    return None


def _axes_indexed(
    index: Any, shape: tuple[int, ...], axes: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    index = index if isinstance(index, tuple) else (index,)
    used = sum(part is not None and part is not Ellipsis for part in index)
    full = [slice(None)] * (len(shape) - used)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *full, *index[at + 1 :])
    else:
        index = (*index, *full)
    result: list[Any] = []
    rest = list(zip(shape, axes, strict=True))
    for part in index:
        if part is None:
            result.append(None)
            continue
        length, axis = rest.pop(0)
        if isinstance(part, slice) and part.indices(length) == (0, length, 1):
            result.append(axis)
        elif length == 1 and not isinstance(part, slice):
            continue
        else:
            return None
    return tuple(result)
