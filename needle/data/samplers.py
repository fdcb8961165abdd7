"""Samplers: which items a pass over a dataset visits, in which order."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, cast

import numpy as np

from ..device import Generator, cpu
from .dataset import check_flags

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
    "WeightedRandomSampler",
]  # fmt: skip


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int, unless it is not a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} is {least} or more, got {value}")
    return int(value)


class Sampler:
    """Base of samplers: define `__len__` and `order()`, or `__iter__` over indices.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> class Backwards(ndl.data.Sampler):
        ...     def __init__(self, dataset):
        ...         self.dataset = dataset
        ...
        ...     def __len__(self):
        ...         return len(self.dataset)
        ...
        ...     def order(self):
        ...         return np.arange(len(self))[::-1]
        >>> loader = ndl.data.DataLoader([1, 2, 3], batch_size=3, sampler=Backwards([1, 2, 3]))
        >>> next(iter(loader))[0].tolist()
        [3, 2, 1]
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def order(self) -> np.ndarray:
        """The indices of a pass; draws them anew at each call."""
        raise NotImplementedError(f"{type(self).__name__} does not define order")

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}({len(self):,} items)"
        except (AttributeError, NotImplementedError, TypeError):  # made in part, or no length
            return f"{type(self).__name__}()"


class SequentialSampler(Sampler):
    """0, 1, ..., len(data_source) - 1.

    Example:
        >>> import needle as ndl
        >>> list(ndl.data.SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self) -> np.ndarray:
        return np.arange(len(self))


class RandomSampler(Sampler):
    """All items in random order, by `np.random.permutation`; or random items.

    Args:
        data_source: the dataset.
        replacement: draw each item from all, so that some come twice.
        num_samples: how many; without replacement, more than there are begin a new permutation.
        generator: where to draw instead of from NumPy's global random state.

    Example:
        >>> import needle as ndl
        >>> sampler = ndl.data.RandomSampler(range(10), replacement=True, num_samples=4)
        >>> len(list(sampler))
        4
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        check_flags(replacement=replacement)
        if num_samples is not None:
            num_samples = check_count("num_samples", num_samples)
        self.data_source, self.replacement = data_source, replacement
        self._count, self.generator = num_samples, generator

    @property
    def num_samples(self) -> int:
        """The length of a pass."""
        return len(self.data_source) if self._count is None else self._count

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> np.ndarray:
        count = len(self.data_source)
        if count == 0:
            raise ValueError("RandomSampler: there are no items to draw from")
        if self.replacement:
            drawn = cpu().rand(self.num_samples, generator=self.generator)
            return (drawn * count).astype(np.intp)
        whole, rest = divmod(self.num_samples, count)
        passes = [cpu().permutation(count, self.generator) for _ in range(whole + (rest > 0))]
        return passes[0] if len(self) == count else np.concatenate(passes)[: len(self)]


class SubsetRandomSampler(Sampler):
    """The given indices in random order.

    Example:
        >>> import needle as ndl
        >>> sorted(ndl.data.SubsetRandomSampler([3, 1, 5]))
        [1, 3, 5]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __len__(self) -> int:
        return len(self.indices)

    def order(self) -> np.ndarray:
        return np.asarray(self.indices)[cpu().permutation(len(self), self.generator)]


class WeightedRandomSampler(Sampler):
    """Items drawn with probabilities in proportion to `weights`.

    Args:
        weights: one for each item, 0 or more.
        num_samples: how many to draw.
        replacement: False: each item once at most.
        generator: where to draw instead of from NumPy's global random state.

    Raises:
        ValueError: a weight is negative or no number, all are 0, or fewer weights are above 0 than
            items are to be drawn without replacement.

    Example:
        >>> import needle as ndl
        >>> list(ndl.data.WeightedRandomSampler([0.0, 1.0, 0.0], num_samples=3))
        [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        check_flags(replacement=replacement)
        self.num_samples = check_count("num_samples", num_samples)
        self.weights = np.asarray(weights, np.float64)
        self.replacement, self.generator = replacement, generator
        if self.weights.ndim != 1:
            raise ValueError(f"weights has one axis, got shape {self.weights.shape}")
        wrong = np.flatnonzero(~(self.weights >= 0) | np.isinf(self.weights))
        if len(wrong):
            raise ValueError(
                f"weights are finite and 0 or more, got {self.weights[wrong[0]]} at {wrong[0]}"
            )
        positive = np.count_nonzero(self.weights)
        needed = 1 if replacement else self.num_samples
        if positive < needed:
            raise ValueError(
                f"WeightedRandomSampler: {positive} weights are above 0, cannot draw "
                f"{self.num_samples} items{'' if replacement else ' without replacement'}"
            )

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> np.ndarray:
        if self.replacement:
            ends = np.cumsum(self.weights)
            drawn = cpu().rand(self.num_samples, generator=self.generator) * ends[-1]
            last = np.flatnonzero(self.weights)[-1]  # where rounding gives the end itself
            return np.minimum(np.searchsorted(ends, drawn, side="right"), last)
        # Efraimidis and Spirakis (2006): the largest u^(1/w), here by their logarithms
        drawn = 1 - cpu().rand(len(self.weights), generator=self.generator)
        with np.errstate(divide="ignore"):
            waits = np.where(self.weights > 0, -np.log(drawn) / self.weights, np.inf)
        return np.argsort(waits, kind="stable")[: self.num_samples]


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of another sampler.

    Example:
        >>> import needle as ndl
        >>> list(ndl.data.BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_flags(drop_last=drop_last)
        self.sampler, self.batch_size = sampler, check_count("batch_size", batch_size)
        self.drop_last = drop_last

    def __repr__(self) -> str:
        dropped = ", drop_last=True" if self.drop_last else ""
        return f"BatchSampler({self.sampler!r}, batch_size={self.batch_size}{dropped})"

    def __len__(self) -> int:
        full, rest = divmod(len(cast(Sized, self.sampler)), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def num_samples(self) -> int:
        """How many indices there are in all batches."""
        count = len(cast(Sized, self.sampler))
        return count - count % self.batch_size if self.drop_last else count

    def length_of(self, number: int) -> int:
        """How many indices there are in a batch, by its number from 0."""
        return min(self.batch_size, self.num_samples - number * self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        return (part.tolist() for part in self.index_arrays())

    def index_arrays(self) -> Iterator[np.ndarray]:
        """The indices of each batch. A sampler that knows its order draws it now."""
        sampler, size = self.sampler, self.batch_size
        if isinstance(sampler, Sampler) and type(sampler).__iter__ is Sampler.__iter__:
            order = sampler.order()
            count = len(order)
            stop = count - count % size if self.drop_last else count
            return (order[start : start + size] for start in range(0, stop, size))
        return _chunks(iter(sampler), size, self.drop_last)


def _chunks(indices: Iterator[int], size: int, drop_last: bool) -> Iterator[np.ndarray]:
    while chunk := list(islice(indices, size)):
        if len(chunk) < size and drop_last:
            return
        yield np.asarray(chunk)
