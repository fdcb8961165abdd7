"""Batches of a dataset."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Generator, cpu
from .dataset import Dataset, NDArrayDataset, check_flags

__all__ = ["Batch", "DataLoader"]


class Batch(tuple[Tensor, ...]):
    """A tuple of Tensors that compares by identity, because `==` of Tensors is elementwise.

    Example:
        >>> import needle as ndl
        >>> batch = ndl.data.Batch((ndl.Tensor([1.0, 2.0]), ndl.Tensor([0, 1])))
        >>> inputs, labels = batch
        >>> batch == ndl.data.Batch((inputs, labels))
        False
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__


class DataLoader:
    """Iterates over a dataset in batches: tuples of Tensors that require no gradient.

    A batch has one Tensor for each array of an item, with the items along the first axis and the
    dataset's dtype. Floats of Python become float32, and so do ints among them. It does not share
    memory with the dataset.
    Several iterators over one loader are independent.

    Args:
        dataset: has `len` and `dataset[i]`; see `Dataset` for fast fetching.
        batch_size: items per batch; the last batch may be smaller.
        shuffle: draw a new random order for each pass, by `np.random.permutation`.
        drop_last: leave out a last batch that is smaller.
        generator: where the order is drawn instead of from NumPy's global random state.

    Raises:
        ValueError: the dataset is empty, or `batch_size` is less than 1.
        TypeError: `batch_size` is not an integer; while iterating, floats of Python come after
            batches of ints.

    Example:
        >>> import needle as ndl
        >>> loader = ndl.data.DataLoader(ndl.data.Digits(), batch_size=100, shuffle=True)
        >>> for images, labels in loader:
        ...     pass
        >>> images.shape, labels.shape
        ((37, 8, 8, 1), (37,))
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
            raise TypeError(f"batch_size is a whole number, got {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size is 1 or more, got {batch_size}")
        check_flags(shuffle=shuffle, drop_last=drop_last)
        if len(dataset) == 0:
            raise ValueError(f"empty dataset: {type(dataset).__name__} has no items to load")
        self.dataset, self.batch_size = dataset, int(batch_size)
        self.shuffle, self.drop_last, self.generator = shuffle, drop_last, generator
        self._kinds: dict[int, str] = {}  # of the columns of Python's numbers: "i" or "f"
        for item in dataset if isinstance(dataset, list | tuple) else ():
            for column, part in enumerate(_columns(item)):
                if not hasattr(part, "dtype") and np.asarray(part).dtype.kind == "f":
                    self._kinds[column] = "f"

    def __repr__(self) -> str:
        settings = [
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if name == "batch_size" or (value and name in ("shuffle", "drop_last", "generator"))
        ]
        data = self.dataset
        shown = data if isinstance(data, Dataset) else f"{type(data).__name__} of {len(data):,}"
        count = f"{len(self):,} batch{'' if len(self) == 1 else 'es'}"
        return f"DataLoader({shown}, {', '.join(settings)})  # {count}"

    def __len__(self) -> int:
        """The number of batches in a pass."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        # drawn now, not at the first batch: the order of draws follows the order of calls
        count = len(self.dataset)
        order = cpu().permutation(count, self.generator) if self.shuffle else np.arange(count)
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        parts = (order[start : start + self.batch_size] for start in starts)
        return (Batch(_tensor(each, len(part)) for each in self._fetch(part)) for part in parts)

    def _fetch(self, indices: np.ndarray) -> Sequence[Any]:
        """The arrays of a batch: by one call if the dataset allows it, else item by item."""
        # declared, not tried: `x - x.mean()` works on an index array, too, with another meaning
        if getattr(self.dataset, "takes_index_arrays", False):
            if type(self.dataset).__getitem__ is NDArrayDataset.__getitem__:  # which copies
                return self.dataset[indices]
            return [np.array(_array(part)) for part in _columns(self.dataset[indices])]
        items = [_columns(self.dataset[index]) for index in indices.tolist()]
        widths = {len(item) for item in items}
        if len(widths) > 1:
            raise ValueError(f"items of a dataset have equally many parts, got {sorted(widths)}")
        parts = enumerate(zip(*items, strict=True))
        return [self._stack(column, each) for column, each in parts]

    def _stack(self, column: int, parts: tuple[Any, ...]) -> np.ndarray:
        """Parts of the items of a batch as one array; floats of Python become float32."""
        arrays = list(map(np.asarray, parts))
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise ValueError(f"items of one batch have equal shapes, got {sorted(shapes)}")
        own = [position for position, part in enumerate(parts) if not hasattr(part, "dtype")]
        kinds = {arrays[position].dtype.kind for position in own}
        if "f" in kinds or (self._kinds.get(column) == "f" and kinds <= {"i", "b"}):
            if self._kinds.setdefault(column, "f") == "i":
                raise TypeError(
                    f"part {column} of the items is an int of Python in former batches and a float "
                    "in this one: return floats only, or NumPy's numbers of one dtype"
                )
            for position in own:  # else NumPy would make float64 of int64 and float32
                arrays[position] = arrays[position].astype(np.float32)
        elif "i" in kinds:
            self._kinds[column] = "i"
        return np.stack(arrays)


def _columns(item: Any) -> Sequence[Any]:
    """The parts of an item; a bare array or label is its only part."""
    return item if isinstance(item, tuple | list) else (item,)


def _array(part: Any) -> np.ndarray:
    """A part of an item, or of a batch, as an array; floats of Python are float32."""
    array = np.asarray(part)
    is_python = array.dtype == np.float64 and not hasattr(part, "dtype")
    return array.astype(np.float32) if is_python else array


def _tensor(array: Any, count: int) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a batch holds real numbers, got items of dtype {array.dtype}")
    if array.ndim == 0 or len(array) != count:
        raise ValueError(
            f"a dataset that takes index arrays returns one entry per index: {count} indices gave "
            f"an array of shape {array.shape}"
        )
    return Tensor.make_const(array)
