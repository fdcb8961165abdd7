"""What each of several processes gets of a pass over a dataset: its part of every batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .samplers import check_count

__all__ = ["check_shard", "order_of_rank_0", "parts_of", "without_samples"]

order_of_rank_0: Callable[[np.ndarray, str], np.ndarray] | None = None
"""Set by needle.distributed: gives every rank the order that rank 0 has drawn."""


def check_shard(shard: Any, *samplers: Any) -> tuple[int, int]:
    """`shard` as (rank, size); (0, 1) for None. The samplers are those whose order is split."""
    if shard is None:
        return 0, 1
    if not (isinstance(shard, tuple | list) and len(shard) == 2):
        raise TypeError(f"shard is a pair (rank, size), got {shard!r}")
    size = check_count("shard: size", shard[1])
    rank = check_count("shard: rank", shard[0], 0)
    if rank >= size:
        raise ValueError(f"shard is (rank, size) with rank < size, got ({rank}, {size})")
    for sampler in samplers:
        if size > 1 and not (sampler is None or hasattr(sampler, "__len__")):
            raise TypeError(
                f"shard splits the whole order of a pass: {type(sampler).__name__} has no length"
            )
    return rank, size


def parts_of(
    batches: Iterable[Sequence[int] | np.ndarray], rank: int, size: int
) -> tuple[list[np.ndarray], set[int]]:
    """The indices of a rank's part of each batch, and the numbers of the batches without any.

    A batch is split into consecutive parts whose lengths differ by one at most, the longer ones
    first. A part without samples has the index of the batch's first sample, as an example.
    """
    whole = list(map(np.asarray, batches))
    lengths = np.array(list(map(len, whole)), np.int64)
    order = np.concatenate([np.zeros(0, np.int64), *whole])
    if order.dtype.kind != "i":
        raise TypeError(f"shard splits batches of whole numbers, got indices {order[:3].tolist()}")
    if order_of_rank_0 is not None:
        order, lengths = order_of_rank_0(order, "samples"), order_of_rank_0(lengths, "batches")
    parts, without = [], set()
    for number, batch in enumerate(np.split(order, np.cumsum(lengths))[:-1]):
        part = np.array_split(batch, size)[rank]
        if not len(part):
            without.add(number)
        parts.append(part if len(part) else batch[:1])
    return parts, without


def without_samples(batches: Iterable[Any], numbers: set[int]) -> Iterator[Any]:
    """The batches; those of these numbers with Tensors of length 0."""
    for number, batch in enumerate(batches):
        yield _emptied(batch) if number in numbers else batch


def _emptied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value[:0]
    if isinstance(value, Mapping):
        return {name: _emptied(part) for name, part in value.items()}
    if isinstance(value, list) and all(isinstance(each, str | bytes) for each in value):
        return []
    if isinstance(value, tuple | list):
        return getattr(type(value), "_make", type(value))(map(_emptied, value))
    return value
