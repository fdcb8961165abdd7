"""What several folders of tests share: both modes, numeric gradients, a strict array type."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Device, Op
from tests.rows import call_for_each_row
from tests.strict_array import STRICT_DEVICE, StrictArray

# benchmarks and examples come from the checkout; needle is the installed one, so they go last
sys.path.append(str(Path(__file__).parents[1]))


def pytest_configure(config: pytest.Config) -> None:
    """Processes that tests start share compiled modules, also where Python is told to keep none."""
    if sys.dont_write_bytecode:
        folder = tempfile.mkdtemp(prefix="needle-tests-")
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """A test draws the same numbers, whichever tests ran before it in its process."""
    np.random.seed(0)
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        generator.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that takes Rows runs on each of them."""
    return call_for_each_row(pyfuncitem) or None


@pytest.fixture(params=["eager", "lazy"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once in each mode."""
    with ndl.lazy_mode() if request.param == "lazy" else nullcontext():
        yield request.param


def _differences(
    function: Callable[[], Any], arrays: Sequence[np.ndarray], step: float = 1e-6
) -> np.ndarray:
    partials = []
    for array in arrays:
        for index in np.ndindex(array.shape):
            middle, values = array[index], []
            for array[index] in (middle + step, middle - step):
                values.append(function())
            array[index] = middle
            partials.append((values[0] - values[1]) / (2 * step))
    return np.moveaxis(np.array(partials), 0, -1)


def _derivative_at_zero(function: Callable[[float], Any], step: float = 1e-6) -> Any:
    t = np.zeros(())
    return _differences(lambda: function(t.item()), [t], step)[..., 0]


def _numeric_gradient(
    function: Callable[..., float], arrays: Sequence[np.ndarray]
) -> list[np.ndarray]:
    arrays = [array.copy() for array in arrays]
    flat = _differences(lambda: function(*arrays), arrays)
    pieces = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
    return [piece.reshape(array.shape) for piece, array in zip(pieces, arrays, strict=True)]


@pytest.fixture
def differences() -> Callable[..., np.ndarray]:
    """differences(function, arrays): the derivatives of function() by all elements of arrays.

    Central differences: the arrays are changed in place. The elements are along the last axis."""
    return _differences


@pytest.fixture
def derivative_at_zero() -> Callable[..., Any]:
    """derivative_at_zero(function): that of function(t), by central differences."""
    return _derivative_at_zero


@pytest.fixture
def numeric_gradient() -> Callable[..., list[np.ndarray]]:
    """numeric_gradient(function, arrays): of a number, by central differences in float64."""
    return _numeric_gradient


def _check_derivatives(
    function: Callable[..., Any], *arrays: np.ndarray, tolerance: float = 1e-6
) -> None:
    rng = np.random.default_rng(1)
    ways, others = ([rng.normal(size=array.shape) for array in arrays] for _ in range(2))

    def gradients(step: float) -> tuple[Any, list[Any], list[Any]]:
        """Of Σ w·y + y²/2, which depends on all of the value y: itself, inputs, adjoints."""
        inputs = [ndl.Tensor(array + step * way) for array, way in zip(arrays, ways, strict=True)]
        y = function(*inputs)
        objective = (y * np.cos(np.arange(y.size)).reshape(y.shape) + y * y / 2).sum()
        objective.backward()
        return objective, inputs, [x.grad for x in inputs]

    def product(adjoints: Sequence[Any], directions: Sequence[np.ndarray]) -> Any:
        terms = [(g * d).sum() for g, d in zip(adjoints, directions, strict=True)]
        return sum(terms[1:], start=terms[0])

    def moved(step: float) -> np.ndarray:
        objective, _, adjoints = gradients(step)
        return np.array([objective.item(), product(adjoints, others).item()])

    first, second = _derivative_at_zero(moved, 1e-5)
    _, inputs, middle = gradients(0.0)
    np.testing.assert_allclose(product(middle, ways).item(), first, tolerance, tolerance)
    product(middle, others).backward()
    curvature = product([x.grad for x in inputs], ways).item()
    np.testing.assert_allclose(curvature, second, tolerance, tolerance)


@pytest.fixture
def check_derivatives() -> Callable[..., None]:
    """check_derivatives(function, *arrays): first and second ones along random directions."""
    return _check_derivatives


@pytest.fixture
def explained_nones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient of None for an operand that requires one is an error unless the op states it."""
    gradients = Op.gradient_as_tuple

    def checked(op: Op, out_grad: Any, node: Any) -> Any:
        adjoints = gradients(op, out_grad, node)
        constants = node.inputs[op.constant_operands]
        for position, (adjoint, operand) in enumerate(zip(adjoints, node.inputs, strict=True)):
            if adjoint is None and operand.requires_grad:
                is_stated = any(operand is constant for constant in constants)
                assert is_stated, f"{type(op).__name__} gives operand {position} no gradient"
        return adjoints

    monkeypatch.setattr(Op, "gradient_as_tuple", checked)


@pytest.fixture
def strict_array() -> type[StrictArray]:
    """strict_array(data): an array that speaks NumPy's protocols as far as CuPy's arrays do."""
    return StrictArray


@pytest.fixture
def strict_device() -> Device:
    """The device of strict arrays, which the name "strict" stands for."""
    return STRICT_DEVICE
