"""Whether numbers that leave the graph would be missing from a derivative that is being taken."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .modes import grad_enabled, override

__all__ = ["check_unwatched", "is_followed", "is_watching", "records", "watching"]

watched: ContextVar[Callable[[Any], bool] | None] = ContextVar("watched", default=None)
"""Inside `grad`, `jvp` and the like: whether a derivative is taken through a tensor."""


def watching(is_followed: Callable[[Any], bool]) -> override:
    """Context manager: a derivative is taken through the tensors for which `is_followed` holds.

    Inside, `float`, `int` and `np.asarray` of them raise an error.
    """
    outer = watched.get()
    both = is_followed if outer is None else lambda value: is_followed(value) or outer(value)
    return override(watched, both)


def is_watching() -> bool:
    """Whether a derivative is being taken."""
    return watched.get() is not None


def records(value: Any) -> bool:
    """Whether what is computed from a tensor by ops becomes a part of its graph."""
    return value.requires_grad and grad_enabled.get()


def is_followed(value: Any) -> bool:
    """Whether a derivative would lack a term if something else than ops computed with a tensor."""
    is_watched = watched.get()
    return records(value) or (is_watched is not None and is_watched(value))


def check_unwatched(value: Any, call: str, instead: str) -> None:
    """An error if `call` would take the values of a tensor out of a derivative that is taken."""
    is_watched = watched.get()
    if is_watched is not None and is_watched(value):
        raise RuntimeError(
            f"{call} of a tensor that is being differentiated leaves the graph, so that a term of "
            f"the derivative would be missing: {instead}, or say with x.item() or x.detach() that "
            "it is meant as a constant"
        )
