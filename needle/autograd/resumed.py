"""Generators and coroutines that run inside a context, each time that they are resumed."""

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["resumed"]


def resumed(context: AbstractContextManager[Any], function: Any) -> Callable[..., Any] | None:
    """A generator function, or a coroutine function, whose code runs inside `context`.

    It is entered when the generator is resumed and left when it yields, so that who closes it may
    be another thread. None for any other function, whose call may be put inside the context.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **options: Any) -> Any:
            return (yield from _driven(context, function(*args, **options)))

        return generate
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run(*args: Any, **options: Any) -> Any:
            return await _awaited(context, function(*args, **options))

        return run
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate(*args: Any, **options: Any) -> AsyncGenerator[Any, Any]:
            inner = function(*args, **options)
            resume = inner.asend(None)
            try:
                while True:
                    value = await _awaited(context, resume)
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        resume = inner.athrow(error)
                    else:
                        resume = inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await _awaited(context, inner.aclose())

        return iterate
    return None


def _driven(context: AbstractContextManager[Any], inner: Any) -> Generator[Any, Any, Any]:
    """`yield from inner`, inside `context` while `inner` runs."""
    resume: Callable[[], Any] = functools.partial(inner.send, None)
    try:
        while True:
            with context:
                value = resume()
            try:
                sent = yield value
            except GeneratorExit:
                with context:
                    inner.close()
                raise
            except BaseException as error:
                resume = functools.partial(inner.throw, error)
            else:
                resume = functools.partial(inner.send, sent)
    except StopIteration as end:
        return end.value


@types.coroutine
def _awaited(context: AbstractContextManager[Any], inner: Any) -> Generator[Any, Any, Any]:
    return (yield from _driven(context, inner))
