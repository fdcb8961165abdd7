"""What a tensor has of an array: its shape and dtype, and how it becomes numbers and text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import to_numpy
from . import modes
from .abstract import NeedsNumbers
from .html import array_html
from .op import Array
from .watch import check_unwatched

if TYPE_CHECKING:
    from .._bound import BoundMethods as _BoundMethods
    from .tensor import Tensor
else:
    _BoundMethods = object

__all__ = ["ArrayLike"]


class _Size(int):
    """A number of elements; called, the shape, or the length of an axis."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


class ArrayLike(_BoundMethods):
    """The part of `Tensor` that knows its array and nothing of the graph."""

    __slots__ = ()

    if TYPE_CHECKING:  # the Value's
        cached_data: Any
        requires_grad: bool

        def _array(self) -> Array: ...
        def abstract(self) -> Any: ...

    # NumPy's operators leave `array * tensor` to Tensor.__rmul__
    __array_ufunc__ = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        data = self.cached_data  # no helper function: gradients ask for it all the time
        return (self.abstract() if data is None else data).shape

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of the elements."""
        data = self.cached_data
        return (self.abstract() if data is None else data).dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        data = self.cached_data
        return (self.abstract() if data is None else data).ndim

    @property
    def size(self) -> _Size:
        """The number of elements; `size()` is the shape, `size(axis)` a length, as in PyTorch."""
        data = self.cached_data
        if data is None:
            data = self.abstract()
        size = _Size(data.size)
        size.shape = data.shape
        return size

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def dim(self) -> int:
        """The number of axes, `ndim`."""
        return self.ndim

    def is_contiguous(self) -> bool:
        """Whether the elements are in memory row by row. Every op takes those that are not, too."""
        flags = self._array().flags
        return flags is None or flags.c_contiguous  # none of what stands for an array in vmap

    def numpy(self) -> np.ndarray:
        """A copy of the values as a NumPy array."""
        data = self._array()
        return np.array(data) if isinstance(data, np.ndarray) else to_numpy(data)

    def tolist(self) -> Any:
        """The values as Python numbers in nested lists."""
        return to_numpy(self._array()).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        check_unwatched(self, "an array", "compute with needle's functions (needle.stack)")
        return np.array(to_numpy(self._array()), dtype=dtype, copy=copy)

    def item(self) -> bool | int | float:
        """The only element, as a Python number."""
        data = self._array()
        if data.size != 1:
            raise ValueError(f"item() takes a tensor of one element, got shape {self.shape}")
        return data.item()

    def __bool__(self) -> bool:
        if self._array().size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false: "
                "compare with `is`, or reduce it to one element first"
            )
        return bool(self.item())

    def __float__(self) -> float:
        check_unwatched(self, "float(x)", "use x itself, and needle.sin for math.sin")
        return float(self.item())

    def __int__(self) -> int:
        check_unwatched(self, "int(x)", "use x itself")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self._array().size != 1:
            raise TypeError(
                f"format {spec!r} takes a tensor of one element, got shape {self.shape}"
            )
        return format(self.item(), spec)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a tensor without axes has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        try:
            values = np.array2string(to_numpy(self._array()), prefix="needle.Tensor(")
        except NeedsNumbers:
            if modes.effects.get() is not None:  # a step that is recorded has none to print
                raise
            values = f"one of a batch inside vmap, shape={self.shape}"
        return f"needle.Tensor({values}, dtype={self.dtype}, requires_grad={self.requires_grad})"

    def __str__(self) -> str:
        try:
            return str(to_numpy(self._array()))
        except NeedsNumbers:
            return repr(self)

    def _repr_html_(self) -> str:
        kind, shape = type(self).__name__, self.shape
        text = f"{kind} {shape}, dtype={self.dtype}, requires_grad={self.requires_grad}"
        return array_html(to_numpy(self._array()), text)
