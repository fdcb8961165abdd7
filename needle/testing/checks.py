"""gradcheck and numerical_gradient.

A derivative is compared with the two-sided difference (f(θ + ε) - f(θ - ε)) / 2ε in float64. Its
error is ε²·f‴/6 from truncation plus about 10⁻¹⁶·|f|/ε from rounding; ε = 10⁻⁶ keeps both near
10⁻¹⁰ for functions of moderate size.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Self

import numpy as np

from ..autograd import Tensor, TensorTuple, compute_adjoints, enable_grad, no_grad
from ..differentiation import jvp
from ..ops.kinds import or_zeros

__all__ = ["GradcheckError", "gradcheck", "numerical_gradient"]

Arrays = Sequence[np.ndarray]


class GradcheckError(AssertionError):
    """A gradient that differs from the finite differences; the text says where, and both values.

    Example:
        >>> import needle as ndl
        >>> class Twice(ndl.TensorOp):
        ...     def compute(self, a):
        ...         return a * 2
        ...
        ...     def gradient(self, out_grad, node):
        ...         return out_grad * 3
        >>> ndl.testing.gradcheck(Twice(), ndl.Tensor([1.0]))  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
            ...
        needle.testing.GradcheckError: ...
    """

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

    f is called with copies of the inputs; their `.grad` and NumPy's global random state are not
    changed. An input that f does not use has the gradient zero.

    Args:
        f: takes the inputs, returns one or several float64 Tensors. It must be deterministic.
        inputs: a float64 Tensor or several, of any shape.
        eps: the step ε.
        atol, rtol: a derivative a and its quotient d agree where |a - d| ≤ atol + rtol·|d|.
        order: 1, or 2 to check the gradient of the gradient as well: that of the function
            (inputs, v) ↦ vᵀJ, with J the Jacobian of f and v a random adjoint of its results.
        mode: "full" compares each element of the Jacobian: two evaluations of f per element of the
            inputs, one backward pass per element of the results. "random" compares δᵀ∇(vᵀf) for
            random unit vectors δ and v: one backward pass and two evaluations. An error in one of
            n elements is scaled by about 1/√n.
        seed: of the random numbers.
        forward: check the tangents of forward mode instead, one forward pass per element of the
            inputs (in "random" mode, one); in order 2 also those of (inputs, t) ↦ J·t.

    Raises:
        GradcheckError: a derivative is wrong; the text names the input and the element.
        TypeError: an input or a result is not a float64 Tensor.

    Example:
        >>> import needle as ndl
        >>> from needle.testing import gradcheck
        >>> x, w = ndl.Tensor([[1.0, 2.0]]), ndl.Tensor([[0.5], [-0.5]])
        >>> gradcheck(lambda x, w: ndl.tanh(x @ w), (x, w), order=2)
        True
    """
    if mode not in ("full", "random"):
        raise ValueError(f"gradcheck: mode is 'full' or 'random', got {mode!r}")
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is 1 or 2, got {order!r}")
    check = replace(_check("gradcheck", f, inputs, eps), atol=atol, rtol=rtol, forward=forward)
    rng = np.random.default_rng(seed)
    # a derivative that is not finite fails, with a text that says more than NumPy's warnings
    with enable_grad(), np.errstate(all="ignore"):
        for _ in range(order):
            check.full() if mode == "full" else check.random(rng)
            check = check.of_derivative(rng)
    return True


