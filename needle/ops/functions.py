"""Elementary functions of one tensor: powers of e, roots, angles, sign and clipping.

What loses accuracy or has no elementary formula is in special.py, activations in activations.py.
In the formulas g is the adjoint of the result and y the result.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ..autograd import Array, Tensor
from .arithmetic import plain_number
from .comparison import equal
from .kinds import Elementwise, elementwise, with_parameters

__all__ = [
    "Abs", "abs", "ArcSin", "arcsin", "ArcTan", "arctan", "Astype", "astype", "Clip", "clip",
    "Cos", "cos", "Cosh", "cosh", "Exp", "exp", "Log", "log", "Sign", "sign", "Sin", "sin",
    "Sinh", "sinh", "Sqrt", "sqrt", "Tan", "tan",
]  # fmt: skip


cos: Callable[..., Tensor]  # used by the derivatives of sin and sinh, which come first
cosh: Callable[..., Tensor]

# fmt: off
Log, log = elementwise("Log", "log", np.log, lambda g, y, a: g / a,
    "The natural logarithm, ln a. Adjoint: g/a.")
Exp, exp = elementwise("Exp", "exp", np.exp, lambda g, y, a: g * y,
    "The exponential, eᵃ. Adjoint: g·y.")
Sqrt, sqrt = elementwise("Sqrt", "sqrt", np.sqrt, lambda g, y, a: g / (y * 2),
    "The square root, √a. Adjoint: g/(2y).")
Sin, sin = elementwise("Sin", "sin", np.sin, lambda g, y, a: g * cos(a),
    "The sine of a, in radians. Adjoint: g·cos a.")
Cos, cos = elementwise("Cos", "cos", np.cos, lambda g, y, a: -(g * sin(a)),
    "The cosine of a, in radians. Adjoint: -g·sin a.")
Tan, tan = elementwise("Tan", "tan", np.tan, lambda g, y, a: g * (y**2 + 1),
    "The tangent of a, in radians. Adjoint: g·(1 + y²).")
ArcSin, arcsin = elementwise(
    "ArcSin", "arcsin", np.arcsin, lambda g, y, a: g / sqrt((1 - a) * (1 + a)),
    "The angle from -π/2 to π/2 whose sine is a. Adjoint: g/√(1 - a²).")
ArcTan, arctan = elementwise("ArcTan", "arctan", np.arctan, lambda g, y, a: g / (a**2 + 1),
    "The angle from -π/2 to π/2 whose tangent is a. Adjoint: g/(1 + a²).")
Sinh, sinh = elementwise("Sinh", "sinh", np.sinh, lambda g, y, a: g * cosh(a),
    "The hyperbolic sine, (eᵃ - e⁻ᵃ)/2. Adjoint: g·cosh a.")
Cosh, cosh = elementwise("Cosh", "cosh", np.cosh, lambda g, y, a: g * sinh(a),
    "The hyperbolic cosine, (eᵃ + e⁻ᵃ)/2. Adjoint: g·sinh a.")
Sign, sign = elementwise("Sign", "sign", np.sign, None,
    "-1, 0 or 1. No gradient: the derivative is 0 wherever it exists.")
Abs, abs = elementwise("Abs", "abs", np.absolute, lambda g, y, a: g * sign(a),
    "The absolute value, |a|. Adjoint: g·sign a, which is 0 at 0.")
# fmt: on


class Clip(Elementwise):
    """a, limited to [low, high]; None leaves a side open. Adjoint: g·[low ≤ a ≤ high]."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low = plain_number(low)
        self.high = plain_number(high)

    def compute(self, a: Array) -> Array:
        return np.clip(a, self.low, self.high)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        # clipping leaves exactly the elements inside the range as they are
        return out_grad * equal(node.inputs[0], node)


class Astype(Elementwise):
    """a in another dtype. Adjoint: g in the dtype of a if both are floats, else none."""

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


clip = with_parameters(Clip)
astype = with_parameters(Astype)
