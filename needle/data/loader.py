"""Batches of a dataset."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor

__all__ = ["Batch", "DataLoader"]


class Batch(tuple[Tensor, ...]):
    """A tuple of Tensors that compares by identity, because `==` of Tensors is elementwise."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__


class DataLoader:
    """Goes over a dataset in batches: iterating gives tuples of Tensors that need no gradient.

    A batch has one Tensor for each array of an item, with the items along its first axis and the
    dtype of the dataset (Python's own floats become float32). Its memory is its own: writing into
    a batch does not change the dataset. Every pass is independent of the others, also when two
    run at once.

    Args:
        dataset: has `len` and `dataset[i]`; see `Dataset` for what makes fetching fast.
        batch_size: items a batch; the last one may be smaller.
        shuffle: go through the items in the order of a new `np.random.permutation` every pass.
        drop_last: leave out a last batch that is smaller.

    Raises:
        ValueError: the dataset is empty, or `batch_size` is less than 1.
        TypeError: `batch_size` is not an integer.

    Example:
        >>> import needle as ndl
        >>> loader = ndl.data.DataLoader(ndl.data.Digits(), batch_size=100, shuffle=True)
        >>> for images, labels in loader:
        ...     pass
        >>> images.shape, labels.shape
        ((37, 8, 8, 1), (37,))
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, drop_last: bool = False
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
            raise TypeError(f"batch_size is a whole number, got {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size is 1 or more, got {batch_size}")
        if len(dataset) == 0:
            raise ValueError(f"empty dataset: {type(dataset).__name__} has no items to load")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last

    def __len__(self) -> int:
        """The number of batches in a pass."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        # drawn here rather than at the first batch, so that the order of draws is easy to follow
        count = len(self.dataset)
        order = np.random.permutation(count) if self.shuffle else np.arange(count)
        return self._batches(order)

    def _batches(self, order: np.ndarray) -> Iterator[Batch]:
        size = self.batch_size
        stop = len(order) // size * size if self.drop_last else len(order)
        for start in range(0, stop, size):
            indices = order[start : start + size]
            yield Batch(_tensor(column, len(indices)) for column in self._fetch(indices))

    def _fetch(self, indices: np.ndarray) -> tuple[Any, ...] | list[Any]:
        """The arrays of a batch: by one call where the dataset says so, else item by item."""
        # asking is safer than trying: `(x - x.mean(), label)` runs on an index array as well, and
        # then means something else
        if getattr(self.dataset, "takes_index_arrays", False):
            return _columns(self.dataset[indices])
        items = [_columns(self.dataset[index]) for index in indices.tolist()]
        widths = {len(item) for item in items}
        if len(widths) > 1:
            raise ValueError(f"items of a dataset have equally many parts, got {sorted(widths)}")
        return [_stack(parts) for parts in zip(*items, strict=True)]


def _columns(item: Any) -> tuple[Any, ...] | list[Any]:
    """The parts of an item; a bare array or label is its only part."""
    return item if isinstance(item, tuple | list) else (item,)


def _stack(parts: tuple[Any, ...]) -> np.ndarray:
    arrays = [_array(part) for part in parts]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"items of one batch have equal shapes, got {sorted(shapes)}")
    return np.stack(arrays)


def _array(part: Any) -> np.ndarray:
    """An array of one part of an item; Python's floats, which state no precision, as float32."""
    array = np.asarray(part)
    is_plain = array.dtype == np.float64 and not hasattr(part, "dtype")
    return array.astype(np.float32) if is_plain else array


def _tensor(column: Any, count: int) -> Tensor:
    array = np.asarray(column)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a batch holds real numbers, got items of dtype {array.dtype}")
    if array.ndim == 0 or len(array) != count:
        raise ValueError(
            f"a dataset that takes index arrays gives one entry an index: {count} indices gave "
            f"an array of shape {array.shape}"
        )
    return Tensor.make_const(array)
