"""Normalisation to mean 0 and variance 1 along some axes, with a scale and a shift.

Batch and layer normalisation are one computation over different axes. In the formulas g is the
adjoint of the result y = x̂·w + b with x̂ = (x - mean)·r and r = 1/√(variance + eps), m(·) the mean
over the normalised axes, and Σ the sum over the axes along which w is repeated.
"""

from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorOp, TensorTuple, TensorTupleOp, modes
from .kinds import normalize_axes, repeated_axes, unbroadcast
from .reductions import mean, sum_over

__all__ = ["BatchMoments", "Moments", "moments", "Normalize", "normalize"]

Axes = tuple[int, ...]


class Moments(TensorTupleOp):
    """The mean and r = 1/√(variance + eps) over axes, which keep length 1.

    The variance is the biased one. No gradient passes: `Normalize`, which takes them together
    with their x, accounts for it.
    """

    differentiable = False

    def __init__(self, axes: Axes, eps: float = 1e-5) -> None:
        self.axes = axes
        self.eps = eps

    def compute(self, x: Array) -> tuple[Array, Array]:
        average = sum_over(x, self.axes)
        count = _count(x, average)
        average = average / count
        deviation = x - average
        deviation *= deviation
        variance = sum_over(deviation, self.axes)
        variance /= count
        self._observe(average, variance)
        variance += self.eps
        root = np.sqrt(variance, out=variance)
        return average, np.reciprocal(root, out=root)

    def _observe(self, average: Array, variance: Array) -> None:
        """Called with the moments of every x."""


class BatchMoments(Moments):
    """`Moments` that moves running statistics towards the moments of each batch it meets.

    running ← (1 - momentum)·running + momentum·observed, written into the tensors' own arrays.
    It is the op that writes, not its caller, so that a recorded graph does so whenever it runs; a
    checkpoint that computes again does not.
    No gradient passes.
    """

    def __init__(
        self,
        axes: Axes,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float = 1e-5,
    ) -> None:
        self.axes = axes
        self.eps = eps
        self.running_mean = running_mean
        self.running_var = running_var
        self.momentum = momentum

    def _observe(self, average: Array, variance: Array) -> None:
        if not modes.is_recomputing.get():
            self._move(self.running_mean.realize_cached_data(), average)
            self._move(self.running_var.realize_cached_data(), variance)

    def _move(self, running: Array, observed: Array) -> None:
        running *= 1 - self.momentum
        running += observed.reshape(running.shape) * self.momentum


class Normalize(TensorOp):
    """x̂·w + b, with the `Moments` of x over axes. w and b broadcast to x.

    Adjoints: r·(g·w - m(g·w) - x̂·m(g·w·x̂)), none of the moments, Σ g·x̂, Σ g.
    """

    def __init__(self, axes: Axes, eps: float = 1e-5) -> None:
        self.axes = axes
        self.eps = eps

    def compute(self, x: Array, moments: tuple[Array, Array], weight: Array, bias: Array) -> Array:
        average, scale = moments
        result = x - average
        result *= scale * weight
        result += bias
        return result

    def gradient(self, out_grad: Tensor, node: Any) -> tuple[Tensor, None, Tensor, Tensor]:
        x, moments, weight, _ = node.inputs
        adjoint = _NormalizeAdjoint(self.axes, self.eps)(out_grad, x, moments, weight)
        of_x, of_weight, of_bias = adjoint.tuple()
        return of_x, None, of_weight, of_bias


