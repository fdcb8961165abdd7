"""Activations as modules; their formulas and errors are those of `needle.nn.functional`.

`inplace`, which some of PyTorch's have, is accepted and has no effect: no input is changed.
"""

from . import functional
from .function import FunctionModule

__all__ = [
    "ELU", "GELU", "Hardtanh", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "SiLU", "Softmax",
    "Softplus", "Tanh",
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
