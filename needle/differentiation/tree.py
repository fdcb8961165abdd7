"""Nested containers of tensors: flatten them, and put other values in the places of the tensors.

Containers are tuples, named tuples, lists, dicts, dataclasses, `TensorTuple`s, and objects with a
method `named_parameters()` (Modules), which stand for their parameters. The rest is left as it is,
and so are dataclasses with a state of their own (`load_state_dict`), such as optimizers.
"""

import copy
import dataclasses
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..autograd import Tensor, TensorTuple
from ..ops import make_tuple

__all__ = ["flatten", "is_record", "paths", "substituted"]

Found = list[tuple[str, Tensor, bool]]  # path, tensor, whether it is a module's parameter
Rebuild = Callable[[Iterator[Any]], Any]


def flatten(
    tree: Any, keeps_modules: bool = False
) -> tuple[list[Tensor], Callable[[Sequence[Any]], Any]]:
    """The tensors of a nested container, and a function that puts other values in their places.

    A module comes back as a dict under the names of its parameters, or as it is.

    Example:
        >>> import needle as ndl
        >>> tensors, rebuild = flatten({"a": ndl.Tensor(1.0), "b": [ndl.Tensor(2.0), "text"]})
        >>> len(tensors), rebuild([10, 20])
        (2, {'a': 10, 'b': [20, 'text']})
    """
    found: Found = []
    rebuild = _visit(tree, "", found, keeps_modules)
    return [tensor for _, tensor, _ in found], lambda values: rebuild(iter(values))


def substituted(
    tree: Any,
    function: Callable[[Tensor], Any],
    of_parameter: Callable[[Tensor], Any] = lambda parameter: None,
) -> Any:
    """A nested container with function(tensor) in the place of each tensor.

    Modules stay; of_parameter(parameter) is called for theirs, in the order of `flatten`.
    """
    found: Found = []
    rebuild = _visit(tree, "", found, keeps_modules=True)
    values = [(of_parameter if is_own else function)(tensor) for _, tensor, is_own in found]
    return rebuild(iter(values))


def paths(tree: Any) -> dict[str, Tensor]:
    """The tensors of a nested container by where they are, as in `['a'][0]`."""
    found: Found = []
    _visit(tree, "", found)
    return {path: tensor for path, tensor, _ in found}


def _visit(tree: Any, path: str, found: Found, keeps_modules: bool = False) -> Rebuild:
    """Append the tensors of `tree` to `found`; the result builds `tree` with as many new values."""

    def visit(part: Any, step: str) -> Rebuild:
        return _visit(part, path + step, found, keeps_modules)

    if isinstance(tree, Tensor):
        found.append((path, tree, False))
        return next
    if hasattr(type(tree), "named_parameters"):
        parameters = dict(tree.named_parameters())
        found += [(f"{path}[{name!r}]", tensor, True) for name, tensor in parameters.items()]

        def by_name(values: Iterator[Any]) -> Any:
            taken = {name: next(values) for name in parameters}
            return tree if keeps_modules else taken

        return by_name
    if isinstance(tree, tuple | list | TensorTuple):
        items = [visit(item, f"[{index}]") for index, item in enumerate(tree)]
        return lambda values: _sequence_like(tree, [item(values) for item in items])
    put: Callable[[Any, Any, Any], None]
    if isinstance(tree, dict):
        parts = {key: visit(value, f"[{key!r}]") for key, value in tree.items()}
        put = operator.setitem
    elif is_record(tree):
        names = [field.name for field in dataclasses.fields(tree)]
        parts = {name: visit(getattr(tree, name), f".{name}") for name in names}
        put = object.__setattr__  # it may be frozen
    else:
        return lambda values: tree

    def copied(values: Iterator[Any]) -> Any:
        # not type(tree)(...): a dataclass would check its fields, which may be derivatives here,
        # and a subclass of dict may hold more than its entries
        result = copy.copy(tree)
        for key, part in parts.items():
            put(result, key, part(values))
        return result

    return copied


def is_record(value: Any) -> bool:
    """Whether a value is a dataclass that is a container."""
    is_dataclass = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return is_dataclass and not hasattr(value, "load_state_dict")


def _sequence_like(sequence: Any, items: list[Any]) -> Any:
    if isinstance(sequence, list):
        return items
    if hasattr(sequence, "_fields"):  # a named tuple takes its fields one by one
        return type(sequence)(*items)
    # the entries of a Jacobian may be containers, which a TensorTuple cannot hold
    is_tensors = isinstance(sequence, TensorTuple) and all(isinstance(x, Tensor) for x in items)
    return make_tuple(*items) if is_tensors else tuple(items)