def numerical_gradient(
    f: Callable[..., Any], inputs: Tensor | Sequence[Tensor], eps: float = 1e-6
) -> list[np.ndarray]:
    """The gradient of a number-valued function by two-sided differences, element by element.

    `f` takes the inputs, float64 Tensors, and returns one of one element; `eps` is the step ε in
    (f(θ + ε) - f(θ - ε)) / 2ε. The result has a float64 array for each input, of its shape.

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
    check = _check("numerical_gradient", f, inputs, eps)
    if [value.size for value in check.values] != [1]:
        shapes = " and ".join(str(value.shape) for value in check.values)
        raise ValueError(
            f"numerical_gradient takes a function that returns one number, got shape {shapes}: "
            "sum it, or use gradcheck, which checks each element"
        )
    return _split(_of_units(check.quotient, _vector(check.point).size, 1), check.point)


@dataclass(frozen=True)
class _Check:
    """A function of Tensors and a point, and how its derivatives there are compared.

    Vectors hold the elements of all arguments, or of all results, one array after another.
    """

    call: Callable[[Sequence[Tensor]], Sequence[Tensor]]
    point: Arrays
    names: Sequence[str]  # of the arguments
    eps: float
    atol: float = 0.0
    rtol: float = 0.0
    forward: bool = False  # whether tangents are compared, in the place of gradients
    result_name: str = "output"

    def full(self) -> None:
        """Compare every element of the Jacobian."""
        size, count = _vector(self.point).size, _vector(self.values).size
        quotients = _of_units(self.quotient, size, count).T
        if self.forward:
            derivatives = _of_units(self.jvp, size, count).T
        else:
            derivatives = _of_units(self.vjp, count, size)
        excess = self._excess(derivatives, quotients)
        if wrong := int(np.sum(excess > 1)):
            worst = np.unravel_index(np.argmax(excess), excess.shape)
            target = _element_name(worst[0], self.values, self.result_names)
            source = _element_name(worst[1], self.point, self.names)
            what = f"{target} with respect to {source}"
            found = f"{wrong} of {excess.size} derivatives disagree"
            raise self._error(what, derivatives[worst], quotients[worst], found)

    def random(self, rng: np.random.Generator) -> None:
        """Compare the derivative of one combination of the results along one direction."""
        weights = _unit(_vector(_random(self.values, rng)))
        direction = _unit(_vector(_random(self.point, rng)))
        gradient = None if self.forward else self.vjp(weights)

        def along(direction: np.ndarray) -> tuple[float, float]:
            """The derivative along `direction`, and its difference quotient."""
            derivative = weights @ self.jvp(direction) if gradient is None else gradient @ direction
            return float(derivative), float(weights @ self.quotient(direction))

        whole = along(direction)
        if self._excess(*whole) <= 1:
            return
        target = " and ".join(self.result_names)
        if weights.size > 1:
            target = f"a random combination of {target}"
        position = _worst_element(along, direction)
        of_element = along(np.eye(1, direction.size, position)[0])
        if self._excess(*of_element) <= 1:
            where = "along a random direction through all inputs"
            raise self._error(f"{target} {where}", *whole, "they disagree")
        source = _element_name(position, self.point, self.names)
        found = "along a random direction, {:.10g} and {:.10g} disagree".format(*whole)
        raise self._error(f"{target} with respect to {source}", *of_element, found)

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The results at other arguments."""
        # of leaves that require gradients: the function may differentiate, too
        return _vector(self.call([Tensor(part) for part in _split(vector, self.point)]))

    @cached_property
    def _graph(self) -> tuple[list[Tensor], Sequence[Tensor]]:
        leaves = [Tensor(array) for array in self.point]
        return leaves, self.call(leaves)

    @cached_property
    def values(self) -> Arrays:
        """The results at the point."""
        return [result.numpy() for result in self._graph[1]]

    @property
    def result_names(self) -> Sequence[str]:
        count = len(self.values)
        return [self.result_name + (f" {k}" if count > 1 else "") for k in range(count)]

    def quotient(self, direction: np.ndarray) -> np.ndarray:
        """Jacobian·direction, for a unit vector, by the two-sided difference."""
        point, change = _vector(self.point), direction * self.eps
        high, low = point + change, point - change
        step = (high - low) @ direction  # 2ε as it was rounded
        return (self(high) - self(low)) / (step or 1.0)  # there may be no elements

    def jvp(self, direction: np.ndarray) -> np.ndarray:
        """Jacobian·direction, in forward mode."""
        return _vector(self._tangents(self._graph[0], _constants(direction, self.point)))

    def vjp(self, weights: np.ndarray) -> np.ndarray:
        """weights·Jacobian, in reverse mode."""
        return _vector(or_zeros(self._adjoints(weights), self._graph[0]))

    def _adjoints(self, weights: np.ndarray) -> list[Any]:
        """The adjoint of each argument; None where none arrives."""
        leaves, results = self._graph
        pairs = zip(results, _constants(weights, self.values), strict=True)
        # without results whose weights are all 0: 0·∞ would be NaN
        used = [(result, part) for result, part in pairs if part.cached_data.any()]
        with no_grad():
            return compute_adjoints([each for each, _ in used], [each for _, each in used], leaves)

    def _tangents(self, leaves: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
        return jvp(lambda *args: tuple(self.call(args)), tuple(leaves), tuple(along))[1]

    def of_derivative(self, rng: np.random.Generator) -> Self:
        """The check of (inputs, v) ↦ vᵀJ, or in forward mode of (inputs, t) ↦ J·t."""
        count = len(self.point)

        def derivative(leaves: Sequence[Tensor]) -> Sequence[Tensor]:
            args, others = leaves[:count], leaves[count:]
            if self.forward:
                return self._tangents(args, others)
            return or_zeros(compute_adjoints(self.call(args), others, args), args)

        names = self.names if self.forward else self.result_names
        kind = "tangent" if self.forward else "adjoint"
        return replace(
            self,
            call=derivative,
            point=[*self.point, *_random(self.point if self.forward else self.values, rng)],
            names=[*self.names, *[f"the {kind} of {name}" for name in names]],
            result_name="tangent" if self.forward else "gradient",
        )

    def _excess(self, derivative: Any, quotient: Any) -> Any:
        """|derivative - quotient| as a multiple of the tolerance; infinite for a NaN."""
        apart = np.abs(derivative - quotient) / (self.atol + self.rtol * np.abs(quotient))
        return np.where(np.isnan(apart), np.inf, apart)

    def _error(self, what: str, derivative: float, quotient: float, found: str) -> GradcheckError:
        subject = "tangent: " if self.forward else "gradient:"
        text = (
            f"the derivative of {what}\n"
            f"    by the {subject}  {derivative:.10g}\n"
            f"    by differences:   {quotient:.10g}\n"
            f"{found} (atol={self.atol:g}, rtol={self.rtol:g}).\n{self._hint()}"
        )
        return GradcheckError(text.rstrip())

    def _hint(self) -> str:
        """What may be wrong other than the gradient; empty if nothing was found."""
        values = _vector(self.values)
        largest = np.max(np.abs(values), initial=0.0)
        if not np.isfinite(largest):
            return "The function is not finite here: choose other inputs."
        if not np.array_equal(self(_vector(self.point)), values):
            return "The function gave other values when it was called again: seed it inside."
        rounding = largest * np.finfo(float).eps / self.eps
        if rounding > self.atol:
            return (
                f"The function's values reach {largest:g}, so that differences are only good to "
                f"{rounding:.0e}: scale it down, or give a larger eps."
            )
        if self.forward:
            return ""
        adjoints = self._adjoints(np.ones_like(values))
        cut = [name for name, found in zip(self.names, adjoints, strict=True) if found is None]
        return f"No gradient arrives at {' and '.join(cut)}: no graph leads there." if cut else ""


def _check(caller: str, f: Callable[..., Any], inputs: Any, eps: float) -> _Check:
    """The check of `f`, eps and the inputs being valid; errors begin with `caller`."""
    if not eps > 0:
        raise ValueError(f"{caller}: eps must be positive, got {eps!r}")
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for position, tensor in enumerate(tensors):
        what = f"{caller}: input {position}"
        _check_float64(tensor, what, "differences need its digits: Tensor(..., dtype='float64')")
        size = np.max(np.abs(tensor.numpy()), initial=0.0)
        if size + eps == size:
            raise ValueError(
                f"{what} holds {size:g}, beside which the step eps={eps:g} is lost in rounding: "
                "scale the input down, or give a larger eps"
            )

    def call(leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        result = f(*leaves)
        results = list(result) if isinstance(result, tuple | list | TensorTuple) else [result]
        for position, each in enumerate(results):
            hint = "return float64 Tensors only, with no other dtype on the way to them"
            _check_float64(each, f"{caller}: result {position} of the function", hint)
        return results

    names = [f"input {position}" for position in range(len(tensors))]
    return _Check(call, [tensor.numpy() for tensor in tensors], names, eps)


def _check_float64(value: Any, what: str, hint: str) -> None:
    kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
    if kind != np.float64:
        raise TypeError(f"{what} is no float64 Tensor but {kind}: {hint}")


def _of_units(product: Callable[[np.ndarray], np.ndarray], size: int, count: int) -> np.ndarray:
    """product(e), of `count` elements, for each of the `size` unit vectors e."""
    rows = [product(np.eye(1, size, position)[0]) for position in range(size)]
    return np.reshape(rows, (size, count))


def _worst_element(along: Callable[[np.ndarray], tuple[float, float]], start: np.ndarray) -> int:
    """The position of an element whose derivative differs from the differences, by bisection."""

    def distance(elements: np.ndarray) -> float:
        part = np.zeros_like(start)
        part[elements] = start[elements]
        derivative, quotient = along(_unit(part))
        return float(np.nan_to_num(abs(derivative - quotient), nan=np.inf))

    elements = np.arange(start.size)
    while elements.size > 1:
        elements = max(np.array_split(elements, 2), key=distance)
    return int(elements[0])


# --- several arrays as one vector


def _vector(parts: Iterable[Any]) -> np.ndarray:
    """The elements of arrays or Tensors, one after another."""
    arrays = [part.numpy() if isinstance(part, Tensor) else part for part in parts]
    return np.concatenate([np.zeros(0), *[array.ravel() for array in arrays]])


def _split(vector: np.ndarray, like: Arrays) -> list[np.ndarray]:
    """The arrays of which `vector` has the elements: `_vector` undone."""
    parts = np.split(vector, np.cumsum([array.size for array in like]))[:-1]
    return [part.reshape(array.shape) for part, array in zip(parts, like, strict=True)]


def _element_name(position: Any, arrays: Arrays, names: Sequence[str]) -> str:
    """What messages call the element at `position` of the vector of `arrays`."""
    elements = (
        f"{name}[{', '.join(map(str, index))}]" if array.ndim else name
        for array, name in zip(arrays, names, strict=True)
        for index in np.ndindex(array.shape)
    )
    return next(islice(elements, position, None))


def _constants(vector: np.ndarray, like: Arrays) -> list[Tensor]:
    return [Tensor(array, requires_grad=False) for array in _split(vector, like)]


def _random(like: Arrays, rng: np.random.Generator) -> list[np.ndarray]:
    """Random numbers of both signs and of sizes near 1, so that none has little weight."""
    shapes = [array.shape for array in like]
    return [np.asarray(rng.choice([-1, 1], s) * rng.uniform(0.5, 1.5, s)) for s in shapes]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / (np.linalg.norm(vector) or 1.0)  # there may be no elements
