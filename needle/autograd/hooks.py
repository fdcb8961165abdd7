"""The handle of a registered hook."""

from collections.abc import Callable
from typing import Any, Self

__all__ = ["Hook"]


class Hook:
    """A registered hook, which `remove()`, or the end of a `with` block, takes away again."""

    def __init__(self, hooks: dict[Any, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Call the hook no more."""
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
