"""Setting a context variable for a block, and back whatever happens."""

from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import partial
from itertools import chain, compress, repeat
from operator import attrgetter
from typing import Any

from .resumed import resumed

__all__ = ["override"]

_RETURN_NOTHING = repeat("".format)  # a function in C that takes any arguments: its "" is false


def _setting(variable: ContextVar[Any], value: Any) -> Iterator[Any]:
    """Each `next` sets `variable` to `value` and returns a function that does nothing."""
    return compress(_RETURN_NOTHING, map(variable.set, repeat(value)))


class _Restore(chain):
    """Takes `next` of an iterator when it is called, with any arguments, and when it is dropped."""

    __call__ = property(next)
    __del__ = chain.__next__


class _Special(property):
    """A special method that `with` statements get as a function in C.

    `contextlib.ExitStack` takes it from the class and calls it with the instance.
    """

    def __init__(self, prepare: Callable[[Any], Any], function: Callable[..., Any]) -> None:
        super().__init__(prepare)
        self.function = function

    def __call__(self, mode: Any, *error: object) -> Any:
        return self.function(mode, *error)


_on_stacks: ContextVar[tuple[Any, ...]] = ContextVar("on_stacks", default=())
"""What sets back the modes that ExitStacks have entered."""


class override(ContextDecorator):
    """Context manager and decorator: sets `variable` to `value`, and back at the end.

    A KeyboardInterrupt may come at any bytecode, also between the last line of a block and a
    method `__exit__`. So a `with` statement gets, before it enters, an object that sets the
    variable back in C: when it is called, and when the statement drops it for any other reason.
    An instance has no state: it serves several blocks, inside each other and in several threads.
    As decorator of generator functions and coroutines it is in force while they run, not while
    they wait.
    """

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self.variable = variable
        self.enter = partial(variable.set, value)
        formers = (False, True) if isinstance(value, bool) else ()
        self._settings = {former: _setting(variable, former) for former in formers}

    def _exit(self) -> Any:
        return self.back_to(self.variable.get())

    def back_to(self, former: Any) -> Any:
        """What sets the variable to `former` when it is called or dropped."""
        if self._settings:
            return _Restore(self._settings[former])
        return _Restore(_setting(self.variable, former))

    def _entered(self) -> None:
        _on_stacks.set((*_on_stacks.get(), self.__exit__))
        self.enter()

    def _left(self, *error: object) -> None:
        *outer, leave = _on_stacks.get()
        _on_stacks.set(tuple(outer))
        leave()

    __enter__ = _Special(attrgetter("enter"), _entered)
    __exit__ = _Special(_exit, _left)

    def __call__(self, function: Any) -> Any:
        return resumed(self, function) or super().__call__(function)
