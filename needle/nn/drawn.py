"""Modules that draw their parameters, and can draw them anew."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, assign
from .module import Module
from .parameter import Parameter

__all__ = ["DrawnModule"]


class DrawnModule(Module):
    """A layer whose parameters are drawn by the functions in `_draws()`, in their order."""

    def _draws(self) -> Mapping[str, Callable[..., Tensor]]:
        """The function that draws each parameter, by name; called with a device and a dtype."""
        raise NotImplementedError(f"{type(self).__name__} defines no _draws()")

    def _draw(self, device: Any, dtype: Any, absent: Container[str] = ()) -> None:
        """Make the parameters; those in `absent` are None."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(
                f"{type(self).__name__}: parameters are floating-point numbers, got dtype {dtype}"
            )
        for name, draw in self._draws().items():
            drawn = None if name in absent else Parameter(draw(device=device, dtype=dtype))
            self.register_parameter(name, drawn)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for name, draw in self._draws().items():
            parameter = getattr(self, name)
            if parameter is not None:
                assign(parameter, draw(device=parameter.device, dtype=parameter.dtype))
