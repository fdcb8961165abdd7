"""Linear and bilinear maps, dropout, flattening.

Errors for inputs are those of the functions that the layers call.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import init
from ..autograd import Tensor
from ..device import Device, Generator
from . import functional
from .checks import check_channels, check_fraction, check_sizes
from .drawn import DrawnModule
from .function import FunctionModule
from .init import linear_draws
from .module import Module
from .parameter import Parameter

__all__ = [
    "Bilinear", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Flatten",
    "Identity", "Linear", "Unflatten",
]  # fmt: skip


class Identity(Module):
    """Returns its input. It takes and ignores any arguments, so that it can replace any layer.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Identity()(ndl.Tensor([1.0, 2.0])))
        [1. 2.]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Linear(DrawnModule):
    """x·W + b over the last axis: (..., in_features) → (..., out_features).

    Attributes:
        weight: (in_features, out_features), Kaiming-uniform with fan_in = in_features.
        bias: (1, out_features), Kaiming-uniform with fan_in = out_features; None without bias.

    `nn.init.scheme("pytorch")` draws both from U(±1/√in_features), as PyTorch does.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Linear(784, 10)(ndl.init.rand(100, 784)).shape
        (100, 10)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self._draw(device, dtype, absent=() if bias else ("bias",))

    def _draws(self) -> dict[str, Any]:
        return linear_draws(self.in_features, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"


class Bilinear(DrawnModule):
    """x1ᵀ·W_k·x2 + b_k: (..., in1_features) and (..., in2_features) → (..., out_features).

    Attributes:
        weight: (out_features, in1_features, in2_features), U(±1/√in1_features).
        bias: (out_features,), U(±1/√in1_features); None without bias.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Bilinear(4, 2, 3)
        >>> layer(ndl.init.ones(5, 4), ndl.init.ones(5, 2)).shape
        (5, 3)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("Bilinear", 1, in1_features=in1_features)
        check_sizes("Bilinear", in2_features=in2_features, out_features=out_features)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self._draw(device, dtype, absent=() if bias else ("bias",))

    def _draws(self) -> dict[str, Any]:
        bound = 1 / math.sqrt(self.in1_features)
        shape = self.out_features, self.in1_features, self.in2_features
        return {
            "weight": partial(init.rand, *shape, low=-bound, high=bound),
            "bias": partial(init.rand, self.out_features, low=-bound, high=bound),
        }

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return functional.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in1_features}, {self.in2_features}, {self.out_features}{bias}"


@dataclass(eq=False, repr=False)
class Dropout(Module):
    """In training, sets each element to 0 with probability p and divides the others by 1 - p.

    In eval mode, x itself. An element is kept where U(0, 1) ≤ 1 - p (Srivastava et al. 2014), drawn
    from `generator`, by default from NumPy's global state. p outside [0, 1] is a ValueError.
    `inplace` has no effect: the input is never changed.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Dropout(0.5)
        >>> layer(ndl.init.ones(2, 3)).shape
        (2, 3)
        >>> layer.eval()
        Dropout(p=0.5)
        >>> print(layer(ndl.init.ones(2)))
        [1. 1.]
    """

    p: float = 0.5
    inplace: bool = False
    generator: Generator | None = field(default=None, kw_only=True)

    _function = staticmethod(functional.dropout)

    def __post_init__(self) -> None:
        check_fraction("Dropout: p", self.p)
        if not isinstance(self.inplace, bool):
            kind = type(self.inplace).__name__
            raise TypeError(f"Dropout: inplace must be True or False, got {kind}")

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, self.p, True, self.generator) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}{', inplace=True' if self.inplace else ''}"


class Dropout1d(Dropout):
    """`Dropout` of whole channels of x (N, C, L).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Dropout1d(0.5)(ndl.init.ones(2, 3, 8)).shape
        (2, 3, 8)
    """

    _function = staticmethod(functional.dropout1d)


class Dropout2d(Dropout):
    """`Dropout` of whole channels of x (N, C, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Dropout2d(0.5)(ndl.init.ones(2, 3, 8, 8)).shape
        (2, 3, 8, 8)
    """

    _function = staticmethod(functional.dropout2d)


class Dropout3d(Dropout):
    """`Dropout` of whole channels of x (N, C, D, H, W).

    Example:
        >>> import needle as ndl
        >>> ndl.nn.Dropout3d(0.5)(ndl.init.ones(2, 3, 8, 8, 8)).shape
        (2, 3, 8, 8, 8)
    """

    _function = staticmethod(functional.dropout3d)


@dataclass(eq=False, repr=False)
class Flatten(Module):
    """Joins the axes from `start_dim` to `end_dim`, by default all but the first.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Flatten()
        >>> layer(ndl.init.ones(5, 4, 3)).shape
        (5, 12)
    """

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, x: Tensor) -> Tensor:
        check_channels("Flatten", "a batch (N, ...)", x, range(1, 65))
        if x.ndim == 1 and (self.start_dim, self.end_dim) == (1, -1):
            return x.reshape((x.shape[0], 1))
        return functional.flatten(x, self.start_dim, self.end_dim)


class Unflatten(FunctionModule, function=functional.unflatten):
    """Splits the axis `dim` into several, the inverse of `Flatten`: (N, 6) → (N, 2, 3).

    `unflattened_size` has the lengths of the new axes, of which one may be -1.

    Example:
        >>> import needle as ndl
        >>> layer = ndl.nn.Unflatten(1, (4, 3))
        >>> layer(ndl.init.ones(5, 12)).shape
        (5, 4, 3)
    """

    dim: int
    unflattened_size: Sequence[int]

    def __post_init__(self) -> None:
        self.unflattened_size = tuple(self.unflattened_size)
