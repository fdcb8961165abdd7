"""Datasets: numbered items, each an array or a tuple of arrays."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .transforms import Compose, Function, check_order, draw_numbers, for_batches

__all__ = ["Dataset", "DatasetNotFoundError", "NDArrayDataset", "TensorDataset"]

Transforms = Sequence[Function] | Compose | None


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
        transforms: functions from image to image, or a `Compose`, applied in order by
            `apply_transforms`.

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
    transforms: Sequence[Function] | None = None  # for subclasses that do not call our __init__

    def __init__(self, transforms: Transforms = None) -> None:
        if isinstance(transforms, Compose):
            transforms = [transforms]
        if callable(transforms):
            raise TypeError("transforms takes a list of functions: write transforms=[...]")
        check_order(transforms)
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

    # what a DataLoader with workers needs to draw in order, whoever prepares a batch

    def _streams(self) -> set[Any] | None:
        """The generators that batches draw from (None: NumPy's global state), if that is known.

        If not, this is None: `__getitem__` may draw from anything.
        """
        return None

    def _draw(self, count: int, streams: Mapping[Any, Any]) -> Any:
        """What `_get` needs of random numbers for so many items."""

    def _get(self, indices: np.ndarray, drawn: Any) -> Any:
        """`self[indices]` with these random numbers; draws none itself."""
        return self[indices]


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
        parts = self._pick(index)
        if self.transforms:
            if parts[0].ndim < self.arrays[0].ndim:  # one item
                parts[0] = self._processed(parts[0], self.apply_transforms)
            elif len(parts[0]):
                drawn = self._draw(len(parts[0]), _OWN_STREAMS)
                parts[0] = self._processed(parts[0], partial(self._transformed, drawn))
        return tuple(parts)

    def _pick(self, index: Any) -> list[Any]:
        """The entries of all arrays at an index, copied."""
        try:
            parts = [array[index] for array in self.arrays]
        except IndexError as error:
            raise IndexError(f"{type(self).__name__} of {len(self)} items: {error}") from None
        if not isinstance(index, np.ndarray | list):  # those copy by themselves
            parts = [part.copy() for part in parts]
        return parts

    def _processed(self, images: Any, transform: Callable[[Any], Any]) -> Any:
        """One image or several after a transform, which takes channels last."""
        return transform(images)

    def _transformed(self, drawn: list[np.ndarray] | None, images: np.ndarray) -> np.ndarray:
        """Images after the transforms, which take them all at once where they can."""
        if drawn is None:
            return np.stack([self.apply_transforms(image) for image in images])
        for transform, numbers in zip(for_batches(self.transforms) or (), drawn, strict=True):
            images = transform.apply(images, numbers)
        return images

    def _streams(self) -> set[Any] | None:
        if type(self).__getitem__ is not NDArrayDataset.__getitem__:
            return None
        transforms = for_batches(self.transforms)
        if transforms is None:
            return None
        return {transform.generator for transform in transforms if transform.uniforms}

    def _draw(self, count: int, streams: Mapping[Any, Any]) -> list[np.ndarray] | None:
        transforms = for_batches(self.transforms)
        return None if transforms is None else draw_numbers(transforms, count, streams)

    def _get(self, indices: np.ndarray, drawn: Any) -> tuple[Any, ...]:
        parts = self._pick(indices)
        if self.transforms:
            parts[0] = self._processed(parts[0], partial(self._transformed, drawn))
        return tuple(parts)


class _OwnStreams(dict[Any, Any]):
    """Each generator for itself, and NumPy's global random state for None."""

    def __missing__(self, generator: Any) -> Any:
        return np.random if generator is None else generator


_OWN_STREAMS = _OwnStreams()


class TensorDataset(NDArrayDataset):
    """PyTorch's name of `NDArrayDataset`: item i is the tuple of the i-th entries, as arrays.

    Example:
        >>> import needle as ndl
        >>> dataset = ndl.data.TensorDataset(ndl.zeros(3, 2), ndl.arange(3))
        >>> dataset[1][0].shape
        (2,)
    """
