"""Modules that are a function with settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform

from ..autograd import Tensor
from .module import Module

__all__ = ["FunctionModule", "FunctionOfSettings"]


@dataclass_transform(eq_default=False)
class FunctionOfSettings(Module):
    """A dataclass whose `forward` calls `function`, last with its fields in their order.

    The field `inplace` of PyTorch's modules has no effect: the input is never changed.
    """

    _function: ClassVar[staticmethod[..., Tensor]]
    _settings: ClassVar[staticmethod[[Any], Any]]

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None) -> None:
        super().__init_subclass__()
        if function is None:
            return
        dataclass(eq=False, repr=False)(cls)
        names = [field.name for field in fields(cls) if field.name != "inplace"]  # type: ignore[arg-type]
        if names:
            cls._function = staticmethod(function)
            read = attrgetter(*names)
            cls._settings = staticmethod(read if len(names) > 1 else lambda self: (read(self),))
        else:
            cls.forward = staticmethod(function)  # type: ignore[method-assign]


class FunctionModule(FunctionOfSettings):
    """A function of one input and of settings.

    The settings are all that `class ELU(FunctionModule, function=functional.elu)` has to state.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, *self._settings(self))
