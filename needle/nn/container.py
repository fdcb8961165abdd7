"""Modules made of modules."""

from collections.abc import Iterator
from typing import Any

from ..autograd import Tensor
from .module import Module

__all__ = ["Residual", "Sequential"]


class Sequential(Module):
    """Modules applied one after another; `modules` holds them, and their names are 0, 1, ..."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        self.modules = modules

    def _entries(self) -> Iterator[tuple[str, Any]]:
        # PyTorch's names: 0.weight, not modules.0.weight
        for name, value in super()._entries():
            yield name.removeprefix("modules."), value

    def forward(self, x: Any) -> Any:
        for module in self.modules:
            x = module(x)
        return x


class Residual(Module):
    """fn(x) + x."""

    def __init__(self, fn: Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x
