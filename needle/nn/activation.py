"""Activations as modules; their formulas and errors are those of `needle.nn.functional`.

`inplace`, which some of PyTorch's have, is accepted and has no effect: no input is changed.
"""

from functools import partial
from typing import Any

from .. import init as initial
from ..autograd import Tensor
from ..device import Device
from . import functional
from .checks import check_sizes
from .drawn import DrawnModule
from .function import FunctionModule
from .parameter import Parameter

__all__ = [
    "ELU", "GELU", "Hardtanh", "LeakyReLU", "LogSoftmax", "PReLU", "ReLU", "Sigmoid", "SiLU",
    "Softmax", "Softplus", "Tanh",
]  # fmt: skip


class ReLU(FunctionModule, function=functional.relu):
    """max(x, 0), elementwise.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.ReLU()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [0. 0. 2.]
    """

    inplace: bool = False


class LeakyReLU(FunctionModule, function=functional.leaky_relu):
    """x where x > 0, else negative_slope·x.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.LeakyReLU(0.1)(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.1  0.   2. ]
    """

    negative_slope: float = 0.01
    inplace: bool = False


class PReLU(DrawnModule):
    """x where x > 0, else weight·x with a slope that is learned (He et al. 2015).

    Args:
        num_parameters: 1, or the number of channels, axis 1 of x, for a slope of each.
        init: the slope at first.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.PReLU()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.25  0.    2.  ]
    """

    weight: Parameter

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_sizes("PReLU", 1, num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self._draw(device, dtype)

    def _draws(self) -> dict[str, Any]:
        return {"weight": partial(initial.constant, self.num_parameters, c=self.init)}

    def forward(self, x: Tensor) -> Tensor:
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(FunctionModule, function=functional.elu):
    """x where x > 0, else alpha·(eˣ - 1) (Clevert et al. 2016).

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.ELU()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.63212056  0.          2.        ]
    """

    alpha: float = 1.0
    inplace: bool = False


class GELU(FunctionModule, function=functional.gelu):
    """x·Φ(x), Φ the distribution function of N(0, 1) (Hendrycks & Gimpel 2016).

    `approximate` is "none", or "tanh" for the approximation with tanh.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.GELU()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.15865525  0.          1.95449974]
    """

    approximate: str = "none"


class SiLU(FunctionModule, function=functional.silu):
    """x·σ(x), also called swish.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.SiLU()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.26894142  0.          1.76159416]
    """

    inplace: bool = False


class Softplus(FunctionModule, function=functional.softplus):
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Softplus()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [0.31326169 0.69314718 2.12692801]
    """

    beta: float = 1.0
    threshold: float = 20.0


class Sigmoid(FunctionModule, function=functional.sigmoid):
    """1 / (1 + e⁻ˣ), elementwise.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Sigmoid()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [0.26894142 0.5        0.88079708]
    """


class Tanh(FunctionModule, function=functional.tanh):
    """tanh x, elementwise.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Tanh()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-0.76159416  0.          0.96402758]
    """


class Hardtanh(FunctionModule, function=functional.hardtanh):
    """x, limited to [min_val, max_val].

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Hardtanh()(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-1.  0.  1.]
    """

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False


class Softmax(FunctionModule, function=functional.softmax):
    """eˣ / Σ eˣ along the axis `dim`.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.Softmax(dim=0)(ndl.Tensor([-1.0, 0.0, 2.0])))
        [0.04201007 0.1141952  0.84379473]
    """

    dim: int = -1


class LogSoftmax(FunctionModule, function=functional.log_softmax):
    """ln softmax(x) along the axis `dim`, finite for any finite x.

    Example:
        >>> import needle as ndl
        >>> print(ndl.nn.LogSoftmax(dim=0)(ndl.Tensor([-1.0, 0.0, 2.0])))
        [-3.16984602 -2.16984602 -0.16984602]
    """

    dim: int = -1
