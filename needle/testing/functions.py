"""Functions of tensors as functions of vectors: values, differences and derivatives at a point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple, compute_adjoints, no_grad
from ..differentiation import jvp
from ..ops.kinds import constant_like

__all__ = ["VectorFunction", "random_signs", "vector_function"]

Tensors = list[Tensor]


@dataclass(frozen=True)
class Parts:
    """Named arrays whose elements, one array after another, are a vector."""

    names: list[str]
    shapes: list[tuple[int, ...]]

    @property
    def sizes(self) -> list[int]:
        return [int(np.prod(shape)) for shape in self.shapes]

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """The arrays of which `vector` has the elements."""
        pieces = np.split(vector, np.cumsum(self.sizes)[:-1]) if self.sizes else []
        return [part.reshape(shape) for part, shape in zip(pieces, self.shapes, strict=True)]

    def element(self, position: Any) -> str:
        """The name of one element of the vector."""
        ends = np.cumsum(self.sizes)
        part = int(np.searchsorted(ends, position, side="right"))
        shape = self.shapes[part]
        index = np.unravel_index(position - ends[part] + self.sizes[part], shape)
        return self.names[part] + (f"[{', '.join(map(str, index))}]" if shape else "")


@dataclass(frozen=True)
class VectorFunction:
    """A function from Tensors to Tensors, as a function from a vector of all elements to another.

    Attributes:
        call: the function.
        inputs: what its arguments are.
        point: the elements of the arguments at which it is differentiated.
        result_name: what messages call its results.
        forward: whether it is differentiated in forward mode.
    """

    call: Callable[[Tensors], Tensors]
    inputs: Parts
    point: np.ndarray
    result_name: str = "output"
    forward: bool = False

    def __call__(self, point: np.ndarray) -> np.ndarray:
        """The value at another point."""
        # of leaves that require gradients: the function may differentiate, too
        return _vector(self.call([Tensor(part) for part in self.inputs.split(point)]))

    @cached_property
    def _graph(self) -> tuple[Tensors, Tensors]:
        leaves = [Tensor(part) for part in self.inputs.split(self.point)]
        return leaves, self.call(leaves)

    @cached_property
    def value(self) -> np.ndarray:
        """The value at the point."""
        return _vector(self._graph[1])

    @cached_property
    def results(self) -> Parts:
        shapes = [result.shape for result in self._graph[1]]
        numbers = [f" {number}" for number in range(len(shapes))] if len(shapes) != 1 else [""]
        return Parts([self.result_name + number for number in numbers], shapes)

    def adjoints(self, weights: np.ndarray) -> list[Any]:
        """The adjoint of each input for adjoints `weights` of the results; None where none arrives.

        Results whose adjoints are all 0 are left out: 0·∞ would be NaN.
        """
        leaves, results = self._graph
        pairs = zip(results, self.results.split(weights), strict=True)
        used = [(result, Tensor.make_const(part)) for result, part in pairs if part.any()]
        with no_grad():
            return compute_adjoints([pair[0] for pair in used], [pair[1] for pair in used], leaves)

    def vjp(self, weights: np.ndarray) -> np.ndarray:
        """weights·Jacobian, in reverse mode."""
        return _vector(_or_zeros(self.adjoints(weights), self._graph[0]))

    def jvp(self, direction: np.ndarray) -> np.ndarray:
        """Jacobian·direction, in forward mode."""
        tangents = [Tensor.make_const(part) for part in self.inputs.split(direction)]
        return _vector(self._tangents(self._graph[0], tangents))

    def _tangents(self, leaves: Tensors, along: Tensors) -> Tensors:
        return list(jvp(lambda *args: tuple(self.call(list(args))), leaves, along)[1])

    def jacobian(self) -> np.ndarray:
        """All results by all inputs: a forward pass for a column each, or a reverse one a row."""
        rows, columns = self.value.size, self.point.size
        if self.forward:
            return np.reshape([self.jvp(unit) for unit in np.eye(columns)], (columns, rows)).T
        return np.reshape([self.vjp(unit) for unit in np.eye(rows)], (rows, columns))

    def quotients(self, eps: float) -> np.ndarray:
        """The Jacobian by two-sided differences: two evaluations a column."""
        columns = []
        for position in range(self.point.size):
            high, low = self.point.copy(), self.point.copy()
            high[position] += eps
            low[position] -= eps
            step = high[position] - low[position]  # 2ε as it was rounded
            columns.append((self(high) - self(low)) / step)
        return np.reshape(columns, (self.point.size, self.value.size)).T

    def derivative(self, rng: np.random.Generator) -> VectorFunction:
        """The derivative as a function, differentiated in the same mode, at random v or t.

        In reverse mode (inputs, v) ↦ vᵀJ, the gradients by inputs and adjoints; in forward mode
        (inputs, t) ↦ J·t, the tangents by inputs and their tangents.
        """
        count = len(self.inputs.shapes)

        def gradients(leaves: Tensors) -> Tensors:
            variables = leaves[:count]
            adjoints = compute_adjoints(self.call(variables), leaves[count:], variables)
            return _or_zeros(adjoints, variables)

        def tangents(leaves: Tensors) -> Tensors:
            return self._tangents(leaves[:count], leaves[count:])

        call, kind, result_name, like = (
            (tangents, "tangent", "tangent", self.inputs)
            if self.forward
            else (gradients, "adjoint", "gradient", self.results)
        )
        names = [*self.inputs.names, *[f"the {kind} of {name}" for name in like.names]]
        inputs = Parts(names, [*self.inputs.shapes, *like.shapes])
        point = np.concatenate([self.point, random_signs(sum(like.sizes), rng)])
        return VectorFunction(call, inputs, point, result_name, self.forward)


def vector_function(
    f: Callable[..., Any], inputs: Any, caller: str, eps: float, forward: bool = False
) -> VectorFunction:
    """`f` at its inputs, both checked; errors begin with `caller`."""
    if not eps > 0:
        raise ValueError(f"{caller}: eps must be positive, got {eps!r}")
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for position, tensor in enumerate(tensors):
        hint = "float32 has too few digits for differences, so make it Tensor(..., dtype='float64')"
        _check_float64(tensor, f"{caller}: input {position}", hint)
        size = np.max(np.abs(tensor.numpy()), initial=0.0)
        if size + eps == size:
            raise ValueError(
                f"{caller}: input {position} holds {size:g}, beside which the step eps={eps:g} is "
                "lost in rounding: scale the input down, or give a larger eps"
            )

    def call(leaves: Tensors) -> Tensors:
        result = f(*leaves)
        results = list(result) if isinstance(result, tuple | list | TensorTuple) else [result]
        for position, result in enumerate(results):
            hint = "return float64 Tensors only, with no other dtype on the way to them"
            _check_float64(result, f"{caller}: result {position} of the function", hint)
        return results

    names = [f"input {position}" for position in range(len(tensors))]
    parts = Parts(names, [tensor.shape for tensor in tensors])
    return VectorFunction(call, parts, _vector(tensors), forward=forward)


def random_signs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Random numbers of both signs and of sizes near 1, so that none has little weight."""
    return rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 1.5, size)


def _vector(tensors: Iterable[Tensor]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *[tensor.numpy().ravel() for tensor in tensors]])


def _or_zeros(adjoints: Iterable[Any], like: Tensors) -> Tensors:
    pairs = zip(adjoints, like, strict=True)
    return [constant_like(tensor, 0) if found is None else found for found, tensor in pairs]


def _check_float64(value: Any, what: str, hint: str) -> None:
    kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
    if kind != np.float64:
        raise TypeError(f"{what} is no float64 Tensor but {kind}: {hint}")
