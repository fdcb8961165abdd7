"""How the values of a thread are made: with a graph or without, at once or when needed, watched.

Context variables are local to a thread (and to an async task), and cheap to read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["enable_grad", "lazy_mode", "no_grad", "setting"]

is_lazy: ContextVar[bool] = ContextVar("is_lazy", default=False)
grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)

Observer = Callable[[Any, Any, tuple[Any, ...]], None]
observers: ContextVar[tuple[Observer, ...]] = ContextVar("observers", default=())
"""Called with (value, op, inputs) for every value made by an op, outermost first.

While one of them runs, only those outside it watch: so transformations of functions nest."""

differentiate: ContextVar[Callable[..., Any] | None] = ContextVar("differentiate", default=None)
"""Called with (out_grad, node) in the place of `node.op.gradient_as_tuple`, if it is set."""


@contextmanager
def setting(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """`variable` has `value` inside the block, and its former value after it."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def no_grad() -> Any:
    """Context manager and decorator: results record no graph and require no gradient.

    Example:
        >>> import needle as ndl
        >>> with ndl.no_grad():
        ...     (ndl.Tensor([1.0]) * 2).requires_grad
        False
    """
    return setting(grad_enabled, False)


def enable_grad(enabled: bool = True) -> Any:
    """Context manager and decorator: undoes a `no_grad` around it, if `enabled`."""
    return setting(grad_enabled, enabled)


def lazy_mode() -> Any:
    """Context manager and decorator: values are computed when they are first needed.

    Example:
        >>> import needle as ndl
        >>> with ndl.lazy_mode():
        ...     y = ndl.Tensor([1.0]) + 1
        >>> y.cached_data is None, y.item(), y.cached_data is None
        (True, 2.0, False)
    """
    return setting(is_lazy, True)


def notify(value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
    """Tell the observers of a new value."""
    watching = observers.get()
    for depth, observer in enumerate(watching):
        with setting(observers, watching[:depth]):
            observer(value, op, inputs)
