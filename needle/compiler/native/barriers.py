"""Where threads must wait for each other: accesses to memory, and which of them conflict."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..planning import Buffer
from .layout import Place

__all__ = ["Access", "Accesses", "access"]


class Access(NamedTuple):
    """Bytes that a part reads or writes. `home` is None in the arena, otherwise a leaf."""

    home: Any
    start: int
    end: int
    is_write: bool


def access(place: Place, steps: Iterable[tuple[int, int, int]], is_write: bool) -> Access:
    """The bytes from the first to the last element of a place.

    `steps` has a stride in bytes for each loop, and the bounds of its index.
    """
    start = place.layout.offset
    is_in_arena = isinstance(place.home, Buffer)
    if isinstance(place.home, Buffer):
        start += place.home.offset
    end = start + place.layout.dtype.itemsize
    for stride, first, last in steps:
        start += min(stride * first, stride * (last - 1))
        end += max(stride * first, stride * (last - 1))
    return Access(None if is_in_arena else place.home, start, end, is_write)


class Accesses:
    """What each thread has read and written since the last barrier."""

    def __init__(self, threads: int) -> None:
        self._threads = range(threads)
        self.clear()

    def clear(self) -> None:
        self._read: list[dict[Any, _Intervals]] = [{} for _ in self._threads]
        self._written: list[dict[Any, _Intervals]] = [{} for _ in self._threads]

    def conflict(self, parts: Sequence[Sequence[Access]]) -> bool:
        """Whether a part needs what another thread did, or would overwrite it."""
        return any(
            self._is_hit(each, other)
            for number, part in enumerate(parts)
            for each in part
            for other in self._threads
            if other != number
        )

    def _is_hit(self, each: Access, other: int) -> bool:
        known = [self._written[other]]
        if each.is_write:
            known.append(self._read[other])
        for intervals in known:
            if each.home in intervals and intervals[each.home].meet(each.start, each.end):
                return True
            if each.home is not None and set(intervals) - {None, each.home}:
                return True  # other leaves may be views of the same memory
        return False

    def add(self, parts: Sequence[Sequence[Access]]) -> None:
        for number, part in enumerate(parts):
            for home, start, end, is_write in part:
                known = (self._written if is_write else self._read)[number]
                known.setdefault(home, _Intervals()).add(start, end)


class _Intervals:
    """A set of numbers as intervals that do not touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]

    def meet(self, start: int, end: int) -> bool:
        """Whether any number of an interval is in the set."""
        first = bisect_right(self._ends, start)
        return first < len(self._starts) and self._starts[first] < end
