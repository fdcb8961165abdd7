"""Normalisation to mean 0 and variance 1 along some axes, with a scale and a shift.

Batch, layer and group normalisation are one computation over different axes. In the formulas g is
the adjoint of the result y = x̂·w + b with x̂ = (x - mean)·r and r = 1/√(variance + eps), m(·) the
mean over the normalised axes, and Σ the sum over the axes along which w is repeated. The variance
is the biased one.
"""

from functools import cache
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, TensorTuple, TensorTupleOp
from .columns import (
    as_columns,
    from_columns,
    normalize_columns,
    normalize_columns_adjoint,
    order_of_columns,
)
from .kinds import normalize_axes, plain_number, repeated_axes, unbroadcast
from .names import by_any_name
from .reductions import mean
from .sums import sum_over

__all__ = ["BatchNorm", "Normalize", "normalize"]

Axes = tuple[int, ...]


class Normalize(TensorTupleOp):
    """(y, mean, r): y = x̂·w + b and, for the gradient, the moments of x. w and b broadcast to x.

    Adjoints for that of y: r·(g·w - m(g·w) - x̂·m(g·w·x̂)), Σ g·x̂, Σ g.
    """

    materialize_grads = False

    def __init__(self, axes: Axes, eps: float = 1e-5) -> None:
        self.axes = axes
        self.eps = plain_number(eps)

    def compute(self, x: Array, weight: Array, bias: Array) -> tuple[Array, ...]:
        y, average, _, scale = self._normalized(x, weight, bias)
        return y, average, scale

    def _normalized(self, x: Array, weight: Array, bias: Array) -> tuple[Array, ...]:
        """(y, mean, variance, r)."""
        order = order_of_columns(x, self.axes) if x.ndim > 2 else None
        if order and weight.size == x.shape[order[-1]]:
            flat = weight.reshape(1, -1), bias.reshape(1, -1)
            y, *moments = normalize_columns(as_columns(x, order), *flat, self.eps)
            shape = [1 if axis in self.axes else length for axis, length in enumerate(x.shape)]
            return from_columns(y, x.shape, order), *[each.reshape(shape) for each in moments]
        average, variance, deviation = self._moments(x)
        scale = variance + self.eps
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        deviation *= scale * weight
        deviation += bias
        return deviation, average, variance, scale

    def _moments(self, x: Array) -> tuple[Array, Array, Array]:
        """The mean, the variance, and x - mean."""
        average = sum_over(x, self.axes)
        count = _count(x, average)
        average /= count
        deviation = x - average
        variance = sum_over(deviation * deviation, self.axes)
        variance /= count
        return average, variance, deviation

    def gradient(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        x, weight, *others = node.inputs
        op = _normalize_adjoint(self.axes, self.eps)
        adjoint = TensorTuple.make_from_op(op, (out_grad[0], x, weight, node))
        return *adjoint.tuple(), *[None] * (len(others) - 1)


class BatchNorm(Normalize):
    """(y, mean, r, new running mean, new running variance): `Normalize` with running statistics.

    new = (1 - momentum)·running + momentum·observed. Adjoints: as `Normalize`, none of the
    running statistics.
    """

    def __init__(self, axes: Axes, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__(axes, eps)
        self.momentum = plain_number(momentum)

    def compute(  # type: ignore[override] # it takes two operands more
        self, x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array
    ) -> tuple[Array, ...]:
        y, average, variance, scale = self._normalized(x, weight, bias)
        new_mean = self._moved(running_mean, average)
        return y, average, scale, new_mean, self._moved(running_var, variance)

    def _moved(self, running: Array, observed: Array) -> Array:
        moved = running * (1 - self.momentum)
        moved += observed.reshape(running.shape) * self.momentum
        return moved


class _NormalizeAdjoint(TensorTupleOp):
    """The adjoints of x, w and b in `Normalize`, as a function of g, x, w and its outputs.

    With J(v) = r·(v - m(v) - x̂·m(v·x̂)) they are J(g·w), Σ g·x̂ and Σ g. Let h, h_w and h_b be the
    adjoints of the three. J is symmetric, so the adjoint of g is w·J(h) + x̂·h_w + h_b and that of
    w is Σ g·J(h). The adjoint of x is J(g·h_w) and, since J depends on x,
    -r·(m(g·w·x̂)·J(h) + m(h·x̂)·J(g·w) + x̂·m(h·J(g·w))).
    """

    def __init__(self, axes: Axes, eps: float) -> None:
        self.axes = axes
        self.eps = eps

    def compute(
        self, out_grad: Array, x: Array, weight: Array, outputs: tuple[Array, ...]
    ) -> tuple[Array, Array, Array]:
        average, scale = outputs[1:3]
        repeated = repeated_axes(x.shape, weight.shape)
        order = order_of_columns(x, self.axes) if x.ndim > 2 and repeated == self.axes else None
        if order:
            matrices = as_columns(out_grad, order), as_columns(x, order)
            flat = [each.reshape(1, -1) for each in (average, scale, weight)]
            of_x, *others = normalize_columns_adjoint(*matrices, *flat)
            of_weight, of_bias = [each.reshape(weight.shape) for each in others]
            return from_columns(of_x, x.shape, order), of_weight, of_bias
        deviation = x - average
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

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        g, x, weight, _ = node.inputs
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
            unbroadcast(g * along_h, weight.shape),
            None,
        )


def _count(x: Array, reduced: Array) -> int:
    """How many elements of x go into one of `reduced`."""
    return x.size // max(1, reduced.size)


_normalize_adjoint = cache(_NormalizeAdjoint)  # one instance for all calls


@by_any_name
def normalize(x: Tensor, weight: Tensor, bias: Tensor, axes: Any, eps: float = 1e-5) -> Tensor:
    """(x - mean)/√(variance + eps)·weight + bias, with the moments of x over `axes`.

    weight and bias have one shape, which broadcasts to that of x.
    """
    return Normalize(normalize_axes(axes, x.ndim), eps)(x, weight, bias)[0]
