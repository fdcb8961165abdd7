"""Linear maps, and modules that only pass on or reshape."""

import math
from typing import Any

from .. import init
from ..autograd import Tensor
from ..device import Device
from .module import Module, Parameter

__all__ = ["Flatten", "Identity", "Linear"]


class Identity(Module):
    """x."""

    def forward(self, x: Any) -> Any:
        return x


class Flatten(Module):
    """Keeps the first axis and joins all others: (N, ...) → (N, product of the others)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 0:
            raise ValueError("Flatten expected a batch (N, ...), got a tensor without axes")
        return x.reshape((x.shape[0], math.prod(x.shape[1:])))


class Linear(Module):
    """x·W + b over the last axis: (..., in_features) → (..., out_features).

    Attributes:
        weight: (in_features, out_features), Kaiming-uniform with fan_in = in_features.
        bias: (1, out_features), Kaiming-uniform with fan_in = out_features; None without bias.

    Raises:
        ValueError: the last axis of the input has another length.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Linear(784, 10)(ndl.init.rand(100, 784)).shape
        (100, 10)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = Parameter(init.kaiming_uniform(in_features, out_features, **where))
        self.bias = None
        if bias:
            column = init.kaiming_uniform(out_features, 1, **where)
            self.bias = Parameter(column.reshape((1, out_features)))

    def forward(self, x: Tensor) -> Tensor:
        if not x.ndim or x.shape[-1] != self.in_features:
            flat = math.prod(x.shape[1:]) == self.in_features
            hint = ": flatten the images first (nn.Flatten)" if flat else ""
            raise ValueError(f"Linear expected (..., {self.in_features}), got {x.shape}{hint}")
        y = x @ self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"
