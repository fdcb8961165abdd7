"""What several folders of tests share: both modes, numeric gradients, a strict array type."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin

import needle as ndl
from needle import Device

# benchmarks and examples come from the checkout; needle is the installed one, so they go last
sys.path.append(str(Path(__file__).parents[1]))


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


class StrictArray(NDArrayOperatorsMixin):
    """An array of another library, as an array on a GPU would be.

    It speaks NumPy's protocols and has an array's attributes; it is no np.ndarray, does not mix
    with arrays that are (numbers without axes aside), and refuses every conversion.
    """

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    T = property(lambda self: StrictArray(self._data.T))
    flags = None  # other libraries have other flags

    def reshape(self, *shape: Any) -> "StrictArray":
        return StrictArray(self._data.reshape(*shape))

    def astype(self, dtype: Any, copy: bool = True) -> "StrictArray":
        return StrictArray(self._data.astype(dtype, copy=copy))

    def sum(self, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> "StrictArray":
        return self._wrapped(self._data.sum(axis=axis, keepdims=keepdims))

    def max(self, axis: Any = None, keepdims: bool = False) -> "StrictArray":
        return self._wrapped(self._data.max(axis=axis, keepdims=keepdims))

    def min(self, axis: Any = None, keepdims: bool = False) -> "StrictArray":
        return self._wrapped(self._data.min(axis=axis, keepdims=keepdims))

    def copy(self, order: str = "C") -> "StrictArray":
        return StrictArray(self._data.copy(order))

    def all(self) -> "StrictArray":
        return StrictArray(np.asarray(self._data.all()))

    def any(self) -> "StrictArray":
        return StrictArray(np.asarray(self._data.any()))

    def item(self) -> Any:
        return self._data.item()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: Any) -> Any:
        return self._wrapped(self._data[_as_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[_as_index(index)] = _unwrapped(value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at":
            target, index, *values = inputs
            return ufunc.at(target._data, _as_index(index), *_unwrapped(values))
        return self._wrapped(getattr(ufunc, method)(*_unwrapped(inputs), **_unwrapped(options)))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.asarray:  # called with `like`, which asks for a strict array
            return StrictArray(function(*args, **options))
        return self._wrapped(function(*_unwrapped(args), **_unwrapped(options)))

    def _wrapped(self, value: Any) -> Any:
        """Strict arrays in place of NumPy's, also in a tuple."""
        if isinstance(value, np.ndarray | np.generic):
            return StrictArray(np.asarray(value))
        if isinstance(value, tuple):
            entries = map(self._wrapped, value)
            return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)
        return value

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise TypeError("a strict array does not convert itself")

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = tolist = _refuse


def _unwrapped(value: Any) -> Any:
    """NumPy's arrays in place of strict ones, also inside tuples, lists and dicts."""
    if isinstance(value, StrictArray):
        return value._data
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("a strict array does not mix with NumPy's arrays")
    if isinstance(value, tuple | list):
        return type(value)(_unwrapped(entry) for entry in value)
    if isinstance(value, dict):
        return {name: _unwrapped(entry) for name, entry in value.items()}
    return value


def _as_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_as_index(part) for part in index)
    return index._data if isinstance(index, StrictArray) else index


@pytest.fixture
def strict_array() -> type[StrictArray]:
    """strict_array(data): an array that speaks NumPy's protocols and nothing else."""
    return StrictArray


def _strict(create: Callable[..., np.ndarray]) -> Callable[..., StrictArray]:
    return lambda *args, **options: StrictArray(create(*args, **options))


Device(
    "strict",
    SimpleNamespace(
        ndarray=StrictArray,
        **{name: _strict(getattr(np, name)) for name in ("array", "asarray", "full", "arange")},
    ),
)
