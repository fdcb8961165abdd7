"""gradcheck and numerical_gradient.

A derivative is compared with the two-sided difference (f(θ + ε) - f(θ - ε)) / 2ε in float64. Its
error has two parts: ε²·f‴/6 from the curve, and about 10⁻¹⁶·|f|/ε from rounding; ε = 10⁻⁶ keeps
both near 10⁻¹⁰ for functions of moderate size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor, enable_grad
from .maps import Map, derivative_map, element_name, flat, map_of, random_unit, split

__all__ = ["GradcheckError", "gradcheck", "numerical_gradient"]


class GradcheckError(AssertionError):
    """A gradient that differences do not confirm; the text says where, with both numbers."""

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

    f is called with fresh copies of the inputs. The tensors themselves, every `.grad`, and NumPy's
    global random state are left alone. An input that f ignores has the gradient zero.

    Args:
        f: takes the inputs, returns a float64 Tensor of any shape, or several of them. It must
            give the same values every time.
        inputs: a float64 Tensor or several, of any shape; all of them are differentiated.
        eps: the step ε.
        atol: a derivative a and its difference quotient d agree where |a - d| ≤ atol + rtol·|d|.
        rtol: see `atol`.
        order: 1, or 2 to check the gradient of the gradient as well: that of the function
            (inputs, v) ↦ vᵀJ, with J the Jacobian of f and v a random adjoint of its results.
        mode: "full" compares the whole Jacobian, element by element: two evaluations of f for
            each element of the inputs, and one backward pass for each element of the results.
            "random" compares δᵀ∇(vᵀf) along one random unit direction δ through all the inputs,
            with v a random unit adjoint of all results: one backward pass and two evaluations
            beside it, whatever the size. An error in one of n elements shows 1/√n as large there.
        seed: what is random comes from `numpy.random.default_rng(seed)`.
        forward: whether to check the tangents of forward mode in the place of the gradients: in
            "full" mode one forward pass for each element of the inputs, in "random" mode one in
            all; in order 2 those of the function (inputs, t) ↦ J·t as well.

    Returns:
        True.

    Raises:
        GradcheckError: a derivative is wrong. The text names the input and the element, and gives
            both numbers.
        TypeError: an input or a result is not a float64 Tensor.
        ValueError: an argument is impossible.

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
    function = map_of(f, inputs, "gradcheck", eps, forward)
    rng = np.random.default_rng(seed)
    comparison = _Comparison(eps, atol, rtol, "tangent" if forward else "gradient")
    # a derivative that is not finite fails, with a text that says more than NumPy's warnings
    with enable_grad(), np.errstate(all="ignore"):
        _CHECKS[mode](function, comparison, rng)
        if order == 2:
            _CHECKS[mode](derivative_map(function, rng), comparison, rng)
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
        >>> (slope,) = numerical_gradient(lambda x: (x**3).sum(), ndl.Tensor([1.0, 2.0]))
        >>> slope.round(6)
        array([ 3., 12.])
    """
    function = map_of(f, inputs, "numerical_gradient", eps)
    if [value.size for value in function.values] != [1]:
        shapes = " and ".join(str(value.shape) for value in function.values)
        raise ValueError(
            f"numerical_gradient takes a function that returns one number, got shape {shapes}: "
            "sum it, or let gradcheck look at each element"
        )
    return split(function.quotients(eps)[0], function.point)


@dataclass(frozen=True)
class _Comparison:
    """How differences are taken, and how far from them a derivative may be."""

    eps: float
    atol: float
    rtol: float
    subject: str

    def excess(self, derivative: Any, quotient: Any) -> Any:
        """|derivative - quotient| as a multiple of what is allowed; infinite for a NaN."""
        apart = np.abs(derivative - quotient) / (self.atol + self.rtol * np.abs(quotient))
        return np.where(np.isnan(apart), np.inf, apart)

    def error(self, what: str, derivative: float, quotient: float, *lines: str) -> GradcheckError:
        tolerances = f" (atol={self.atol:g}, rtol={self.rtol:g})."
        first, *others = (line for line in lines if line)
        return GradcheckError(
            "\n".join(
                [
                    f"the derivative of {what}",
                    f"    by the {self.subject}:{' ' * (10 - len(self.subject))}{derivative:.10g}",
                    f"    by differences:   {quotient:.10g}",
                    first + tolerances,
                    *others,
                ]
            )
        )


