"""What a function reaches: tensors outside of it, and what must stay as it is for a recording."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain, compress
from operator import attrgetter, call, is_, itemgetter
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import Generator
from ..nn import Module
from ..nn.module import last_attribute
from ..optim import Optimizer
from ..optim.schedule import Schedule
from .unrolled import unrolled

__all__ = ["Reached"]

_SIMPLE = (bool, int, float, complex, str, bytes, type(None))
_FOREIGN = {"needle", "numpy", "builtins", "functools", "collections", "torch", "jax"}
_LONGEST = 10_000  # entries of a list that is looked into
_END = object()
_IS_FLAG = "if {0}.requires_grad is not {1}: return False"
_IS_CONTENT = "if {0}.cell_contents is not {1}: return False"


class Reached:
    """The tensors that a function reaches through closures, globals, modules and containers.

    `holds()` tells whether all that a recording depends on is as it was: the same tensors, modules
    and functions in the same places, equal numbers and strings in the variables and attributes that
    the code names, the same modes of modules, and the same tensors that require gradients.
    """

    def __init__(self, function: Any, args: Iterable[Any] = ()) -> None:
        self.tensors: list[Tensor] = []
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        # read(container) gives the values that are watched, under their names
        self._reads: list[Callable[[Any], Iterable[Any]]] = []
        self._containers: list[Any] = []
        self._watched: list[tuple[str, ...]] = []
        self._found: list[tuple[Any, ...]] = []
        self._walk(function)
        self.outside = set(self.tensors)
        """Those that are not reached through the arguments alone."""
        self._walk(tuple(args))
        self._seen.clear()
        self._note()

    def _note(self) -> None:
        """Sort what is read: attributes of modules are only looked at after one was set."""
        of_modules = [isinstance(container, Module) for container in self._containers]
        self._of_cells = [isinstance(container, types.CellType) for container in self._containers]
        others = [not (one or other) for one, other in zip(of_modules, self._of_cells, strict=True)]
        self._sorted = [
            ([*compress(self._reads, chosen)], [*compress(self._containers, chosen)], chosen)
            for chosen in (of_modules, others)
        ]
        self._flags = [tensor.requires_grad for tensor in self.tensors]
        self._has_flags = unrolled(_IS_FLAG, self.tensors, self._flags, last="return True")
        cells = [*compress(self._containers, self._of_cells)]
        self._has_contents = unrolled(_IS_CONTENT, cells, cells, last="return True")
        self._expect()

    def _expect(self) -> None:
        """From now on, what was found is what is to be found."""
        self._version = -1
        self._parts = [
            (reads, containers, [*chain.from_iterable(compress(self._found, chosen)), _END])
            for reads, containers, chosen in self._sorted
        ]
        contents = enumerate(found for found, _ in compress(self._found, self._of_cells))
        self._has_contents.__globals__.update((f"x1_{row}", value) for row, value in contents)

    # --- checking

    def holds(self) -> bool:
        """Whether everything is as it was."""
        if not self._has_flags():
            return False
        version = last_attribute[0]
        of_modules, others = self._parts
        try:
            is_same = self._has_contents()
        except ValueError:  # a variable that is not set
            is_same = False
        is_same = is_same and _is_same(*others)
        is_same = is_same and (version == self._version or _is_same(*of_modules))
        if is_same or self._holds_equal():
            self._version = version
            return True
        return False

    def _holds_equal(self) -> bool:
        """Whether what differs are other objects of equal numbers and strings."""
        now = self._now()
        for new, old in zip(now, self._found, strict=True):
            if len(new) != len(old) or not all(map(_is_equal, new, old)):
                return False
        self._found = now
        self._expect()
        return True

    def _now(self) -> list[tuple[Any, ...]]:
        """What all reads give now; an empty tuple where one fails."""
        found = []
        for read, container in zip(self._reads, self._containers, strict=True):
            try:
                found.append(tuple(read(container)))
            except (LookupError, AttributeError, ValueError):
                found.append(())
        return found

    def changed(self) -> list[str]:
        """The names of what is not as it was."""
        names: list[str] = []
        for new, old, watched in zip(self._now(), self._found, self._watched, strict=True):
            if len(new) != len(old):
                names.extend(watched)
            else:
                names += [
                    name
                    for name, one, other in zip(watched, new, old, strict=True)
                    if not _is_equal(one, other)
                ]
        flags = zip(self.tensors, self._flags, strict=True)
        is_frozen = any(tensor.requires_grad is not flag for tensor, flag in flags)
        return [*dict.fromkeys(names), *(["requires_grad"] if is_frozen else [])]

    def forget_changed(self, used: Container[Any]) -> None:
        """Leave out what the function itself changed while it was recorded: counters, caches.

        Not a tensor among `used`, which the recording has read: what is in its place must be read
        next time. Nor what became a tensor: the next call finds it there.
        """
        kept: list[Any] = []
        read: Any
        for read, container, watched, old, new in zip(
            self._reads, self._containers, self._watched, self._found, self._now(), strict=True
        ):
            if len(new) != len(old):
                continue
            names: list[str] = []
            values: list[Any] = []
            for name, one, other in zip(watched, new, old, strict=True):
                became = isinstance(one, Tensor) and not isinstance(other, Tensor)
                if _is_equal(one, other) or became or (isinstance(other, Tensor) and other in used):
                    names.append(name)
                    values.append(other)
            if len(names) == len(watched):
                kept.append((read, container, watched, old))
            elif names and read not in (iter, dict.values):
                kind: Any = type(read)  # itemgetter or attrgetter
                getter = kind(*names, names[0])
                kept.append((getter, container, (*names, names[0]), (*values, values[0])))
        self._reads, self._containers, self._watched, self._found = (
            map(list, zip(*kept, strict=True)) if kept else ([], [], [], [])
        )
        self._note()

    # --- walking

    def _watch(self, read: Any, container: Any, names: Iterable[Any]) -> None:
        """Have `holds()` look at some values; two of them at least, so that getters give tuples."""
        names = tuple(map(str, names))
        found = tuple(read(container))
        self._reads.append(read)
        self._containers.append(container)
        self._watched.append(names)
        self._found.append(found)

    def _walk(self, value: Any) -> bool:
        """Walk on from a value; whether it is, or holds, something that a recording depends on."""
        if isinstance(value, _SIMPLE):
            return False
        if id(value) not in self._seen:
            self._seen[id(value)] = value, True  # what a cycle comes back to
            self._seen[id(value)] = value, self._walk_into(value)
        return self._seen[id(value)][1]

    def _walk_into(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            if value.is_leaf() and value.cached_data is not None:
                self.tensors.append(value)
            return True
        if isinstance(value, np.ndarray | Generator):
            return True
        if isinstance(value, Optimizer):
            found = [self._walk(param) for param in value.params]
            return any(found)
        if isinstance(value, Schedule):
            return self._walk(value.optimizer)
        if isinstance(value, list | tuple | dict | set | frozenset | deque):
            return self._walk_container(value)
        if isinstance(value, Module):
            return self._walk_module(value)
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

    def _walk_container(self, value: Any) -> bool:
        if len(value) > _LONGEST:
            return False
        parts = list(value.values() if isinstance(value, dict) else value)
        found = [self._walk(part) for part in parts]
        if any(found) and not isinstance(value, tuple | frozenset):
            is_dict = isinstance(value, dict)
            names: Iterable[Any] = value if is_dict else range(len(value))
            self._watch(dict.values if is_dict else iter, value, names)
        return any(found)

    def _walk_module(self, module: Module) -> bool:
        names = {"training", "_hooks"}
        is_foreign = type(module).__module__.partition(".")[0] in _FOREIGN
        if is_foreign:
            simple: Any = bool | float | None
        else:
            simple = _SIMPLE
            for method in _functions_of(_class(module)):
                self._walk(method)
        named = _named_in(_class(module))
        for name, part in list(vars(module).items()):
            is_named = isinstance(part, simple) and (is_foreign or name in named)
            if self._walk(part) or is_named:
                names.add(name)
        self._watch(attrgetter(*sorted(names)), module, sorted(names))
        for hooks in vars(module._hooks).values() if module._hooks is not None else ():
            self._walk(tuple(hooks.values()))
            self._watch(dict.values, hooks, hooks)
        return True

    def _walk_function(self, function: types.FunctionType) -> bool:
        if (function.__module__ or "").partition(".")[0] in _FOREIGN:
            wrapped = getattr(function, "__wrapped__", None)
            return wrapped is not None and self._walk(wrapped)
        names = {name for code in _codes(function.__code__) for name in code.co_names}
        self._names |= names
        variables = function.__globals__
        named = [name for name in sorted(names) if self._is_watched(variables.get(name, types))]
        if named:
            self._watch(itemgetter(*named, named[0]), variables, (*named, named[0]))
        for cell, name in zip(
            function.__closure__ or (), function.__code__.co_freevars, strict=True
        ):
            try:
                value = cell.cell_contents
            except ValueError:  # not set yet
                continue
            if self._is_watched(value):
                self._watch(attrgetter("cell_contents", "cell_contents"), cell, (name, name))
        for part in (function.__defaults__, function.__kwdefaults__):
            self._walk(part)
        return True

    def _is_watched(self, value: Any) -> bool:
        """Whether a variable is: all but modules and classes, which nobody changes."""
        self._walk(value)
        return not isinstance(value, types.ModuleType | type)

    def _walk_object(self, value: Any) -> bool:
        """An object of a user's class: the attributes that the code names."""
        home = type(value).__module__.partition(".")[0]
        wrapped = getattr(value, "__wrapped__", None) if home == "needle" else None
        if wrapped is not None:  # another compiled function
            return self._walk(wrapped)
        if isinstance(value, type | types.ModuleType) or home in _FOREIGN:
            return False
        named = self._names | _named_in(_class(value))
        for method in _functions_of(_class(value)):
            self._walk(method)
        names = []
        for name in _attributes(value):
            part = getattr(value, name, None)
            if self._walk(part) or (isinstance(part, _SIMPLE) and name in named):
                names.append(name)
        if names:
            self._watch(attrgetter(*names, names[0]), value, (*names, names[0]))
        return bool(names)


