"""Batches of a dataset."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..device import Generator
from .collate import Batch, Fetcher, has_parts, tensor
from .dataset import Dataset, check_flags
from .prefetch import Prefetched
from .samplers import BatchSampler, RandomSampler, SequentialSampler, check_count
from .shards import check_shard, parts_of, without_samples
from .workers import end_workers, make_workers

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches: tuples of Tensors that require no gradient.

    A batch has one Tensor for each array of an item, with the items along the first axis and the
    dataset's dtype; for dicts, named tuples and texts see `default_collate`. Floats of Python
    become float32, and so do ints among them. It does not share memory with the dataset.
    Several iterators over one loader are independent.

    With `num_workers`, batches are prepared ahead while a model trains, and come in order. For
    needle's array datasets with transforms that declare their draws, workers are threads: NumPy
    works outside of Python's lock, and nothing is copied between processes. For other datasets
    and with `collate_fn`, they are processes, because Python code would wait for the lock.
    An error in a worker is raised here, with the worker's traceback.

    Workers draw the random numbers that `num_workers=0` draws, as long as nothing else draws from
    the same stream during a pass: where a model with dropout does, give transforms a `generator`.
    Process workers whose dataset draws by itself from NumPy's or Python's global state, or from
    a `needle.Generator`, prepare one batch at a time, in order; other generators are not followed.

    With `shard=(rank, size)`, each of `size` processes makes a loader of the same arguments. Batch
    k of all ranks together is batch k of one process with `batch_size * size`: rank 0 has its first
    `batch_size` samples, and so on. A pass visits every sample on exactly one rank, and all ranks
    have the same number of batches, `len(loader)`. The last batch is split as evenly as possible:
    some ranks may get a sample less than others, and where there are fewer samples than ranks, the
    last ranks get Tensors of length 0. `drop_last` leaves it out on all ranks, unless it is whole.
    The batches of a `batch_sampler` are split in the same way. Under MPI, the order of each pass is
    the one that rank 0 draws, whatever the others have been seeded with; all ranks must begin a
    pass. Without MPI, give `generator` the same seed on all ranks.

    Args:
        dataset: has `len` and `dataset[i]`; see `Dataset` for fast fetching.
        batch_size: items per batch and rank; the last batch may be smaller.
        shuffle: draw a new random order for each pass, by `np.random.permutation`.
        drop_last: leave out a last batch that is smaller.
        generator: where the order is drawn instead of from NumPy's global random state.
        sampler: yields the indices of a pass, instead of `shuffle`.
        batch_sampler: yields lists of indices, instead of all of the above but `dataset`.
        num_workers: how many threads or processes prepare batches.
        worker: "thread", "process", or None to choose as above.
        collate_fn: makes a batch of a list of items, instead of `default_collate`.
        prefetch_factor: batches in preparation for each worker; 2 by default.
        timeout: seconds to wait for a batch of a worker; 0 is for ever.
        persistent_workers: keep worker processes for the next pass; they keep their dataset, too.
        worker_init_fn: called with the worker's number before its first batch.
        multiprocessing_context: how processes are started: by default "fork" on Linux.
        shard: (rank, size): this is one of `size` processes, and gets its part of each batch.
        pin_memory: accepted, and of no effect: arrays are in ordinary memory.

    Raises:
        ValueError: the dataset is empty, `batch_size` is less than 1, or arguments exclude each
            other.
        TypeError: `batch_size` is not an integer; while iterating, floats of Python come after
            batches of ints.
        RuntimeError: while iterating, a worker process was killed, or a batch took longer than
            `timeout`.

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
        *,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        worker: str | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch_factor: int | None = None,
        timeout: float = 0,
        persistent_workers: bool = False,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        pin_memory: bool = False,
        shard: tuple[int, int] | None = None,
    ) -> None:
        check_flags(
            shuffle=shuffle, drop_last=drop_last, persistent_workers=persistent_workers,
            pin_memory=pin_memory,
        )  # fmt: skip
        batch_size = check_count("batch_size", batch_size)
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
            raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if sampler is not None and shuffle:
            raise ValueError("sampler excludes shuffle: the sampler gives the order")
        self.shard = check_shard(shard, sampler, batch_sampler)
        if len(dataset) == 0:
            raise ValueError(f"empty dataset: {type(dataset).__name__} has no items to load")
        self.num_workers = check_count("num_workers", num_workers, 0)
        if not num_workers and (prefetch_factor is not None or persistent_workers):
            raise ValueError("prefetch_factor and persistent_workers need num_workers above 0")
        if worker not in (None, "thread", "process"):
            raise ValueError(f'worker is "thread", "process" or None, got {worker!r}')
        if not timeout >= 0:
            raise ValueError(f"timeout is 0 or more seconds, got {timeout}")
        self.prefetch_factor = check_count(
            "prefetch_factor", 2 if prefetch_factor is None else prefetch_factor
        )
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last, self.generator = shuffle, drop_last, generator
        self.batch_sampler = batch_sampler
        if sampler is None and shuffle:
            sampler = RandomSampler(dataset, generator=generator)
        self.sampler: Iterable[int] = SequentialSampler(dataset) if sampler is None else sampler
        self.worker, self.collate_fn, self.timeout = worker, collate_fn, timeout
        self.persistent_workers, self.worker_init_fn = persistent_workers, worker_init_fn
        self.multiprocessing_context, self.pin_memory = multiprocessing_context, pin_memory
        self._idle: list[Any] = []  # workers for the next pass
        if persistent_workers:
            weakref.finalize(self, end_workers, self._idle)
        self._kinds: dict[Any, str] = {}  # of the columns of Python's numbers: "i" or "f"
        for item in dataset if isinstance(dataset, list | tuple) else ():
            for column, part in enumerate(item if isinstance(item, tuple | list) else (item,)):
                is_python = not hasattr(part, "dtype") and not has_parts(part)
                if is_python and np.asarray(part).dtype.kind == "f":
                    self._kinds[column] = "f"

    def __repr__(self) -> str:
        defaults = {
            "shuffle": False, "drop_last": False, "generator": None, "num_workers": 0,
            "shard": (0, 1),
        }  # fmt: skip
        settings = [f"batch_size={self.batch_size!r}"]
        settings += [
            f"{name}={getattr(self, name)!r}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        data = self.dataset
        shown = data if isinstance(data, Dataset) else f"{type(data).__name__} of {len(data):,}"
        try:
            count = f"  # {len(self):,} batch{'' if len(self) == 1 else 'es'}"
        except TypeError:  # a sampler without a length
            count = ""
        return f"DataLoader({shown}, {', '.join(settings)}){count}"

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return len(self.whole_batches())

    @property
    def num_samples(self) -> int:
        """The number of samples in a pass, of all ranks together."""
        batches = self.whole_batches()
        if isinstance(batches, BatchSampler):
            return batches.num_samples
        if isinstance(batches, list | tuple):
            return sum(map(len, batches))
        raise TypeError(f"{type(batches).__name__} does not say how many samples a pass has")

    def whole_batches(self) -> Any:
        """The indices of the batches of all ranks together."""
        if self.batch_sampler is not None:
            return self.batch_sampler
        return BatchSampler(self.sampler, self.batch_size * self.shard[1], self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        whole = self.whole_batches()
        # drawn now, not at the first batch: the order of draws follows the order of calls
        batches = whole.index_arrays() if self.batch_sampler is None else iter(whole)
        if self.shard == (0, 1):
            return self._fetched(batches)
        parts, without = parts_of(batches, *self.shard)
        fetched = self._fetched(iter(parts))
        return without_samples(fetched, without) if without else fetched

    def _fetched(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches at these indices."""
        fetch = Fetcher(self.dataset, self.collate_fn)
        if self.num_workers:
            return self._prefetched(batches, fetch)
        if fetch.is_plain and self.batch_sampler is None:  # the whole of it, for speed
            take = self.dataset.__getitem__
            return (Batch(tensor(part, len(each)) for part in take(each)) for each in batches)
        return (fetch.finish(self._kinds, fetch(each), len(each)) for each in batches)

    def _prefetched(self, batches: Iterator[Any], fetch: Fetcher) -> Iterator[Any]:
        declared = None
        if self.collate_fn is None and isinstance(self.dataset, Dataset):
            declared = self.dataset._streams()
        kind = self.worker or ("process" if declared is None else "thread")
        workers, self._idle[:] = self._idle[:], []
        if not workers:
            workers = make_workers(
                kind, self.num_workers, fetch, self.worker_init_fn, self.multiprocessing_context
            )
        return Prefetched(
            self.dataset,
            declared,
            batches,
            workers,
            ahead=self.num_workers * self.prefetch_factor,
            finish=partial(fetch.finish, self._kinds),
            timeout=self.timeout,
            idle=self._idle if self.persistent_workers else None,
        )
