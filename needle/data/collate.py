"""Making one batch of several items."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from .dataset import Dataset, NDArrayDataset

__all__ = ["Batch", "default_collate"]


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


def default_collate(items: Sequence[Any]) -> Any:
    """A batch of items, as a `DataLoader` makes it without `collate_fn`.

    Items that are arrays, numbers or tuples of them become a `Batch` of Tensors; dicts become a
    dict of Tensors, named tuples one of them, and texts a list. A list of numbers is an array.

    Raises:
        ValueError: shapes, numbers of parts or names differ among the items.
        TypeError: an item holds no numbers.

    Example:
        >>> import needle as ndl
        >>> batch = ndl.data.default_collate([{"x": [1.0, 2.0], "y": 0}, {"x": [3.0, 4.0], "y": 1}])
        >>> batch["x"].shape, batch["y"].tolist()
        ((2, 2), [0, 1])
    """
    return finished(stacked(items), len(items), {})


class Column(NamedTuple):
    """One part of a batch: an array, and the kind of Python's numbers in it ("i", "f", "b")."""

    array: np.ndarray
    kind: str | None = None


def stacked(items: Sequence[Any]) -> Any:
    """The parts of items as a tuple of columns, or a dict of them; these may be such again.

    A list is texts.
    """
    if not len(items):
        raise ValueError("a batch has at least one item, got none")
    if any(isinstance(item, Mapping) for item in items):
        return _stacked_dicts(items)
    rows = [columns(item) for item in items]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise ValueError(f"items of a dataset have equally many parts, got {sorted(widths)}")
    return _like(items[0], [_stacked_part(parts) for parts in zip(*rows, strict=True)])


def _stacked_dicts(items: Sequence[Any]) -> dict[Any, Any]:
    for item in items:
        if not isinstance(item, Mapping):
            raise TypeError(f"items of one batch are all dicts, or none is; got {item!r}, too")
    names = [list(item) for item in items]
    for other in names:
        if set(other) != set(names[0]):
            raise ValueError(f"dicts of one batch have the same names, got {names[0]} and {other}")
    return {name: _stacked_part(tuple(item[name] for item in items)) for name in names[0]}


def _stacked_part(parts: tuple[Any, ...]) -> Any:
    """Parts of the items of a batch as one array; floats of Python become float32."""
    if isinstance(parts[0], Mapping):
        return _stacked_dicts(parts)
    if has_parts(parts[0]):
        return stacked(parts)
    if all(isinstance(part, str | bytes) for part in parts):
        return list(parts)
    arrays = list(map(np.asarray, parts))
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"items of one batch have equal shapes, got {sorted(shapes)}: pad them, or give the "
            "loader a collate_fn that does"
        )
    own = [position for position, part in enumerate(parts) if not hasattr(part, "dtype")]
    kinds = {arrays[position].dtype.kind for position in own}
    if "f" in kinds:
        for position in own:  # else NumPy would make float64 of int64 and float32
            arrays[position] = arrays[position].astype(np.float32)
    kind = next((each for each in "fib" if each in kinds), None)
    return Column(np.stack(arrays), kind)


def has_parts(part: Any) -> bool:
    """Whether it is a tuple or list of other things than numbers."""
    if not isinstance(part, tuple | list):
        return False
    return hasattr(part, "_fields") or any(
        isinstance(each, Mapping | str | bytes) or getattr(each, "ndim", 0) or has_parts(each)
        for each in part
    )


def _like(sequence: Any, parts: Sequence[Any]) -> Any:
    """A tuple of parts; a named one where `sequence` is."""
    return sequence._make(parts) if hasattr(sequence, "_fields") else tuple(parts)


def columns(item: Any) -> Sequence[Any]:
    """The parts of an item; a bare array or label is its only part."""
    return item if isinstance(item, tuple | list) else (item,)


def finished(parts: Any, count: int, kinds: dict[Any, str], path: Any = None) -> Any:
    """Tensors of the columns of a batch with `count` items.

    `kinds` says of each column whether former batches had ints of Python, "i", or floats.
    """
    if isinstance(parts, dict):
        return {
            name: finished(part, count, kinds, name if path is None else (path, name))
            for name, part in parts.items()
        }
    if isinstance(parts, Column):
        return tensor(_of_one_kind(parts, kinds, path), count)
    if isinstance(parts, list):
        return parts
    found = [
        finished(part, count, kinds, position if path is None else (path, position))
        for position, part in enumerate(parts)
    ]
    return _like(parts, found) if hasattr(parts, "_fields") else Batch(found)


def _of_one_kind(column: Column, kinds: dict[Any, str], path: Any) -> np.ndarray:
    array, kind = column
    known = kinds.get(path)
    if kind == "f":
        if kinds.setdefault(path, "f") == "i":
            raise TypeError(
                f"part {path} of the items is an int of Python in former batches and a float "
                "in this one: return floats only, or NumPy's numbers of one dtype"
            )
    elif kind and known == "f":
        if array.dtype.kind in "bi":
            array = array.astype(np.float32)
    elif kind == "i":
        kinds[path] = "i"
    return array


def tensor(array: np.ndarray, count: int) -> Tensor:
    """A Tensor of an array with one entry for each of `count` items."""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a batch holds real numbers, got items of dtype {array.dtype}")
    if array.ndim == 0 or len(array) != count:
        raise ValueError(
            f"a dataset that takes index arrays returns one entry per index: {count} indices gave "
            f"an array of shape {array.shape}"
        )
    return Tensor.make_const(array)


class Fetcher:
    """Gets the items of a batch out of a dataset, here or in a worker."""

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any] | None) -> None:
        self.dataset, self.collate = dataset, collate
        # declared, not tried: `x - x.mean()` works on an index array, too, with another meaning
        self.takes_index_arrays = getattr(dataset, "takes_index_arrays", False)
        self.is_plain = collate is None and (
            getattr(type(dataset), "__getitem__", None) is NDArrayDataset.__getitem__
        )
        self.copies = self.is_plain or (
            isinstance(dataset, Dataset) and dataset._streams() is not None
        )

    def __call__(self, indices: Any, drawn: Any = None) -> Any:
        """What `collate` returns, or the columns of the batch."""
        if self.collate is not None:
            return self.collate([self.dataset[index] for index in _numbers(indices)])
        if not self.takes_index_arrays:
            return stacked([self.dataset[index] for index in _numbers(indices)])
        indices = np.asarray(indices)
        if not len(indices):
            raise ValueError("a batch has at least one item, got no indices")
        found = self.dataset[indices] if drawn is None else self.dataset._get(indices, drawn)
        if self.copies:  # by itself
            return tuple(map(Column, found))
        if isinstance(found, Mapping):
            return {name: Column(_own(part)) for name, part in found.items()}
        return _like(found, [Column(_own(part)) for part in columns(found)])

    def finish(self, kinds: dict[Any, str], found: Any, count: int) -> Any:
        """The batch that the user gets."""
        return found if self.collate is not None else finished(found, count, kinds)


def _numbers(indices: Any) -> Sequence[Any]:
    return indices.tolist() if isinstance(indices, np.ndarray) else indices


def _own(part: Any) -> np.ndarray:
    """A copy of a part of a batch as an array; floats of Python are float32."""
    array = np.asarray(part)
    is_python = array.dtype == np.float64 and not hasattr(part, "dtype")
    return array.astype(np.float32) if is_python else np.array(array)
