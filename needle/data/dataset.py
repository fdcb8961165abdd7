"""Datasets: numbered items, each an array or a tuple of arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Dataset", "DatasetNotFoundError", "NDArrayDataset"]

Transforms = Sequence[Callable[[np.ndarray], np.ndarray]] | None


def check_flags(**flags: Any) -> None:
    """Raise unless all are True or False: a text such as "test" would count as True."""
    for name, value in flags.items():
        if not (isinstance(value, bool | np.bool) or value in (0, 1)):
            raise TypeError(f"{name} is True or False, got {value!r}")


class DatasetNotFoundError(OSError):
    """The files of a dataset were not found and could not be downloaded.

    Example:
        >>> import needle as ndl
        >>> issubclass(ndl.data.DatasetNotFoundError, OSError)
        True
    """


class Dataset:
    """Base of datasets: define `__len__` and `__getitem__(index)`, which returns NumPy arrays.

    A `DataLoader` stacks single items, or takes a batch from `self[index_array]` where
    `takes_index_arrays` is True; that must return what stacking the items would.

    Args:
        transforms: functions from image to image, applied in order by `apply_transforms`.

    Example:
        >>> import numpy as np
        >>> import needle as ndl
        >>> class Squares(ndl.data.Dataset):
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def __getitem__(self, index):
        ...         return np.float32(index), np.float32(index**2)
        >>> inputs, targets = next(iter(ndl.data.DataLoader(Squares(), batch_size=4)))
        >>> targets
        needle.Tensor([0. 1. 4. 9.], dtype=float32, requires_grad=False)
    """

    takes_index_arrays = False
    transforms: Transforms = None  # for subclasses that do not call our __init__

    def __init__(self, transforms: Transforms = None) -> None:
        if callable(transforms):
            raise TypeError("transforms takes a list of functions: write transforms=[...]")
        self.transforms = transforms

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def apply_transforms(self, x: np.ndarray) -> np.ndarray:
        """The result of all transforms, in order, on the image `x` (H, W, C)."""
        for transform in self.transforms or ():
            x = transform(x)
        return x

    def __repr__(self) -> str:
        transforms = f", transforms={list(self.transforms)}" if self.transforms else ""
        return f"{type(self).__name__}({self.extra_repr()}{transforms})"

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses, before the transforms."""
        try:
            return f"{len(self):,} items"
        except (AttributeError, NotImplementedError, TypeError):  # made in part, or no length
            return ""


class NDArrayDataset(Dataset):
    """Arrays of equal length; item i is the tuple of their i-th entries, copied.

    An index is an int, a slice or an index array. The arrays (or lists) are not copied;
    `transforms` are applied to each entry of the first one.

    Raises:
        ValueError: there is no array, or their lengths differ.
        IndexError: an index is out of range.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> dataset = ndl.data.NDArrayDataset(np.arange(6.0).reshape(3, 2), np.arange(3))
        >>> len(dataset)
        3
        >>> dataset[1]
        (array([2., 3.]), np.int64(1))
    """

    takes_index_arrays = True

    def __init__(self, *arrays: Any, transforms: Transforms = None) -> None:
        super().__init__(transforms)
        name = type(self).__name__
        if not arrays:
            raise ValueError(f"{name} takes at least one array")
        self.arrays = tuple(map(np.asarray, arrays))
        if any(array.ndim == 0 for array in self.arrays):
            raise ValueError(f"{name} takes arrays of items, got a single number")
        lengths = list(map(len, self.arrays))
        if len(set(lengths)) > 1:
            raise ValueError(f"{name} takes arrays of equal length, got lengths {lengths}")

    def extra_repr(self) -> str:
        try:
            parts = [f"{array.shape[1:]} {array.dtype}" for array in self.arrays]
        except AttributeError:  # __init__ was not called, or raised
            return super().extra_repr()
        return f"{len(self):,} items of {' and '.join(parts)}"

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        try:
            parts = [array[index] for array in self.arrays]
        except IndexError as error:
            raise IndexError(f"{type(self).__name__} of {len(self)} items: {error}") from None
        if not isinstance(index, np.ndarray | list):  # those copy by themselves
            parts = [part.copy() for part in parts]
        if self.transforms:
            if parts[0].ndim < self.arrays[0].ndim:  # one item
                parts[0] = self.apply_transforms(parts[0])
            elif len(parts[0]):
                parts[0] = np.stack([self.apply_transforms(image) for image in parts[0]])
        return tuple(parts)
