"""Nested containers of tensors: taking the tensors out, and putting others in their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .autograd import Tensor, TensorTuple
from .nn import Module

__all__ = ["flatten", "paths"]

Rebuild = Callable[[Iterator[Any]], Any]


def flatten(tree: Any) -> tuple[list[Tensor], Callable[[Sequence[Any]], Any]]:
    """The tensors of a nested container, and a function that puts others in their places.

    Containers are tuples, named tuples, lists, dicts, dataclasses and `TensorTuple`s. A `Module`
    stands for its parameters: what is put in their places comes back as a dict under the
    parameters' names. Everything else stays where it is.

    Example:
        >>> import needle as ndl
        >>> tensors, rebuild = flatten({"a": ndl.Tensor(1.0), "b": [ndl.Tensor(2.0), "text"]})
        >>> len(tensors), rebuild([10, 20])
        (2, {'a': 10, 'b': [20, 'text']})
    """
    found: list[tuple[str, Tensor]] = []
    rebuild = _visit(tree, "", found)
    return [tensor for _, tensor in found], lambda values: rebuild(iter(values))


def paths(tree: Any) -> list[str]:
    """Where the tensors of a nested container are, as in `['a'][0]`."""
    found: list[tuple[str, Tensor]] = []
    _visit(tree, "", found)
    return [path for path, _ in found]


def _visit(tree: Any, path: str, found: list[tuple[str, Tensor]]) -> Rebuild:
    """Note the tensors of `tree`; the function returned draws as many values and rebuilds it."""
    if isinstance(tree, Tensor):
        found.append((path, tree))
        return next
    if isinstance(tree, Module):
        return _visit(dict(tree.named_parameters()), path, found)
    if isinstance(tree, dict):
        parts = {key: _visit(value, f"{path}[{key!r}]", found) for key, value in tree.items()}
        return lambda values: {key: part(values) for key, part in parts.items()}
    if isinstance(tree, tuple | list | TensorTuple):
        make = _maker(tree)
        items = [_visit(value, f"{path}[{index}]", found) for index, value in enumerate(tree)]
        return lambda values: make([item(values) for item in items])
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {
            field.name: _visit(getattr(tree, field.name), f"{path}.{field.name}", found)
            for field in dataclasses.fields(tree)
        }
        return lambda values: dataclasses.replace(
            tree, **{name: part(values) for name, part in fields.items()}
        )
    return lambda values: tree


def _maker(sequence: Any) -> Callable[[list[Any]], Any]:
    if hasattr(sequence, "_fields"):  # a named tuple takes its fields one by one
        return lambda items: type(sequence)(*items)
    return list if isinstance(sequence, list) else tuple
