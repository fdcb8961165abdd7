"""gradcheck and numerical_gradient.

A derivative is compared with the two-sided difference (f(θ + ε) - f(θ - ε)) / 2ε in float64. Its
error is ε²·f‴/6 from truncation plus about 10⁻¹⁶·|f|/ε from rounding; ε = 10⁻⁶ keeps both near
10⁻¹⁰ for functions of moderate size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor, enable_grad
from .functions import VectorFunction, random_signs, vector_function

__all__ = ["GradcheckError", "gradcheck", "numerical_gradient"]


class GradcheckError(AssertionError):
    """A gradient that differs from the finite differences; the text says where, and both values."""

    __module__ = "needle.testing"  # where users find it


def gradcheck(
    f: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-5,
    order: int = 1,
    mode: str = "full",
    seed: int = 0,
    forward: bool = False,
) -> bool:
    """Check the gradients of `f` against two-sided differences.

    f is called with copies of the inputs. The inputs themselves, their `.grad` and NumPy's global
    random state are not changed. An input that f does not use has the gradient zero.

    Args:
        f: takes the inputs, returns a float64 Tensor of any shape, or several of them. It must be
            deterministic.
        inputs: a float64 Tensor or several, of any shape; all of them are differentiated.
        eps: the step ε.
        atol: a derivative a and its difference quotient d agree where |a - d| ≤ atol + rtol·|d|.
        rtol: see `atol`.
        order: 1, or 2 to check the gradient of the gradient as well: that of the function
            (inputs, v) ↦ vᵀJ, with J the Jacobian of f and v a random adjoint of its results.
        mode: "full" compares the whole Jacobian, element by element: two evaluations of f for
            each element of the inputs, and one backward pass for each element of the results.
            "random" compares δᵀ∇(vᵀf) for one random unit direction δ of all inputs and one random
            unit adjoint v of all results: one backward pass and two evaluations of f, whatever the
            size. An error in one of n elements is scaled by about 1/√n.
        seed: of the random numbers, from `numpy.random.default_rng(seed)`.
        forward: check the tangents of forward mode instead of the gradients: one forward pass for
            each element of the inputs in "full" mode, a single one in "random" mode; in order 2
            also those of the function (inputs, t) ↦ J·t.

    Returns:
        True.

    Raises:
        GradcheckError: a derivative is wrong; the text names the input and the element.
        TypeError: an input or a result is not a float64 Tensor.
        ValueError: `eps`, `order` or `mode` is not one of the values above.

    Example:
        >>> import needle as ndl
        >>> from needle.testing import gradcheck
        >>> x, w = ndl.Tensor([[1.0, 2.0]]), ndl.Tensor([[0.5], [-0.5]])
        >>> gradcheck(lambda x, w: ndl.tanh(x @ w), (x, w), order=2)
        True
        >>> gradcheck(lambda x: x * x.detach(), x)
        Traceback (most recent call last):
            ...
        needle.testing.GradcheckError: the derivative of output[0, 1] with respect to input 0[0, 1]
            by the gradient:  2
            by differences:   4
        2 of 4 derivatives disagree (atol=1e-06, rtol=1e-05).
    """
    if mode not in _CHECKS:
        raise ValueError(f"gradcheck: mode is 'full' or 'random', got {mode!r}")
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is 1 or 2, got {order!r}")
    function = vector_function(f, inputs, "gradcheck", eps, forward)
    rng = np.random.default_rng(seed)
    # a derivative that is not finite fails, with a text that says more than NumPy's warnings
    with enable_grad(), np.errstate(all="ignore"):
        _CHECKS[mode](_Check(function, eps, atol, rtol), rng)
        if order == 2:
            _CHECKS[mode](_Check(function.derivative(rng), eps, atol, rtol), rng)
    return True


def numerical_gradient(
    f: Callable[..., Any], inputs: Tensor | Sequence[Tensor], eps: float = 1e-6
) -> list[np.ndarray]:
    """The gradient of a number-valued function by two-sided differences, element by element.

    Args:
        f: takes the inputs, returns a float64 Tensor of one element.
        inputs: a float64 Tensor or several.
        eps: the step ε in (f(θ + ε) - f(θ - ε)) / 2ε.

    Returns:
        A float64 array for each input, of its shape.

    Raises:
        TypeError: an input or the result is not a float64 Tensor.
        ValueError: f returns several elements.

    Example:
        >>> import needle as ndl
        >>> from needle.testing import numerical_gradient
        >>> (gradient,) = numerical_gradient(lambda x: (x**3).sum(), ndl.Tensor([1.0, 2.0]))
        >>> gradient.round(6)
        array([ 3., 12.])
    """
    function = vector_function(f, inputs, "numerical_gradient", eps)
    if function.value.size != 1 or len(function.results.shapes) != 1:
        shapes = " and ".join(map(str, function.results.shapes))
        raise ValueError(
            f"numerical_gradient takes a function that returns one number, got shape {shapes}: "
            "sum it, or use gradcheck, which checks each element"
        )
    return function.inputs.split(function.quotients(eps)[0])


@dataclass(frozen=True)
class _Check:
    """A function, the step of its differences, and the tolerances of its derivatives."""

    function: VectorFunction
    eps: float
    atol: float
    rtol: float

    def full(self, rng: np.random.Generator) -> None:
        """Compare every element of the Jacobian."""
        quotients = self.function.quotients(self.eps)
        derivatives = self.function.jacobian()
        excess = self._excess(derivatives, quotients)
        wrong = int(np.sum(excess > 1))
        if wrong:
            row, column = np.unravel_index(np.argmax(excess), excess.shape)
            raise self._error(
                f"{self.function.results.element(row)} with respect to "
                f"{self.function.inputs.element(column)}",
                derivatives[row, column],
                quotients[row, column],
                f"{wrong} of {excess.size} derivatives disagree",
            )

    def random(self, rng: np.random.Generator) -> None:
        """Compare the derivative of one combination of the results along one direction."""
        function, point = self.function, self.function.point
        weights = _random_unit(function.value.size, rng)
        direction = _random_unit(point.size, rng)
        gradient = None if function.forward else function.vjp(weights)

        def along(direction: np.ndarray) -> tuple[float, float]:
            """The derivative along `direction`, and its difference quotient."""
            derivative = (
                weights @ function.jvp(direction) if gradient is None else gradient @ direction
            )
            step = direction * self.eps
            change = function(point + step) - function(point - step)
            return float(derivative), float(weights @ change / (2 * self.eps))

        derivative, quotient = along(direction)
        if self._excess(derivative, quotient) <= 1:
            return
        combination = "a random combination of " if weights.size > 1 else ""
        target = combination + " and ".join(function.results.names)
        position = _worst_element(along, direction)
        of_element = along(np.eye(1, direction.size, position)[0])
        if self._excess(*of_element) <= 1:
            where = "along a random direction through all inputs"
            raise self._error(f"{target} {where}", derivative, quotient, "they disagree")
        raise self._error(
            f"{target} with respect to {function.inputs.element(position)}",
            *of_element,
            f"along a random direction, {derivative:.10g} and {quotient:.10g} disagree",
        )

    def _excess(self, derivative: Any, quotient: Any) -> Any:
        """|derivative - quotient| as a multiple of the tolerance; infinite for a NaN."""
        apart = np.abs(derivative - quotient) / (self.atol + self.rtol * np.abs(quotient))
        return np.where(np.isnan(apart), np.inf, apart)

    def _error(self, what: str, derivative: float, quotient: float, found: str) -> GradcheckError:
        subject = "tangent" if self.function.forward else "gradient"
        lines = [
            f"the derivative of {what}",
            f"    by the {subject}:{' ' * (10 - len(subject))}{derivative:.10g}",
            f"    by differences:   {quotient:.10g}",
            f"{found} (atol={self.atol:g}, rtol={self.rtol:g}).",
            self._hint(),
        ]
        return GradcheckError("\n".join(line for line in lines if line))

    def _hint(self) -> str:
        """What may be wrong other than the gradient; empty if nothing was found."""
        function = self.function
        largest = np.max(np.abs(function.value), initial=0.0)
        if not np.isfinite(largest):
            return "The function is not finite here: choose other inputs."
        if not np.array_equal(function(function.point), function.value):
            return "The function gave other values when it was called again: seed it inside."
        rounding = largest * np.finfo(float).eps / self.eps
        if rounding > self.atol:
            return (
                f"The function's values reach {largest:g}, so that differences are only good to "
                f"{rounding:.0e}: scale it down, or give a larger eps."
            )
        if function.forward:
            return ""
        adjoints = function.adjoints(np.ones_like(function.value))
        pairs = zip(function.inputs.names, adjoints, strict=True)
        cut = [name for name, adjoint in pairs if adjoint is None]
        return f"No gradient arrives at {' and '.join(cut)}: no graph leads there." if cut else ""


_CHECKS = {"full": _Check.full, "random": _Check.random}


def _worst_element(
    along: Callable[[np.ndarray], tuple[float, float]], direction: np.ndarray
) -> int:
    """The position of an element whose derivative differs from the differences, by bisection."""

    def distance(elements: np.ndarray) -> float:
        part = np.zeros_like(direction)
        part[elements] = direction[elements]
        length = np.linalg.norm(part)
        derivative, quotient = along(part / length)
        apart = abs(derivative - quotient) * float(length)
        return np.inf if np.isnan(apart) else apart

    elements = np.arange(direction.size)
    while elements.size > 1:
        elements = max(np.array_split(elements, 2), key=distance)
    return int(elements[0])


def _random_unit(size: int, rng: np.random.Generator) -> np.ndarray:
    vector = random_signs(size, rng)
    return vector / (np.linalg.norm(vector) or 1.0)  # there may be no elements