def _attributes(value: Any) -> list[str]:
    """The names of the attributes that an object itself has."""
    slots = [getattr(kind, "__slots__", ()) for kind in type(value).__mro__]
    names = [name for each in slots for name in ((each,) if isinstance(each, str) else each)]
    if dataclasses.is_dataclass(value):
        names += [field.name for field in dataclasses.fields(value)]
    names = [*getattr(value, "__dict__", ()), *names]
    return [name for name in dict.fromkeys(names) if not name.startswith("__")]


@functools.cache
def _functions_of(kind: Any) -> tuple[types.FunctionType, ...]:
    """The methods of a user's class."""
    return tuple([
        each
        for base in kind.__mro__
        if base.__module__.partition(".")[0] not in _FOREIGN
        for name, each in vars(base).items()
        if isinstance(each, types.FunctionType) and name != "__init__"
    ])  # fmt: skip


@functools.cache
def _named_in(kind: Any) -> frozenset[str]:
    """The names in the code of a user's class."""
    codes = [code for each in _functions_of(kind) for code in _codes(each.__code__)]
    return frozenset([name for code in codes for name in code.co_names])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_same(reads: Any, containers: Any, values: list[Any]) -> bool:
    """Whether reads give the very objects that they once gave."""
    try:
        now = chain.from_iterable(map(call, reads, containers))
        return all(map(is_, chain(now, (_END,)), values))
    except (LookupError, AttributeError, ValueError):
        return False


def _is_equal(a: Any, b: Any) -> bool:
    """Whether two values are one object, or equal numbers or strings of one type."""
    return a is b or (type(a) is type(b) and isinstance(a, _SIMPLE) and repr(a) == repr(b))


_class: Any = type