class _NormalizeAdjoint(TensorTupleOp):
    """The adjoints of x, w and b in `Normalize`, as a function of g, x, the moments and w.

    With J(v) = r·(v - m(v) - x̂·m(v·x̂)) they are J(g·w), Σ g·x̂ and Σ g. Let h, h_w and h_b be the
    adjoints of the three. J is symmetric, so the adjoint of g is w·J(h) + x̂·h_w + h_b and that of
    w is Σ g·J(h). The adjoint of x is J(g·h_w) and, since J depends on x,
    -r·(m(g·w·x̂)·J(h) + m(h·x̂)·J(g·w) + x̂·m(h·J(g·w))).
    """

    def __init__(self, axes: Axes, eps: float) -> None:
        self.axes = axes
        self.eps = eps

    def compute(
        self, out_grad: Array, x: Array, moments: tuple[Array, Array], weight: Array
    ) -> tuple[Array, Array, Array]:
        average, scale = moments
        deviation = x - average
        repeated = repeated_axes(x.shape, weight.shape)
        adjoints = self._along if repeated == self.axes else self._across
        result, of_weight, of_bias = adjoints(out_grad, deviation, scale, weight, repeated)
        return result, of_weight.reshape(weight.shape), of_bias.reshape(weight.shape)

    def _along(
        self, out_grad: Array, deviation: Array, scale: Array, weight: Array, repeated: Axes
    ) -> tuple[Array, Array, Array]:
        """Where w is repeated along just the normalised axes: all three need the same sums."""
        count = _count(deviation, scale)
        of_weight = sum_over(out_grad * deviation, repeated)
        of_weight *= scale
        of_bias = sum_over(out_grad, repeated)
        deviation *= of_weight * (scale / count)
        deviation += of_bias / count
        result = np.subtract(out_grad, deviation, out=deviation)
        result *= scale * weight
        return result, of_weight, of_bias

    def _across(
        self, out_grad: Array, deviation: Array, scale: Array, weight: Array, repeated: Axes
    ) -> tuple[Array, Array, Array]:
        count = _count(deviation, scale)
        normalized = deviation
        normalized *= scale
        product = out_grad * normalized
        of_weight, of_bias = sum_over(product, repeated), sum_over(out_grad, repeated)
        product *= weight
        result = out_grad * weight
        normalized *= sum_over(product, self.axes) / count
        normalized += sum_over(result, self.axes) / count
        result -= normalized
        result *= scale
        return result, of_weight, of_bias

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, Tensor, None, Tensor]:
        g, x, _, weight = node.inputs
        h, h_weight, h_bias = out_grad.tuple()

        def m(v: Tensor) -> Tensor:
            return mean(v, self.axes, keepdims=True)

        def jacobian(v: Tensor) -> Tensor:
            return (v - m(v) - normalized * m(v * normalized)) * scale

        centred = x - m(x)
        scale = (m(centred**2) + self.eps) ** -0.5
        normalized = centred * scale
        weighted, along_h, along_g = g * weight, jacobian(h), jacobian(g * weight)
        bend = m(weighted * normalized) * along_h + m(h * normalized) * along_g
        bend = bend + normalized * m(h * along_g)
        return (
            weight * along_h + normalized * h_weight + h_bias,
            jacobian(g * h_weight) - bend * scale,
            None,
            unbroadcast(g * along_h, weight.shape),
        )


def _count(x: Array, reduced: Array) -> int:
    """How many elements of x go into one of `reduced`."""
    return x.size // max(1, reduced.size)


def moments(x: Tensor, axes: Any, eps: float = 1e-5) -> TensorTuple:
    """The mean and 1/√(variance + eps) of x over `axes`, which keep length 1, as constants."""
    return Moments(normalize_axes(axes, x.ndim), eps)(x)


def normalize(x: Tensor, weight: Tensor, bias: Tensor, axes: Any, eps: float = 1e-5) -> Tensor:
    """(x - mean)/√(variance + eps)·weight + bias, with the moments of x over `axes`.

    Args:
        x: any shape, floats.
        weight: the scale, of a shape that broadcasts to x.
        bias: the shift, of the same shape.
        axes: an axis or several.
        eps: keeps the root away from 0.
    """
    axes = normalize_axes(axes, x.ndim)
    return Normalize(axes, eps)(x, Moments(axes, eps)(x), weight, bias)
