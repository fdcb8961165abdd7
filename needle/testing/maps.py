"""Functions from arrays to arrays at a point: values, differences and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple, compute_adjoints, no_grad
from ..differentiation import jvp

__all__ = ["Map", "derivative_map", "element_name", "flat", "map_of", "random_unit", "split"]

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True)
class Map:
    """A function from Tensors to a list of Tensors, and a point at which to look at it."""

    call: Callable[[list[Tensor]], list[Tensor]]
    point: list[np.ndarray]
    names: list[str]  # of the inputs
    result_name: str = "output"
    forward: bool = False  # whether it is differentiated in forward mode

    def __call__(self, point: Arrays) -> list[np.ndarray]:
        """The values at another point."""
        # of leaves that require gradients: the function may differentiate, too
        return [value.numpy() for value in self.call([Tensor(array) for array in point])]

    @cached_property
    def graph(self) -> tuple[list[Tensor], list[Tensor]]:
        """Leaves and results at the point, with the graph between them."""
        leaves = [Tensor(array) for array in self.point]
        return leaves, self.call(leaves)

    @cached_property
    def values(self) -> list[np.ndarray]:
        """The values at the point."""
        return [value.numpy() for value in self.graph[1]]

    @property
    def result_names(self) -> list[str]:
        """What messages call the results."""
        if len(self.values) == 1:
            return [self.result_name]
        return [f"{self.result_name} {position}" for position in range(len(self.values))]

    def pull_back(self, adjoints: Mapping[int, np.ndarray]) -> list[np.ndarray | None]:
        """The adjoint of each input for adjoints of some results; None where none arrives."""
        leaves, results = self.graph
        with no_grad():
            found = compute_adjoints(
                [results[position] for position in adjoints],
                [Tensor.make_const(adjoint) for adjoint in adjoints.values()],
                leaves,
            )
            return [None if adjoint is None else adjoint.numpy() for adjoint in found]

    def gradient(self, adjoints: Mapping[int, np.ndarray]) -> np.ndarray:
        """`pull_back` as one flat array, zeros where nothing arrives."""
        pairs = zip(self.pull_back(adjoints), self.point, strict=True)
        return flat(np.zeros(array.shape) if found is None else found for found, array in pairs)

    def push_forward(self, direction: np.ndarray) -> np.ndarray:
        """The tangents of the results along `direction`, in forward mode, as one flat array."""
        tangents = [Tensor.make_const(part) for part in split(direction, self.point)]
        return flat(found.numpy() for found in self.tangents(self.graph[0], tangents))

    def tangents(self, leaves: list[Tensor], along: list[Tensor]) -> Sequence[Tensor]:
        """The tangents of the results at `leaves`."""
        return jvp(lambda *args: tuple(self.call(list(args))), leaves, along)[1]

    def derivative(self, weights: Arrays) -> Callable[[np.ndarray], float]:
        """The derivative of the sum of weights·results, as a function of the direction."""
        if self.forward:
            return lambda direction: float(flat(weights) @ self.push_forward(direction))
        gradient = self.gradient(dict(enumerate(weights)))
        return lambda direction: float(direction @ gradient)

    def jacobian(self) -> np.ndarray:
        """All results by all inputs: a column in a forward pass each, or a row in a reverse one."""
        size = flat(self.point).size
        if self.forward:
            columns = [self.push_forward(unit) for unit in np.eye(size)]
            return np.reshape(columns, (size, flat(self.values).size)).T
        rows = []
        for position, value in enumerate(self.values):
            for index in np.ndindex(value.shape):
                unit = np.zeros(value.shape)
                unit[index] = 1
                rows.append(self.gradient({position: unit}))
        return np.reshape(rows, (flat(self.values).size, size))

    def quotients(self, eps: float) -> np.ndarray:
        """The Jacobian by two-sided differences, a column in each pair of evaluations."""
        columns = []
        for position, array in enumerate(self.point):
            before, after = self.point[:position], self.point[position + 1 :]
            for index in np.ndindex(array.shape):
                high, low = array.copy(), array.copy()
                high[index] += eps
                low[index] -= eps
                above, below = self([*before, high, *after]), self([*before, low, *after])
                step = high[index] - low[index]  # 2ε as it was rounded
                columns.append((flat(above) - flat(below)) / step)
        return np.reshape(columns, (flat(self.point).size, flat(self.values).size)).T


def map_of(
    f: Callable[..., Any], inputs: Any, caller: str, eps: float, forward: bool = False
) -> Map:
    """`f` at its inputs, both checked; errors begin with `caller`."""
    if not eps > 0:
        raise ValueError(f"{caller}: eps must be positive, got {eps!r}")
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for position, tensor in enumerate(tensors):
        hint = "differences in fewer digits say nothing, so make it Tensor(..., dtype='float64')"
        _check_float64(tensor, f"{caller}: input {position}", hint)
        size = np.max(np.abs(tensor.numpy()), initial=0.0)
        if size + eps == size:
            raise ValueError(
                f"{caller}: input {position} holds {size:g}, beside which the step eps={eps:g} is "
                "lost in rounding: scale the input down, or give a larger eps"
            )

    def call(leaves: list[Tensor]) -> list[Tensor]:
        result = f(*leaves)
        values = list(result) if isinstance(result, tuple | list | TensorTuple) else [result]
        for position, value in enumerate(values):
            hint = "return float64 Tensors only, with no other dtype on the way to them"
            _check_float64(value, f"{caller}: result {position} of the function", hint)
        return values

    names = [f"input {position}" for position in range(len(tensors))]
    return Map(call, [tensor.numpy() for tensor in tensors], names, forward=forward)


def _check_float64(value: Any, what: str, hint: str) -> None:
    kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
    if kind != np.float64:
        raise TypeError(f"{what} is no float64 Tensor but {kind}: {hint}")


def derivative_map(function: Map, rng: np.random.Generator) -> Map:
    """The derivative of a map as a map, differentiated in the same mode.

    In reverse mode (inputs, v) ↦ vᵀJ, the gradients by inputs and adjoints; in forward mode
    (inputs, t) ↦ J·t, the tangents by inputs and their tangents.
    """
    count = len(function.point)

    def gradients(leaves: list[Tensor]) -> list[Tensor]:
        variables, out_grads = leaves[:count], leaves[count:]
        found = compute_adjoints(function.call(variables), out_grads, variables)
        return [
            Tensor.make_const(np.zeros(variable.shape)) if adjoint is None else adjoint
            for variable, adjoint in zip(variables, found, strict=True)
        ]

    def tangents(leaves: list[Tensor]) -> list[Tensor]:
        return list(function.tangents(leaves[:count], leaves[count:]))

    if function.forward:
        call, like, kind, result_name = tangents, function.point, "tangent", "tangent"
        of = function.names
    else:
        call, like, kind, result_name = gradients, function.values, "adjoint", "gradient"
        of = function.result_names
    point = [*function.point, *[random_signs(array.shape, rng) for array in like]]
    names = [*function.names, *[f"the {kind} of {name}" for name in of]]
    return Map(call, point, names, result_name, function.forward)


# --- several arrays as one


def flat(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The elements of all arrays, one after another."""
    return np.concatenate([np.zeros(0), *[array.ravel() for array in arrays]])


def split(elements: np.ndarray, like: Arrays) -> list[np.ndarray]:
    """The arrays of which `elements` are the elements: `flat` undone."""
    ends = np.cumsum([array.size for array in like])
    return [
        elements[end - array.size : end].reshape(array.shape)
        for end, array in zip(ends, like, strict=True)
    ]


def element_name(position: Any, arrays: Arrays, names: Sequence[str]) -> str:
    """What messages call the element that is at `position` among those of all arrays."""
    for array, name in zip(arrays, names, strict=True):
        if position < array.size:
            index = np.unravel_index(position, array.shape)
            return f"{name}[{', '.join(map(str, index))}]" if array.ndim else name
        position -= array.size
    raise IndexError(f"no element {position}")


def random_signs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random signs and sizes near 1: no element weighs little, and no two cancel."""
    return np.asarray(rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.5, 1.5, size=shape))


def random_unit(like: Arrays, rng: np.random.Generator) -> list[np.ndarray]:
    """Random arrays in the shapes of `like`, which together have length 1."""
    arrays = [random_signs(array.shape, rng) for array in like]
    length = np.linalg.norm(flat(arrays)) or 1.0  # there may be no elements
    return [array / length for array in arrays]
