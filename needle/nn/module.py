"""Module, the base of layers and models, and Parameter, a tensor that is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..autograd import Tensor

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A Tensor that `Module.parameters()` finds and an optimizer trains."""

    __slots__ = ()


class Module:
    """A part of a model: parameters, submodules, and `forward`, which uses them.

    Parameters and submodules are found in the attributes, also inside lists, tuples and dicts,
    in the order in which they were set.

    Example:
        >>> import needle as ndl
        >>> from needle import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self, size):
        ...         super().__init__()
        ...         self.factor = nn.Parameter(ndl.init.ones(size))
        ...
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> [name for name, _ in Scale(3).named_parameters()]
        ['factor']
    """

    training = True

    def __init__(self) -> None:
        self.training = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module; each module defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def parameters(self) -> list[Parameter]:
        """Every parameter of this module and those below it, once each."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted path and parameter; one that several layers share comes once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in module._entries():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module: this one and all below it, once each, parents first."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                children = [(_join(path, name), child) for name, child in module.named_children()]
                stack += reversed(children)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and module directly below this one."""
        for name, value in self._entries():
            if isinstance(value, Module):
                yield name, value

    def _children(self) -> list[Module]:
        """All modules below this one."""
        return [module for _, module in self.named_modules()][1:]

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the attributes, with those of lists, tuples and dicts unpacked."""
        yield from _unpack(vars(self), "")

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training mode (Dropout drops, and so on)."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch this module and all below it to evaluation mode."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        count = sum(parameter.size for parameter in self.parameters())
        head = f"{type(self).__name__}({self.extra_repr()})"
        size = f"  # {count:,} parameters" if count else ""
        lines = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        if not lines:
            return head + size
        return "\n".join([head[:-1] + size, *lines, ")"])


def _unpack(container: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in pairs:
        name = _join(prefix, str(key))
        if isinstance(value, list | tuple | dict):
            yield from _unpack(value, name)
        else:
            yield name, value


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
