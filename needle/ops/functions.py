"""Elementary functions of one tensor: powers of e, roots, angles, sign and clipping.

What loses accuracy or has no elementary formula is in special.py, activations in activations.py.
In the formulas g is the adjoint of the result and y the result.
"""

import numpy as np
from numpy.typing import DTypeLike

from ..autograd import Array, Tensor
from .arithmetic import plain_number
from .comparison import equal
from .kinds import Elementwise, unary

__all__ = [
    "Abs", "abs", "ArcSin", "arcsin", "ArcTan", "arctan", "Astype", "astype", "Clip", "clip",
    "Cos", "cos", "Cosh", "cosh", "Exp", "exp", "Log", "log", "Sign", "sign", "Sin", "sin",
    "Sinh", "sinh", "Sqrt", "sqrt", "Tan", "tan",
]  # fmt: skip


class Log(Elementwise):
    """The natural logarithm, ln a. Adjoint: g/a."""

    compute = np.log

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / node.inputs[0]


class Exp(Elementwise):
    """The exponential, eᵃ. Adjoint: g·y."""

    compute = np.exp

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * node


class Sqrt(Elementwise):
    """The square root, √a. Adjoint: g/(2y)."""

    compute = np.sqrt

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / (node * 2)


class Sin(Elementwise):
    """The sine of a, in radians. Adjoint: g·cos a."""

    compute = np.sin

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * cos(node.inputs[0])


class Cos(Elementwise):
    """The cosine of a, in radians. Adjoint: -g·sin a."""

    compute = np.cos

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return -(out_grad * sin(node.inputs[0]))


class Tan(Elementwise):
    """The tangent of a, in radians. Adjoint: g·(1 + y²)."""

    compute = np.tan

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * (node**2 + 1)


class ArcSin(Elementwise):
    """The angle from -π/2 to π/2 whose sine is a. Adjoint: g/√(1 - a²)."""

    compute = np.arcsin

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        a = node.inputs[0]
        return out_grad / sqrt((1 - a) * (1 + a))


class ArcTan(Elementwise):
    """The angle from -π/2 to π/2 whose tangent is a. Adjoint: g/(1 + a²)."""

    compute = np.arctan

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad / (node.inputs[0] ** 2 + 1)


class Sinh(Elementwise):
    """The hyperbolic sine, (eᵃ - e⁻ᵃ)/2. Adjoint: g·cosh a."""

    compute = np.sinh

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * cosh(node.inputs[0])


class Cosh(Elementwise):
    """The hyperbolic cosine, (eᵃ + e⁻ᵃ)/2. Adjoint: g·sinh a."""

    compute = np.cosh

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * sinh(node.inputs[0])


class Sign(Elementwise):
    """-1, 0 or 1. No gradient: the derivative is 0 wherever it exists."""

    compute = np.sign
    differentiable = False


class Abs(Elementwise):
    """The absolute value, |a|. Adjoint: g·sign a, which is 0 at 0."""

    compute = np.absolute

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return out_grad * sign(node.inputs[0])


class Clip(Elementwise):
    """min(max(a, low), high). Adjoint: g·[low ≤ a ≤ high]."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low = plain_number(low)
        self.high = plain_number(high)

    def compute(self, a: Array) -> Array:
        return np.clip(a, self.low, self.high)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        # clipping leaves exactly the elements inside the range as they are
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


log = unary(Log())
exp = unary(Exp())
sqrt = unary(Sqrt())
sin = unary(Sin())
cos = unary(Cos())
tan = unary(Tan())
arcsin = unary(ArcSin())
arctan = unary(ArcTan())
sinh = unary(Sinh())
cosh = unary(Cosh())
sign = unary(Sign())
abs = unary(Abs())


def clip(a: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """a, limited to [low, high]; None leaves a side open."""
    return Clip(low, high)(a)


def astype(a: Tensor, dtype: DTypeLike) -> Tensor:
    """a in another dtype; an integer or boolean result requires no gradient."""
    return Astype(dtype)(a)
