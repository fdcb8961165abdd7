"""What a tensor has of an array: its shape and dtype, and how it becomes numbers and text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import to_numpy
from .op import Array

if TYPE_CHECKING:
    from .._bound import BoundMethods as _BoundMethods
    from .tensor import Tensor
else:
    _BoundMethods = object

__all__ = ["ArrayLike"]


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
    def size(self) -> int:
        """The number of elements."""
        data = self.cached_data
        return (self.abstract() if data is None else data).size

    def numpy(self) -> np.ndarray:
        """A copy of the values as a NumPy array."""
        data = self._array()
        return np.array(data) if isinstance(data, np.ndarray) else to_numpy(data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_numpy(self._array()), dtype=dtype, copy=copy)

    def item(self) -> bool | int | float:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item() takes a tensor of one element, got shape {self.shape}")
        return self._array().item()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false: "
                "compare with `is`, or reduce it to one element first"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a tensor without axes has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        values = np.array2string(to_numpy(self._array()), prefix="needle.Tensor(")
        return f"needle.Tensor({values}, dtype={self.dtype}, requires_grad={self.requires_grad})"

    def __str__(self) -> str:
        return str(to_numpy(self._array()))
