"""Random draws that can be made again, without touching what they came from."""

import ctypes
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from threading import RLock, get_ident, local
from typing import Any, NamedTuple

import numpy as np

from ..autograd.modes import override
from ..device import draw, draw_instead, global_draws, global_stream

__all__ = ["Draws"]


class _Drawn(NamedTuple):
    numbers: Any
    again: Callable[[], Any]  # makes the same numbers
    before: bytes | None = None  # fingerprints, if they came from NumPy's global state
    after: bytes | None = None


class Draws:
    """The random draws of a function through needle, repeated when it is called again.

    A draw is kept as the state of its stream before it, or as numbers if another thread drew in
    between. So several threads can repeat theirs at once. Where the function, or another thread,
    called `np.random` by itself, and no other thread drew through needle, NumPy's global state is
    set for the repetition, too.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Any, Callable[[], Any]]] = []  # requests, and what makes them again
        self._global_state: Any = None
        self._draw_once: Any = draw_instead.get() or _draw_reproducibly
        self._others = _draws_of_others()  # before the state, and at the end after it
        self._before = _state(global_stream())
        self._expected = _fingerprint()
        self._is_as_expected = True

    def noted(self) -> override:
        """Keeps the draws inside the block; to be followed by `end`."""
        return override(draw_instead, self._note)

    def _note(self, stream: Any, method: str, size: Any) -> _Drawn:
        drawn = self._draw_once(stream, method, size)
        if drawn.before is not None:
            self._is_as_expected = self._is_as_expected and drawn.before == self._expected
            self._expected = drawn.after
        self._kept.append(((stream is global_stream(), method, size), drawn.again))
        return drawn

    def end(self) -> None:
        """The function has returned."""
        self._draw_once = _draw_reproducibly  # and not what kept the draws around it
        is_as_expected = self._is_as_expected and _fingerprint() == self._expected
        others = _draws_of_others()
        is_alone = others == self._others and not any(count % 2 for count in others.values())
        if is_alone and not is_as_expected:
            self._global_state = self._before

    def repeated(self) -> AbstractContextManager[None]:
        """Makes the same draws again inside the block, in the same order."""
        kept = iter(self._kept)

        def repeat(stream: Any, method: str, size: Any) -> _Drawn:
            is_global = stream is global_stream()
            request, again = next(kept, (None, None))
            if again is None or request != (is_global, method, size):
                raise RuntimeError(
                    f"checkpoint: the function draws other random numbers ({method} of {size}) "
                    "when it is computed again: a second call must do the same as the first"
                )
            if is_global and self._global_state is not None:  # what comes next is behind this
                drawn = _draw_reproducibly(stream, method, size)
                return drawn._replace(numbers=again(), again=again)
            return _Drawn(again(), again)

        repeating = override(draw_instead, repeat)
        return repeating if self._global_state is None else self._from_the_start(repeating)

    @contextmanager
    def _from_the_start(self, repeating: override) -> Iterator[None]:
        """NumPy's global random state is what it was before the function, inside the block."""
        former = np.random.get_state()
        np.random.set_state(self._global_state)
        try:
            with repeating:
                yield
        finally:
            np.random.set_state(former)


def _draws_of_others() -> dict[int, int]:
    """What other threads count in `global_draws`; odd while one draws."""
    return {thread: count for thread, count in list(global_draws.items()) if thread != get_ident()}


def _draw_reproducibly(stream: Any, method: str, size: Any) -> _Drawn:
    """The numbers, and what makes them again: the state they came from, or else themselves."""
    lock = _bits(stream).lock
    is_atomic = isinstance(lock, _REENTRANT)  # since NumPy 2.3
    with lock if is_atomic else nullcontext():
        state = _state(stream)
        before = _fingerprint() if stream is global_stream() else None
        numbers = draw(stream, method, size)
        after = _fingerprint() if before else None
    again: Callable[[], Any] = partial(_draw_from, stream, state, method, size)
    if not is_atomic and not np.array_equal(numbers, again()):  # another thread drew in between
        again = partial(np.array, numbers)
    return _Drawn(numbers, again, before, after)


_REENTRANT = type(RLock())


def _bits(stream: Any) -> Any:
    is_global = stream is global_stream()
    return np.random.mtrand.get_bit_generator() if is_global else stream.bit_generator


def _state(stream: Any) -> Any:
    if stream is global_stream():
        return np.random.get_state(legacy=False)
    return stream.bit_generator.state


def _fingerprint() -> bytes:
    """Bytes that differ for different states of NumPy's global random numbers."""
    bits = np.random.mtrand.get_bit_generator()
    if isinstance(bits, np.random.MT19937):  # its memory: 624 numbers and a place among them
        return ctypes.string_at(bits.ctypes.state_address, 625 * 4)
    return pickle.dumps(bits.state)


def _draw_from(stream: Any, state: Any, method: str, size: Any) -> Any:
    """What `stream` would draw from that state."""
    twin = _twins.of(stream is global_stream(), state["bit_generator"])
    if stream is global_stream():
        twin.set_state(state)
    else:
        twin.bit_generator.state = state
    return getattr(twin, method)(size)


class _Twins(local):
    """Streams of each thread that are given states: making one costs more than a small draw."""

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def of(self, is_global: bool, bits: str) -> Any:
        kind: Any = np.random.RandomState if is_global else np.random.Generator
        if (kind, bits) not in self._made:
            self._made[kind, bits] = kind(getattr(np.random, bits)(0))
        return self._made[kind, bits]


_twins = _Twins()
