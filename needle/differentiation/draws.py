"""Random draws that can be made again, without touching what they came from."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import RLock, get_ident
from typing import Any

import numpy as np

from ..autograd.modes import override
from ..device import Draw, draw, draw_instead, global_draws, global_stream

__all__ = ["Draws"]


class Draws:
    """The random draws of a function through needle, repeated when it is called again.

    A draw is kept as the state of its stream before it, or as numbers if another thread drew in
    between. So several threads can repeat theirs at once. Where the function called `np.random` by
    itself, and no other thread drew through needle, NumPy's global state is set for the repetition.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Any, Callable[[], Any]]] = []  # requests, and what makes them again
        self._global_state: Any = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keeps the draws inside the block."""
        draw_once: Draw = draw_instead.get() or _draw_reproducibly
        others = _draws_of_others()  # before the state and, below, after it
        before = expected = _global_state()
        by_itself = False

        def note(stream: Any, method: str, size: Any) -> tuple[Any, Callable[[], Any]]:
            nonlocal expected, by_itself
            by_itself = by_itself or _global_state() != expected
            numbers, again = draw_once(stream, method, size)
            if stream is global_stream:
                expected = _global_state()
            self._kept.append(((stream is global_stream, method, size), again))
            return numbers, again

        with override(draw_instead, note):
            yield
        by_itself = by_itself or _global_state() != expected
        is_alone = others == _draws_of_others() and not any(count % 2 for count in others.values())
        if by_itself and is_alone:
            self._global_state = before
            self._kept = [each for each in self._kept if not each[0][0]]

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Makes the same draws again inside the block, in the same order."""
        kept = iter(self._kept)

        def repeat(stream: Any, method: str, size: Any) -> tuple[Any, Callable[[], Any]]:
            is_global = stream is global_stream
            if is_global and self._global_state is not None:
                return _draw_reproducibly(stream, method, size)
            request, again = next(kept, (None, None))
            if again is None or request != (is_global, method, size):
                raise RuntimeError(
                    f"checkpoint: the function draws other random numbers ({method} of {size}) "
                    "when it is computed again: a second call must do the same as the first"
                )
            return again(), again

        with override(draw_instead, repeat):
            if self._global_state is None:
                yield
                return
            former = np.random.get_state()
            np.random.set_state(pickle.loads(self._global_state))
            try:
                yield
            finally:
                np.random.set_state(former)


def _draws_of_others() -> dict[int, int]:
    """What other threads count in `global_draws`; odd while one draws."""
    return {thread: count for thread, count in list(global_draws.items()) if thread != get_ident()}


def _draw_reproducibly(stream: Any, method: str, size: Any) -> tuple[Any, Callable[[], Any]]:
    """The numbers, and what makes them again: their state, or else the numbers themselves."""
    lock = _bits(stream).lock
    if isinstance(lock, _REENTRANT):
        with lock:
            state = _state(stream)
            numbers = draw(stream, method, size)
        return numbers, partial(_draw_from, stream, state, method, size)
    state = _state(stream)  # NumPy before 2.3: another thread may draw in between
    numbers = draw(stream, method, size)
    again = partial(_draw_from, stream, state, method, size)
    return numbers, again if np.array_equal(numbers, again()) else partial(np.array, numbers)


_REENTRANT = type(RLock())


def _bits(stream: Any) -> Any:
    return np.random.mtrand.get_bit_generator() if stream is global_stream else stream.bit_generator


def _draw_from(stream: Any, state: Any, method: str, size: Any) -> Any:
    """What `stream` would draw from that state."""
    bits = getattr(np.random, state["bit_generator"])(0)
    twin: Any
    if stream is global_stream:
        twin = np.random.RandomState(bits)
        twin.set_state(state)
    else:
        twin = np.random.Generator(bits)
        bits.state = state
    return getattr(twin, method)(size)


def _state(stream: Any) -> Any:
    if stream is global_stream:
        return np.random.get_state(legacy=False)
    return stream.bit_generator.state


def _global_state() -> bytes:
    """NumPy's global random state; equal states give equal bytes."""
    return pickle.dumps(_state(global_stream))
