"""Dotted paths to the parameters, buffers and modules in the attributes of a module."""

from collections.abc import Iterator
from typing import Any

__all__ = ["distinct", "join", "once", "unpack"]


def unpack(container: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The entries of a nested list, tuple or dict, each under its dotted path."""
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in pairs:
        name = join(prefix, str(key))
        if isinstance(value, list | tuple | dict):
            yield from unpack(value, name)
        else:
            yield name, value


def join(prefix: str, name: str) -> str:
    """The path of what is called `name` at the path `prefix`."""
    return f"{prefix}.{name}" if prefix else name


def once(pairs: Iterator[tuple[str, Any]], kind: type) -> Iterator[tuple[str, Any]]:
    """The pairs whose value is a `kind`, each value under its first path."""
    seen: set[int] = set()
    for path, value in pairs:
        if isinstance(value, kind) and id(value) not in seen:
            seen.add(id(value))
            yield path, value


def distinct(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The pairs; two values under one path are a ValueError."""
    values: dict[str, Any] = {}
    for path, value in pairs:
        if values.setdefault(path, value) is not value:
            raise ValueError(
                f"two tensors have the path {path!r}, under which only one can be saved: give them "
                'different keys (1 and "1" are the same in a path)'
            )
        yield path, value
