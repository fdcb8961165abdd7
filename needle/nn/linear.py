"""Linear and bilinear maps, and the identity."""

import math
from typing import Any

from .. import init
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import check_features
from .module import Module, Parameter

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """x. The constructor ignores its arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """x·W + b over the last axis: (..., in_features) → (..., out_features).

    Attributes:
        weight: (in_features, out_features), Kaiming-uniform with fan_in = in_features.
        bias: (1, out_features), Kaiming-uniform with fan_in = out_features; None without bias.

    Raises:
        TypeError: the input holds no floating-point numbers.
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
        check_features("Linear", x, self.in_features)
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"


class Bilinear(Module):
    """x1ᵀ·W_k·x2 + b_k: (..., in1_features) and (..., in2_features) → (..., out_features).

    Attributes:
        weight: (out_features, in1_features, in2_features), U(±1/√in1_features).
        bias: (out_features,), likewise; None without bias.

    Raises:
        TypeError: an input holds no floating-point numbers.
        ValueError: the last axis of an input has another length, or the other axes differ.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise ValueError(f"Bilinear: in1_features must be positive, got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in1_features)
        uniform: dict[str, Any] = {"low": -bound, "high": bound, "device": device, "dtype": dtype}
        self.weight = Parameter(init.rand(out_features, in1_features, in2_features, **uniform))
        self.bias = Parameter(init.rand(out_features, **uniform)) if bias else None

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        check_features("Bilinear", x1, self.in1_features)
        check_features("Bilinear", x2, self.in2_features)
        if x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(
                f"Bilinear expected inputs with equal leading axes, got {x1.shape} and {x2.shape}"
            )
        return functional.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in1_features}, {self.in2_features}, {self.out_features}{bias}"
