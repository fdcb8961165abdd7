"""Containers of modules and parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Self

from ..autograd import Tensor
from .module import Module
from .parameter import Parameter, assigned, check_uncompiled

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Residual", "Sequential"]


def _from_table(module: Module, name: str) -> Any:
    """`__getattr__` of containers: the item of that name."""
    try:
        return vars(module)["table"][name]
    except KeyError:
        text = f"{type(module).__name__!r} object has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=module) from None


class _Items(Module, MutableSequence):
    """A list that is a module; `_as_item` checks an item.

    `table` holds the items under their names: their positions, unless they were named.
    """

    _contents = "table"
    _as_item: Callable[[Any], Any]

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self._set(("", self._as_item(item)) for item in items)

    def _set(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.table = {
            str(position) if not name or name.isdecimal() else name: item
            for position, (name, item) in enumerate(pairs)
        }

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.table.values())

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return list(self.table.values())[index]
        part = self._empty()
        part._set(list(self.table.items())[index])
        return part

    @classmethod
    def _empty(cls) -> Self:
        return cls()

    def __setitem__(self, index: Any, item: Any) -> None:
        pairs = list(self.table.items())
        if isinstance(index, slice):
            pairs[index] = [("", self._as_item(each)) for each in item]
        else:
            pairs[index] = pairs[index][0], self._as_item(item)
        self._set(pairs)

    def __delitem__(self, index: Any) -> None:
        pairs = list(self.table.items())
        del pairs[index]
        self._set(pairs)

    def insert(self, index: int, value: Any) -> None:
        """Insert `value` before `index`."""
        pairs = list(self.table.items())
        pairs.insert(index, ("", self._as_item(value)))
        self._set(pairs)


class _Modules(tuple[Any, ...]):
    """The modules of a Sequential; called as a method, it gives all modules at any depth."""

    _owner: Module

    def __call__(self) -> Iterator[Module]:
        return Module.modules(self._owner)


class Sequential(_Items):
    """Modules applied one after another, named 0, 1, ..., or by the keys of a dict.

    It has the methods of a list; a slice gives a Sequential of the same modules. Functions of
    tensors are accepted, too. The attribute `modules` is the tuple of the modules; `modules()`
    is the method of any Module.

    Example:
        >>> from needle import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU()).append(nn.Linear(8, 2))
        >>> [name for name, _ in model.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
        >>> len(model[:2])
        2
        >>> model = nn.Sequential({"hidden": nn.Linear(4, 8), "output": nn.Linear(8, 2)})
        >>> model.hidden
        Linear(4, 8)  # 40 parameters
    """

    def __init__(self, *modules: Any) -> None:
        is_named = len(modules) == 1 and isinstance(modules[0], Mapping)
        super().__init__(() if is_named else modules)
        if is_named:
            for name in modules[0]:
                _check_key("Sequential", name)
                if hasattr(self, name):
                    raise ValueError(f"Sequential: {name!r} is the name of an attribute, no key")
            self.table = {name: self._as_item(item) for name, item in modules[0].items()}

    @property
    def modules(self) -> Any:
        """The modules in order; called, it gives this module and all below it."""
        modules = _Modules(self)
        modules._owner = self
        return modules

    @modules.setter
    def modules(self, modules: Iterable[Any]) -> None:
        self._set(("", self._as_item(item)) for item in modules)

    __getattr__ = _from_table

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("table", ()):
            self.table[name] = self._as_item(value)
        else:
            super().__setattr__(name, value)

    def forward(self, x: Any) -> Any:
        for module in self.table.values():
            x = module(x)
        return x

    @classmethod
    def _empty(cls) -> Any:
        return Sequential()  # a subclass may be made of other arguments

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
            check_uncompiled(item)
            return item
        raise TypeError(f"Sequential takes modules one by one, got {item!r}: write {instead}")


class Residual(Module):
    """A residual connection: fn(x) + x.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Residual(ndl.nn.ReLU())
        >>> print(layer(ndl.Tensor([-1.0, 2.0])))
        [-1.  4.]
    """

    def __init__(self, fn: Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


class ModuleList(_Items):
    """A list of modules, with the methods of a list; their names are 0, 1, ...

    Example:
        >>> import needle as ndl
        >>> layers = ndl.nn.ModuleList([ndl.nn.Linear(2, 3), ndl.nn.Linear(3, 1)])
        >>> [name for name, _ in layers.named_parameters()]
        ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def _as_item(self, item: Any) -> Module:
        return _check_module(item, "ModuleList")


class ParameterList(_Items):
    """A list of parameters, with the methods of a list; Tensors become Parameters.

    A Tensor that is assigned to an index gives the Parameter there its values.

    Example:
        >>> import needle as ndl
        >>> scales = ndl.nn.ParameterList([ndl.init.ones(2), ndl.init.ones(3)])
        >>> len(scales), scales[1].shape
        (2, (3,))
    """

    def _as_item(self, item: Any) -> Parameter:
        if isinstance(item, Parameter):
            return item
        if not isinstance(item, Tensor):
            raise TypeError(f"ParameterList takes Tensors, got {type(item).__name__}")
        return Parameter(item)

    def __setitem__(self, index: Any, item: Any) -> None:
        if isinstance(item, Tensor) and not isinstance(index, slice):
            item = assigned(self, str(index), self[index], item)
        super().__setitem__(index, item)

    def extra_repr(self) -> str:
        return ", ".join(str(parameter.shape) for parameter in self)


class ModuleDict(Module, MutableMapping):
    """A dict of modules, with the methods of a dict; the keys are their names, and attributes.

    Example:
        >>> import needle as ndl
        >>> heads = ndl.nn.ModuleDict({"mean": ndl.nn.Linear(4, 1), "scale": ndl.nn.Linear(4, 1)})
        >>> heads["mean"](ndl.init.ones(5, 4)).shape
        (5, 1)
    """

    _contents = "table"

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.table: dict[str, Module] = {}
        self.update(modules)

    __getattr__ = _from_table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __getitem__(self, key: str) -> Module:
        return self.table[key]

    def __setitem__(self, key: str, module: Module) -> None:
        _check_key("ModuleDict", key)
        self.table[key] = _check_module(module, f"ModuleDict, at {key!r},")

    def __delitem__(self, key: str) -> None:
        del self.table[key]


def _check_key(container: str, key: Any) -> None:
    if not isinstance(key, str) or not key or "." in key:
        raise ValueError(f"{container}: a key is a name without dots, got {key!r}")


def _check_module(value: Any, where: str) -> Module:
    if isinstance(value, Module):
        return value
    hint = f": write {value.__name__}()" if isinstance(value, type) else ""
    raise TypeError(f"{where} takes modules, got {value!r}{hint}")
