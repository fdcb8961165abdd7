"""The table of ops: each row is run by every test of test_every_op.py.

A new op gets a row in a file of this package, and with it tests of its value, both derivatives,
both modes, dtypes, memory layouts and other libraries' arrays. A row is

    (name, function of Tensors, the same in NumPy, shapes of the inputs, *flags)

The name begins with the function's name in needle.ops. Shapes are a list of lists, one list a run,
or a name from SHAPES. The flags:

    positive, unit   inputs are from 0.5 to 2, from -0.8 to 0.8 (else any numbers)
    constant         no gradient passes
    floats           the op is not for integers
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor

from . import (
    activations,
    attention,
    elementwise,
    images,
    linalg,
    products,
    reductions,
    sequences,
    structure,
)

Shapes = Sequence[tuple[int, ...]]

SHAPES: dict[str, list[Shapes]] = {
    "one operand": [[(2, 3)], [()], [(0, 3)], [(1,)], [(2, 1, 2)]],
    "two operands": [
        [(2, 3), (2, 3)],
        [(3, 1), (1, 4)],
        [(1,), (2, 3)],
        [(), (2, 3)],
        [(2, 3), ()],
        [(0, 3), (1, 3)],
        [(2, 1, 2), (3, 1)],
        [(1, 1), (1,)],
        [(), ()],
    ],
    "three operands": [
        [(2, 3), (2, 3), (2, 3)],
        [(3, 1), (1, 4), ()],
        [(), (2, 1), (1, 3)],
        [(0, 2), (0, 2), (0, 2)],
    ],
}


@dataclass(frozen=True)
class Case:
    """A row of the table with one choice of shapes."""

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    shapes: Shapes
    flags: frozenset[str]

    @property
    def differentiable(self) -> bool:
        return "constant" not in self.flags

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """The sample inputs."""
        rng = np.random.default_rng(0)
        if np.dtype(dtype).kind == "i":
            return [rng.integers(1, 4, size=shape, dtype=dtype) for shape in self.shapes]
        return [np.asarray(self._draw(rng, shape), dtype) for shape in self.shapes]

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if "positive" in self.flags:
            return rng.uniform(0.5, 2, size=shape)
        if "unit" in self.flags:
            return rng.uniform(-0.8, 0.8, size=shape)
        return rng.normal(size=shape)

    def outputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The function's value as a list of Tensors, one unless it is a tuple."""
        value = self.function(*inputs)
        return list(value) if isinstance(value, ndl.TensorTuple | tuple) else [value]

    def expected(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the outputs should be."""
        value = self.reference(*inputs)
        return [np.asarray(entry) for entry in (value if isinstance(value, tuple) else (value,))]

    def objective(self, inputs: Sequence[Tensor]) -> Tensor:
        """A number that depends on every output, nonlinearly: Σ w·y + y²/2."""
        terms = [(y * _weights(y.shape) + y * y / 2).sum() for y in self.outputs(inputs)]
        return sum(terms[1:], start=terms[0])

    def expected_objective(self, *inputs: np.ndarray) -> float:
        """What the objective should be."""
        return sum(float((y * _weights(y.shape) + y * y / 2).sum()) for y in self.expected(inputs))

    def gradients(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradient of the objective, by backward()."""
        inputs = [Tensor(array) for array in arrays]
        self.objective(inputs).backward()
        return [gradient_of(x) for x in inputs]


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(0.5, 1.5, math.prod(shape)).reshape(shape)


def gradient_of(x: Tensor) -> np.ndarray:
    """The gradient of x as an array, zeros where no gradient arrived."""
    return np.zeros(x.shape) if x.grad is None else x.grad.numpy()


FAMILIES = (
    activations,
    attention,
    elementwise,
    images,
    linalg,
    products,
    reductions,
    sequences,
    structure,
)
CASES = [
    Case(name, function, reference, shapes, frozenset(flags))
    for family in (
        activations,
        attention,
        elementwise,
        images,
        linalg,
        products,
        reductions,
        sequences,
        structure,
    )
    for name, function, reference, runs, *flags in family.ROWS
    for shapes in (SHAPES[runs] if isinstance(runs, str) else runs)
]
