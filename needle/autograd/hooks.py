"""The handle of a registered hook."""

from collections.abc import Callable
from typing import Any, Self

__all__ = ["Hook"]


class Hook:
    """The handle of a registered hook: `remove()`, or the end of a `with` block, removes it.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0])
        >>> with x.register_hook(lambda grad: grad * 10):
        ...     (x * 2).backward()
        >>> print(x.grad)
        [20.]
    """

    def __init__(self, hooks: dict[Any, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Remove the hook; removing it again does nothing."""
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
