"""Containers of modules and parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Self

from ..autograd import Tensor
from .module import Module, Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Residual", "Sequential"]


class _Items(Module, MutableSequence):
    """A list that is a module; `_contents` names the tuple of items, `_as_item` checks an item."""

    _contents = "items"
    _as_item: Callable[[Any], Any]

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        setattr(self, self._contents, tuple(map(self._as_item, items)))

    def _items(self) -> tuple[Any, ...]:
        return getattr(self, self._contents)

    def _change(self, method: Callable[..., None], *args: Any) -> None:
        items = list(self._items())
        method(items, *args)
        setattr(self, self._contents, tuple(items))

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: Any) -> Any:
        found = self._items()[index]
        return type(self)(found) if isinstance(index, slice) else found

    def __setitem__(self, index: Any, item: Any) -> None:
        new = map(self._as_item, item) if isinstance(index, slice) else self._as_item(item)
        self._change(list.__setitem__, index, new)

    def __delitem__(self, index: Any) -> None:
        self._change(list.__delitem__, index)

    def insert(self, index: int, value: Any) -> None:
        """Insert `value` before `index`."""
        self._change(list.insert, index, self._as_item(value))


class Sequential(_Items):
    """Modules applied one after another; `modules` holds them, and their names are 0, 1, ...

    It has the methods of a list; a slice gives a Sequential of the same modules. Functions of
    tensors are accepted, too.

    Example:
        >>> from needle import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU()).append(nn.Linear(8, 2))
        >>> [name for name, _ in model.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
        >>> len(model[:2])
        2
    """

    _contents = "modules"
    modules: tuple[Any, ...]

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        for module in self.modules:
            x = module(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.modules[index]) if isinstance(index, slice) else self.modules[index]

    def append(self, value: Module) -> Self:  # type: ignore[override]  # as PyTorch's does
        """Add a module at the end; returns this Sequential."""
        self.insert(len(self), value)
        return self

    def _as_item(self, item: Any) -> Any:
        if isinstance(item, type):
            instead = f"{item.__name__}()"
        elif not callable(item):
            instead = f"Sequential(*{'dict.values()' if isinstance(item, dict) else 'list'})"
        else:
            return item
        raise TypeError(f"Sequential takes modules one by one, got {item!r}: write {instead}")


class Residual(Module):
    """fn(x) + x."""

    def __init__(self, fn: Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


class ModuleList(_Items):
    """A list of modules, with the methods of a list; their names are 0, 1, ..."""

    def _as_item(self, item: Any) -> Module:
        return _check_module(item, "ModuleList")


class ParameterList(_Items):
    """A list of parameters, with the methods of a list; Tensors become Parameters."""

    def _as_item(self, item: Any) -> Parameter:
        if isinstance(item, Parameter):
            return item
        if not isinstance(item, Tensor):
            raise TypeError(f"ParameterList takes Tensors, got {type(item).__name__}")
        return Parameter(item)

    def extra_repr(self) -> str:
        return ", ".join(str(parameter.shape) for parameter in self)


class ModuleDict(Module, MutableMapping):
    """A dict of modules, with the methods of a dict; the keys are their names."""

    _contents = "table"

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.table: dict[str, Module] = {}
        self.update(modules)

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __getitem__(self, key: str) -> Module:
        return self.table[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(key, str) or not key or "." in key:
            raise ValueError(f"ModuleDict: a key is a name without dots, got {key!r}")
        self.table[key] = _check_module(module, f"ModuleDict, at {key!r},")

    def __delitem__(self, key: str) -> None:
        del self.table[key]


def _check_module(value: Any, where: str) -> Module:
    if isinstance(value, Module):
        return value
    hint = f": write {value.__name__}()" if isinstance(value, type) else ""
    raise TypeError(f"{where} takes modules, got {value!r}{hint}")
