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
        out[i] = {name}(a[i])
"""
ORACLES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": np.frompyfunc(math.erf, 1, 1),
}


def evaluate(name, numbers):
    (address,) = load([SOURCE.format(name=name)])
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


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy: overflow, logarithms of -1
@pytest.mark.parametrize("name", ORACLES)
def test_at_most_two_units_in_the_last_place_off(name):
    numbers = samples(20_011 if name == "erf" else 2_003)
    exact = ORACLES[name](numbers.astype(np.float64)).astype(np.float64)
    result, expected = evaluate(name, numbers), exact.astype(np.float32)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(result[~finite], expected[~finite])
    unit = np.spacing(np.maximum(np.abs(expected[finite]), np.float32(2**-126)))
    assert np.max(np.abs(result[finite] - exact[finite]) / unit) <= 2


def test_they_are_vectorised():
    """Several times as fast as the C library's function, which takes one number at a time."""
    numbers = np.linspace(-3, 3, 1 << 14, dtype=np.float32)

    def nanoseconds(name):
        evaluate(name, numbers)
        times = []
        for _ in range(20):
            start = thread_time_ns()
            evaluate(name, numbers)
            times.append(thread_time_ns() - start)
        return min(times)

    assert nanoseconds("tanh") < nanoseconds("math.tanh") / 3