def _check_fully(function: Map, comparison: _Comparison, rng: np.random.Generator) -> None:
    """Every element of the Jacobian."""
    quotients = function.quotients(comparison.eps)
    derivatives = function.jacobian()
    excess = comparison.excess(derivatives, quotients)
    wrong = int(np.sum(excess > 1))
    if wrong:
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        target = element_name(worst[0], function.values, function.result_names)
        source = element_name(worst[1], function.point, function.names)
        raise comparison.error(
            f"{target} with respect to {source}",
            derivatives[worst],
            quotients[worst],
            f"{wrong} of {excess.size} derivatives disagree",
            _hint(function, comparison),
        )


def _check_randomly(function: Map, comparison: _Comparison, rng: np.random.Generator) -> None:
    """The derivative along one direction of one combination of the results."""
    weights = random_unit(function.values, rng)
    direction = flat(random_unit(function.point, rng))
    derivative_along = function.derivative(weights)

    def along(direction: np.ndarray) -> tuple[float, float]:
        """The derivative along `direction` by the gradient, and by differences."""
        steps = split(direction * comparison.eps, function.point)
        pairs = list(zip(function.point, steps, strict=True))
        above, below = function([a + s for a, s in pairs]), function([a - s for a, s in pairs])
        change = flat(above) - flat(below)
        return derivative_along(direction), float(flat(weights) @ change / (2 * comparison.eps))

    derivative, quotient = along(direction)
    if comparison.excess(derivative, quotient) <= 1:
        return
    combined = sum(weight.size for weight in weights) > 1
    target = ("a random combination of " if combined else "") + " and ".join(function.result_names)
    hint = _hint(function, comparison)
    position = _worst_element(along, direction)
    of_element = along(np.eye(1, direction.size, position)[0])
    if comparison.excess(*of_element) <= 1:
        what = f"{target} along a random direction through all inputs"
        raise comparison.error(what, derivative, quotient, "they disagree", hint)
    raise comparison.error(
        f"{target} with respect to {element_name(position, function.point, function.names)}",
        *of_element,
        f"along a random direction, {derivative:.10g} and {quotient:.10g} disagree",
        hint,
    )


_CHECKS: dict[str, Callable[[Map, _Comparison, np.random.Generator], None]] = {
    "full": _check_fully,
    "random": _check_randomly,
}


def _worst_element(
    along: Callable[[np.ndarray], tuple[float, float]], direction: np.ndarray
) -> int:
    """The position of an element by which gradient and differences disagree.

    Halves the direction again and again, and goes on with the half along which they disagree more.
    """

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


def _hint(function: Map, comparison: _Comparison) -> str:
    """What may be wrong other than the gradient; empty where nothing shows."""
    largest = np.max(np.abs(flat(function.values)), initial=0.0)
    if not np.isfinite(largest):
        return "The function is not finite here: choose other inputs."
    if not np.array_equal(flat(function(function.point)), flat(function.values)):
        return "The function gave other values when it was called again: seed it inside."
    rounding = largest * np.finfo(float).eps / comparison.eps
    if rounding > comparison.atol:
        return (
            f"The function's values reach {largest:g}, so that differences are only good to "
            f"{rounding:.0e}: scale it down, or give a larger eps."
        )
    if function.forward:
        return ""
    adjoints = function.pull_back({k: np.ones_like(v) for k, v in enumerate(function.values)})
    cut = [name for name, found in zip(function.names, adjoints, strict=True) if found is None]
    return f"No gradient arrives at {' and '.join(cut)}: no graph leads there." if cut else ""
