"""Nested containers of tensors: taking the tensors out, and putting others in their places."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..autograd import Tensor, TensorTuple
from ..nn import Module
from ..ops import make_tuple

__all__ = ["flatten", "paths", "substituted"]

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
    rebuild = _visit(tree, "", found, _visit_parameters)
    return [tensor for _, tensor in found], lambda values: rebuild(iter(values))


def substituted(
    tree: Any,
    function: Callable[[Tensor], Any],
    of_parameter: Callable[[Tensor], Any] = lambda parameter: parameter,
) -> Any:
    """A nested container with function(tensor) in the place of each tensor.

    Modules stay; of_parameter(parameter) is called for theirs, in the order of `flatten`.
    """
    parameters: set[int] = set()  # their places among the tensors found

    def visit_module(module: Module, path: str, found: list[tuple[str, Tensor]]) -> Rebuild:
        before = len(found)
        consume = _visit_parameters(module, path, found)
        parameters.update(range(before, len(found)))

        def keep(values: Iterator[Any]) -> Module:
            consume(values)
            return module

        return keep

    found: list[tuple[str, Tensor]] = []
    rebuild = _visit(tree, "", found, visit_module)
    values = [
        (of_parameter if place in parameters else function)(tensor)
        for place, (_, tensor) in enumerate(found)
    ]
    return rebuild(iter(values))


def paths(tree: Any) -> list[str]:
    """Where the tensors of a nested container are, as in `['a'][0]`."""
    found: list[tuple[str, Tensor]] = []
    _visit(tree, "", found, _visit_parameters)
    return [path for path, _ in found]


def _visit(
    tree: Any, path: str, found: list[tuple[str, Tensor]], visit_module: Callable[..., Rebuild]
) -> Rebuild:
    """Note the tensors of `tree`; the function returned draws as many values and rebuilds it."""

    def visit(part: Any, step: str) -> Rebuild:
        return _visit(part, path + step, found, visit_module)

    if isinstance(tree, Tensor):
        found.append((path, tree))
        return next
    if isinstance(tree, Module):
        return visit_module(tree, path, found)
    if isinstance(tree, dict):
        parts = {key: visit(value, f"[{key!r}]") for key, value in tree.items()}
        return lambda values: _with_entries(tree, _drawn(parts, values))
    if isinstance(tree, tuple | list | TensorTuple):
        make = _maker(tree)
        items = [visit(value, f"[{index}]") for index, value in enumerate(tree)]
        return lambda values: make([item(values) for item in items])
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {
            field.name: visit(getattr(tree, field.name), f".{field.name}")
            for field in dataclasses.fields(tree)
        }
        return lambda values: _with_fields(tree, _drawn(fields, values))
    return lambda values: tree


def _visit_parameters(module: Module, path: str, found: list[tuple[str, Tensor]]) -> Rebuild:
    return _visit(dict(module.named_parameters()), path, found, _visit_parameters)


def _drawn(parts: dict[Any, Rebuild], values: Iterator[Any]) -> dict[Any, Any]:
    return {key: part(values) for key, part in parts.items()}


def _with_entries(mapping: dict[Any, Any], entries: dict[Any, Any]) -> dict[Any, Any]:
    """A copy, because a subclass of dict may hold more than its entries."""
    result = copy.copy(mapping)
    result.update(entries)
    return result


def _with_fields(record: Any, fields: dict[str, Any]) -> Any:
    """A copy, because a new dataclass would check or compute fields that are derivatives here."""
    result = copy.copy(record)
    for name, value in fields.items():
        object.__setattr__(result, name, value)  # it may be frozen
    return result


def _maker(sequence: Any) -> Callable[[list[Any]], Any]:
    if hasattr(sequence, "_fields"):  # a named tuple takes its fields one by one
        return lambda items: type(sequence)(*items)
    if isinstance(sequence, TensorTuple):
        return _tuple_of
    return list if isinstance(sequence, list) else tuple


def _tuple_of(items: list[Any]) -> Any:
    """A TensorTuple, where all items are tensors: those of a Jacobian may be containers."""
    if all(isinstance(item, Tensor) for item in items):
        return make_tuple(*items)
    return tuple(items)
