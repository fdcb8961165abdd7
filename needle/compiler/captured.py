"""What a function reaches: tensors outside of it, and what must stay as it is for a recording."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any

from ..autograd import Tensor
from ..nn import Module
from ..optim import Optimizer
from ..optim.schedule import Schedule

__all__ = ["Reached"]

_SIMPLE = (bool, int, float, str, bytes, type(None))
_FOREIGN = {"needle", "numpy", "builtins", "functools", "collections", "torch", "jax"}


class Reached:
    """The tensors that a function reaches through closures, globals, modules and containers.

    `holds()` tells whether all that a recording depends on is as it was: the same tensors, modules
    and functions in the same places, the same modes of modules, and the same numbers and strings in
    the variables and the attributes that the code names.
    """

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.tensors: list[Tensor] = []
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        self._getters: list[Callable[[Any, Any], Any]] = []
        self._containers: list[Any] = []
        self._keys: list[Any] = []
        self._values: list[Any] = []
        for root in (function, *args):
            self._walk(root)
        self._flags = [tensor.requires_grad for tensor in self.tensors]
        self._seen.clear()

    # --- checking

    def holds(self) -> bool:
        """Whether everything is as it was."""
        try:
            same = map(
                operator.is_, map(_get, self._getters, self._containers, self._keys), self._values
            )
            return all(same) and [*map(_requires_grad, self.tensors)] == self._flags
        except (LookupError, AttributeError, ValueError):
            return False

    def changed(self) -> list[str]:
        """The names of what is not as it was."""
        return [str(self._keys[i]) for i in self._different()]

    def _different(self) -> list[int]:
        found = []
        for i, value in enumerate(self._values):
            try:
                is_same = self._getters[i](self._containers[i], self._keys[i]) is value
            except (LookupError, AttributeError, ValueError):
                is_same = False
            if not is_same:
                found.append(i)
        return found

    def forget_changed(self) -> None:
        """Leave out what the function itself changed while it was recorded: counters, caches."""
        different = set(self._different())
        for each in (self._getters, self._containers, self._keys, self._values):
            each[:] = [part for i, part in enumerate(each) if i not in different]
        self._flags = [tensor.requires_grad for tensor in self.tensors]

    # --- walking

    def _guard(self, getter: Any, container: Any, key: Any, value: Any) -> None:
        self._getters.append(getter)
        self._containers.append(container)
        self._keys.append(key)
        self._values.append(value)

    def _visit(
        self, getter: Any, container: Any, key: Any, value: Any, is_named: bool = True
    ) -> bool:
        """Walk on from `value`; whether it is, or holds, something that a recording depends on."""
        is_relevant = is_named if isinstance(value, _SIMPLE) else self._walk(value)
        if is_relevant:
            self._guard(getter, container, key, value)
        return is_relevant

    def _walk(self, value: Any) -> bool:
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        self._seen[id(value)] = value, True
        is_relevant = self._walk_into(value)
        self._seen[id(value)] = value, is_relevant
        return is_relevant

    def _walk_into(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            if value.is_leaf() and value.cached_data is not None:
                self.tensors.append(value)
            return True
        if isinstance(value, Optimizer):
            for param in value.params:
                self._walk(param)
            return True
        if isinstance(value, Schedule):
            return self._walk(value.optimizer)
        if isinstance(value, list | tuple):
            if len(value) > 10_000:
                return False
            found = [
                self._visit(operator.getitem, value, i, each, False) for i, each in enumerate(value)
            ]
            if any(found) and isinstance(value, list):
                self._guard(_length_is, value, len(value), True)
            return any(found)
        if isinstance(value, dict):
            visit, getter = self._visit, operator.getitem
            found = [visit(getter, value, key, each, False) for key, each in list(value.items())]
            return any(found)
        if isinstance(value, Module):
            own = vars(value)
            for name in list(own):
                self._visit(
                    dict.__getitem__, own, name, own[name], isinstance(own[name], bool | float)
                )
            self._walk(type(value).forward)
            return True
        if isinstance(value, types.MethodType):
            self._walk(value.__func__)
            self._walk(value.__self__)
            return True
        if isinstance(value, functools.partial):
            found = [self._walk(part) for part in (value.func, value.args, value.keywords)]
            return any(found)
        if isinstance(value, types.FunctionType):
            return self._walk_function(value)
        return self._walk_object(value)

    def _walk_function(self, function: types.FunctionType) -> bool:
        if (function.__module__ or "").partition(".")[0] in _FOREIGN:
            wrapped = getattr(function, "__wrapped__", None)
            return wrapped is not None and self._walk(wrapped)
        codes = list(_codes(function.__code__))
        names = {name for code in codes for name in code.co_names}
        self._names |= names
        for name in sorted(names & function.__globals__.keys()):
            self._visit(operator.getitem, function.__globals__, name, function.__globals__[name])
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # not set yet
                continue
            self._visit(getattr, cell, "cell_contents", value)
        for part in (function.__defaults__, function.__kwdefaults__):
            self._walk(part)
        return True

    def _walk_object(self, value: Any) -> bool:
        """An object of a user's class: the attributes that the code names."""
        home = type(value).__module__.partition(".")[0]
        wrapped = getattr(value, "__wrapped__", None) if home == "needle" else None
        if wrapped is not None:  # another compiled function
            return self._walk(wrapped)
        if isinstance(value, type | types.ModuleType) or home in _FOREIGN:
            return False
        try:
            own = vars(value)
        except TypeError:
            return False
        found = [
            self._visit(operator.getitem, own, name, own[name])
            for name in list(own)
            if name in self._names or not isinstance(own[name], _SIMPLE)
        ]
        if callable(value):
            self._walk(type(value).__call__)
        return any(found)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _get(getter: Callable[[Any, Any], Any], container: Any, key: Any) -> Any:
    return getter(container, key)


def _length_is(container: Any, length: int) -> bool:
    return len(container) == length


_requires_grad = operator.attrgetter("requires_grad")
