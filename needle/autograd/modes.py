"""Modes: whether ops record a graph, whether they compute at once, and who observes them.

Context variables are local to a thread (and to an async task), and cheap to read.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .override import _Special, override

__all__ = [
    "accumulate_gradients", "enable_grad", "is_grad_enabled", "lazy_mode", "no_grad", "override",
    "set_grad_enabled",
]  # fmt: skip

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

effects: ContextVar[Any] = ContextVar("effects", default=None)
"""If set, told of what ops do not show: `assign(...)` instead of writing, `accumulate(leaf)` of a
gradient that is added to the former one, `clear(leaves)` of gradients that are reset, and
`act(action)` of an optimizer or a schedule that steps, which it keeps in `actions`. Nothing has
numbers then."""

_WITH_GRAD, _WITHOUT_GRAD = override(grad_enabled, True), override(grad_enabled, False)
_LAZY, _ACCUMULATING = override(is_lazy, True), override(accumulate, True)


def no_grad() -> override:
    """Context manager and decorator: results require no gradient and have no graph.

    Example:
        >>> import needle as ndl
        >>> with ndl.no_grad():
        ...     (ndl.Tensor([1.0]) * 2).requires_grad
        False
    """
    return _WITHOUT_GRAD


def enable_grad(enabled: bool = True) -> override:
    """Context manager and decorator: enables graphs, also inside `no_grad`, if `enabled`.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0])
        >>> with ndl.no_grad(), ndl.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        True
    """
    return _WITH_GRAD if enabled else _WITHOUT_GRAD


def is_grad_enabled() -> bool:
    """Whether ops record graphs here, which `no_grad` and the like change.

    Example:
        >>> import needle as ndl
        >>> with ndl.no_grad():
        ...     ndl.is_grad_enabled()
        False
    """
    return grad_enabled.get()


class set_grad_enabled(override):
    """Enables or disables graphs from here on; in a `with` statement, back at the end of the block.

    Where there is a block, `no_grad()` and `enable_grad(...)` do the same.

    Example:
        >>> import needle as ndl
        >>> is_training = False
        >>> with ndl.set_grad_enabled(is_training):
        ...     (ndl.Tensor([1.0]) * 2).requires_grad
        False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(grad_enabled, bool(mode))
        self.mode, self.former = bool(mode), grad_enabled.get()
        self.enter()

    def _exit(self) -> Any:
        return self.back_to(self.former)

    __exit__ = _Special(_exit, override._left)

    def __call__(self, function: Any) -> Any:
        grad_enabled.set(self.former)
        return enable_grad(self.mode)(function)


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
    return _ACCUMULATING


def lazy_mode() -> override:
    """Context manager and decorator: values are computed when they are first needed.

    Example:
        >>> import needle as ndl
        >>> with ndl.lazy_mode():
        ...     y = ndl.Tensor([1.0]) + 1
        >>> y.cached_data is None, y.item(), y.cached_data is None
        (True, 2.0, False)
    """
    return _LAZY


def notify(value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
    """Tell the observers of a new value."""
    watching = observers.get()
    with override(observers, ()):
        for depth, observer in enumerate(watching):
            observers.set(watching[:depth])
            observer(value, op, inputs)
