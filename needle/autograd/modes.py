"""Modes: whether ops record a graph, whether they compute at once, and who observes them.

Context variables are local to a thread (and to an async task), and cheap to read.
"""

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any, Self

__all__ = ["accumulate_gradients", "enable_grad", "lazy_mode", "no_grad", "override"]

is_lazy: ContextVar[bool] = ContextVar("is_lazy", default=False)
grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)

is_recomputing: ContextVar[bool] = ContextVar("is_recomputing", default=False)
"""True while a checkpoint recomputes: effects beside the results are skipped."""

accumulate: ContextVar[bool] = ContextVar("accumulate", default=False)
"""True: `backward` adds to stored gradients instead of replacing them."""

Observer = Callable[[Any, Any, tuple[Any, ...]], None]
observers: ContextVar[tuple[Observer, ...]] = ContextVar("observers", default=())
"""Called with (value, op, inputs) for every value made by an op, outermost first.

While one of them runs, only the outer ones are called, so that transformations can be nested."""

differentiate: ContextVar[Callable[..., Any] | None] = ContextVar("differentiate", default=None)
"""If set, called with (out_grad, node) instead of `node.op.gradient_as_tuple`."""


class override(ContextDecorator):
    """Context manager and decorator: sets `variable` to `value`, and resets it at the end.

    Not a generator, which would cost a short `backward` a hundredth of its time.
    """

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self.variable = variable
        self.value = value
        self._tokens: list[Token[Any]] = []  # several, when it is entered again inside itself

    def _recreate_cm(self) -> Self:  # each call of a decorated function has its own token
        return type(self)(self.variable, self.value)

    def __enter__(self) -> None:
        self._tokens.append(self.variable.set(self.value))

    def __exit__(self, *error: object) -> None:
        self.variable.reset(self._tokens.pop())


def no_grad() -> override:
    """Context manager and decorator: results record no graph and require no gradient.

    Example:
        >>> import needle as ndl
        >>> with ndl.no_grad():
        ...     (ndl.Tensor([1.0]) * 2).requires_grad
        False
    """
    return override(grad_enabled, False)


def enable_grad(enabled: bool = True) -> override:
    """Context manager and decorator: graphs are recorded, inside `no_grad` too, if `enabled`."""
    return override(grad_enabled, enabled)


def accumulate_gradients() -> override:
    """Context manager and decorator: `backward` adds to the gradients that there are.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.Tensor([1.0, 2.0])
        >>> with ndl.accumulate_gradients():
        ...     for batch in (3.0, 4.0):
        ...         (weight * batch).sum().backward()
        >>> weight.grad.numpy()
        array([7., 7.])
    """
    return override(accumulate, True)


def lazy_mode() -> override:
    """Context manager and decorator: values are computed when they are first needed.

    Example:
        >>> import needle as ndl
        >>> with ndl.lazy_mode():
        ...     y = ndl.Tensor([1.0]) + 1
        >>> y.cached_data is None, y.item(), y.cached_data is None
        (True, 2.0, False)
    """
    return override(is_lazy, True)


def notify(value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
    """Tell the observers of a new value."""
    watching = observers.get()
    for depth, observer in enumerate(watching):
        with override(observers, watching[:depth]):
            observer(value, op, inputs)
