"""Vectorised functions of float32 against float64, over all exponents and special values."""

import math
from time import thread_time_ns

import numpy as np
import pytest

pytest.importorskip("numba")

from needle.compiler.native.cache import load
from needle.compiler.native.runner import runner

SOURCE = """
def kernel(arguments):
    a = operand(arguments, 0, float32, 0)
    out = operand(arguments, 1, float32, 1)
    for i in range(arguments[2]):
        x = a[i]
        out[i] = {text}
"""
ORACLES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": np.frompyfunc(math.erf, 1, 1),
}


def evaluate(text, numbers):
    (address,) = load([SOURCE.format(text=text)])
    result = np.empty_like(numbers)
    program = [address, 3, numbers.ctypes.data, result.ctypes.data, numbers.size, 0]
    runner()(np.array(program, np.int64).ctypes.data)
    return result


def samples(step):
    """Every `step`-th bit pattern of float32, and what is near 0, near 1 and near overflow."""
    patterns = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = [np.linspace(*ends, 200_000) for ends in ((-105, 90), (0.5, 2), (-5, 5), (-1e-3, 1e-3))]
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38, 1, -1]
    return np.concatenate([patterns, *near, special]).astype(np.float32)


def off(result, exact):
    """By how many units in the last place; special values are equal."""
    expected = exact.astype(np.float32)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(result[~finite], expected[~finite])
    unit = np.spacing(np.maximum(np.abs(expected[finite]), np.float32(2**-126)))
    return np.max(np.abs(result[finite] - exact[finite]) / unit)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy: overflow, logarithms of -1
@pytest.mark.parametrize("name", ORACLES)
def test_at_most_two_units_in_the_last_place_off(name):
    numbers = samples(20_011 if name == "erf" else 2_003)
    exact = ORACLES[name](numbers.astype(np.float64)).astype(np.float64)
    assert off(evaluate(f"{name}(x)", numbers), exact) <= 2


POWERS = """
def kernel(arguments):
    a = operand(arguments, 0, float32, 0)
    b = operand(arguments, 1, float32, 1)
    out = operand(arguments, 2, float32, 2)
    for i in range(arguments[3]):
        out[i] = power(a[i], b[i])
"""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_are_at_most_two_units_in_the_last_place_off():
    (address,) = load([POWERS])
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e-45, 3e38, 16777217, np.inf, -np.inf]
    pairs = np.array(np.meshgrid([*special, np.nan], [*special, np.nan])).reshape(2, -1)
    count = 200_000
    bases = [
        *rng.uniform(0, 4, count),
        *np.exp(rng.uniform(-87, 88, count)),
        *rng.normal(size=count),
    ]
    powers = [*rng.uniform(-9, 9, count), *rng.uniform(-2, 2, count), *rng.integers(-9, 9, count)]
    x, y = (
        np.array([*one, *two], np.float32) for one, two in zip((bases, powers), pairs, strict=True)
    )
    result = np.empty_like(x)
    arguments = [each.ctypes.data for each in (x, y, result)]
    runner()(np.array([address, 4, *arguments, x.size, 0], np.int64).ctypes.data)
    assert off(result, np.power(x.astype(np.float64), y.astype(np.float64))) <= 2


@pytest.mark.parametrize(
    ("text", "scalar"), [("tanh(x)", "math.tanh(x)"), ("power(abs(x), x)", "abs(x) ** x")]
)
def test_they_are_vectorised(text, scalar):
    """Faster than the C library's functions, which take one number at a time."""
    numbers = np.linspace(-3, 3, 1 << 14, dtype=np.float32)

    def nanoseconds(text):
        evaluate(text, numbers)
        times = []
        for _ in range(20):
            start = thread_time_ns()
            evaluate(text, numbers)
            times.append(thread_time_ns() - start)
        return min(times)

    assert nanoseconds(text) < nanoseconds(scalar) / 1.5
