"""Datasets made of others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..device import Generator, cpu
from .dataset import Dataset

__all__ = ["ConcatDataset", "Subset", "random_split"]


class Subset(Dataset):
    """The items of `dataset` at `indices`.

    Raises:
        IndexError: an index is out of range.

    Example:
        >>> import needle as ndl
        >>> digits = ndl.data.Digits()
        >>> few = ndl.data.Subset(digits, [5, 7])
        >>> len(few), bool(few[1][1] == digits[7][1])
        (2, True)
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        super().__init__()
        self.dataset = dataset
        self.indices = np.asarray(indices)
        if self.indices.size == 0:
            self.indices = np.zeros(0, np.intp)
        if self.indices.ndim != 1 or self.indices.dtype.kind not in "iu":
            raise TypeError(
                f"Subset takes a list of whole numbers, got {self.indices.dtype} of shape "
                f"{self.indices.shape}"
            )
        wrong = self.indices[(self.indices < -len(dataset)) | (self.indices >= len(dataset))]
        if len(wrong):
            raise IndexError(f"Subset: index {wrong[0]} is out of range for {len(dataset)} items")
        self.takes_index_arrays = getattr(dataset, "takes_index_arrays", False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        try:
            chosen = self.indices[index]
        except IndexError as error:
            raise IndexError(f"Subset of {len(self)} items: {error}") from None
        if np.ndim(chosen) == 0:
            return self.dataset[int(chosen)]
        if self.takes_index_arrays:
            return self.dataset[chosen]
        raise TypeError(f"{type(self.dataset).__name__} takes one index, got {index!r}")

    def _streams(self) -> set[Any] | None:
        if type(self) is not Subset or not isinstance(self.dataset, Dataset):
            return None
        return self.dataset._streams() if self.takes_index_arrays else None

    def _draw(self, count: int, streams: Mapping[Any, Any]) -> Any:
        return self.dataset._draw(count, streams)

    def _get(self, indices: np.ndarray, drawn: Any) -> Any:
        return self.dataset._get(self.indices[indices], drawn)


class ConcatDataset(Dataset):
    """The items of several datasets, one after another.

    Example:
        >>> import needle as ndl
        >>> both = ndl.data.ConcatDataset([ndl.data.Digits(True), ndl.data.Digits(False)])
        >>> len(both)
        1797
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        super().__init__()
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset takes at least one dataset")
        self.ends = np.cumsum([len(dataset) for dataset in self.datasets])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, slice | np.ndarray | list):
            raise TypeError(f"ConcatDataset takes one index, got {index!r}")
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset of {len(self)} items: {index} is out of range")
        index = int(index) % len(self)
        part = int(np.searchsorted(self.ends, index, side="right"))
        return self.datasets[part][index - (int(self.ends[part - 1]) if part else 0)]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Random parts of a dataset that have no item in common.

    Args:
        dataset: what to split.
        lengths: numbers of items, which add up to `len(dataset)`; or fractions that add up to 1,
            rounded down, with what is left given to the first parts, one item each.
        generator: draws instead of NumPy's global random state.

    Raises:
        ValueError: the lengths add up to something else.

    Example:
        >>> import needle as ndl
        >>> train, validation = ndl.data.random_split(ndl.data.Digits(), [0.9, 0.1])
        >>> len(train), len(validation)
        (1294, 143)
    """
    count = len(dataset)
    sizes: list[Any] = list(lengths)
    if any(size < 0 for size in sizes):
        raise ValueError(f"random_split: lengths are 0 or more, got {sizes}")
    if np.isclose(sum(sizes), 1) and any(isinstance(size, float) for size in sizes):
        sizes = [int(size * count) for size in sizes]
        for position in range(count - sum(sizes)):
            sizes[position % len(sizes)] += 1
    if sum(sizes) != count or any(int(size) != size for size in sizes):
        raise ValueError(
            f"random_split: lengths add up to the {count} items of the dataset, or are fractions "
            f"that add up to 1, got {list(lengths)}"
        )
    order = cpu().permutation(count, generator)
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, part) for part in np.split(order, ends[:-1])]
