"""Functions of one tensor, element by element.

In the formulas g is the adjoint of the result and y the result.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ..autograd import Array, Tensor
from .comparison import equal
from .kinds import Elementwise

__all__ = [
    "Abs", "abs", "Astype", "astype", "Clip", "clip", "Cos", "cos", "Exp", "exp",
    "Log", "log", "ReLU", "relu", "Sigmoid", "sigmoid", "Sign", "sign", "Sin", "sin",
    "Sqrt", "sqrt", "Tanh", "tanh",
]  # fmt: skip


class Log(Elementwise):
    """ln a. Adjoint: g/a."""

    compute = np.log

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / node.inputs[0]


class Exp(Elementwise):
    """eᵃ. Adjoint: g·y."""

    compute = np.exp

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * node


class Sqrt(Elementwise):
    """√a. Adjoint: g/(2y)."""

    compute = np.sqrt

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / (node * 2)


class Sin(Elementwise):
    """sin a. Adjoint: g·cos a."""

    compute = np.sin

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * Cos()(node.inputs[0])


class Cos(Elementwise):
    """cos a. Adjoint: -g·sin a."""

    compute = np.cos

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return -(out_grad * Sin()(node.inputs[0]))


class Tanh(Elementwise):
    """tanh a. Adjoint: g·(1 - y²)."""

    compute = np.tanh

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * (1 - node**2)


class Sigmoid(Elementwise):
    """1 / (1 + e⁻ᵃ), which overflows nowhere. Adjoint: g·y·(1 - y)."""

    def compute(self, a: Array) -> Array:
        with np.errstate(over="ignore"):  # where e⁻ᵃ is infinite the result is 0, as it should be
            result = np.exp(a * -1.0)  # a float: small unsigned integers would wrap around
        result += 1
        return 1 / result

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * (node * (1 - node))


def clamp_at_zero(function: Callable[..., Array], a: Array) -> Array:
    """np.maximum or np.minimum of a and 0; NumPy's loop over two arrays is the faster one."""
    result = np.zeros(a.shape, a.dtype, like=a)
    return function(a, result, out=result)


class ReLU(Elementwise):
    """max(a, 0). Adjoint: g·[a > 0], which is 0 at 0."""

    def compute(self, a: Array) -> Array:
        return clamp_at_zero(np.maximum, a)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return _apply(_relu_grad, (out_grad, node.inputs[0]))


class ReLUGrad(Elementwise):
    """a·[b > 0]. Adjoint of a: g·[b > 0]; none of b, by whose sign alone it varies."""

    def compute(self, a: Array, b: Array) -> Array:
        return np.multiply(a, np.greater(b, 0))

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor, None]:
        return _apply(_relu_grad, (out_grad, node.inputs[1])), None


class Sign(Elementwise):
    """-1, 0 or 1. Its derivative is 0 wherever there is one: no gradient passes."""

    compute = np.sign
    differentiable = False


class Abs(Elementwise):
    """|a|. Adjoint: g·sign a, which is 0 at 0."""

    compute = np.absolute

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * Sign()(node.inputs[0])


class Clip(Elementwise):
    """min(max(a, low), high). Adjoint: g·[low ≤ a ≤ high]."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low = low
        self.high = high

    def compute(self, a: Array) -> Array:
        return np.clip(a, self.low, self.high)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        # an element is inside exactly where clipping leaves it as it is
        return out_grad * equal(node.inputs[0], node)


class Astype(Elementwise):
    """a in another dtype. Adjoint: g in the dtype of a, where that is a float."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in "biuf":
            raise TypeError(f"astype: a Tensor holds real numbers, not {self.dtype}")
        self.differentiable = self.dtype.kind == "f"

    def compute(self, a: Array) -> Array:
        return a.astype(self.dtype)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        dtype = node.inputs[0].dtype
        return astype(out_grad, dtype) if dtype.kind == "f" else out_grad


def log(a: Tensor) -> Tensor:
    """The natural logarithm, ln a."""
    return Log()(a)


def exp(a: Tensor) -> Tensor:
    """The exponential, eᵃ."""
    return Exp()(a)


def sqrt(a: Tensor) -> Tensor:
    """The square root, √a."""
    return Sqrt()(a)


def sin(a: Tensor) -> Tensor:
    """The sine of a, in radians."""
    return Sin()(a)


def cos(a: Tensor) -> Tensor:
    """The cosine of a, in radians."""
    return Cos()(a)


def tanh(a: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return Tanh()(a)


def sigmoid(a: Tensor) -> Tensor:
    """The logistic function, 1 / (1 + e⁻ᵃ)."""
    return Sigmoid()(a)


def relu(a: Tensor) -> Tensor:
    """max(a, 0); the derivative at 0 is 0."""
    return _apply(_relu, (a,))


def sign(a: Tensor) -> Tensor:
    """-1, 0 or 1, as a constant."""
    return Sign()(a)


def abs(a: Tensor) -> Tensor:
    """The absolute value; the derivative at 0 is 0."""
    return Abs()(a)


def clip(a: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """a, limited to [low, high]; None leaves a side open."""
    return Clip(low, high)(a)


def astype(a: Tensor, dtype: DTypeLike) -> Tensor:
    """a in another dtype; an integer or boolean result requires no gradient."""
    return Astype(dtype)(a)


_apply = Tensor.make_from_op
_relu = ReLU()
_relu_grad = ReLUGrad()
