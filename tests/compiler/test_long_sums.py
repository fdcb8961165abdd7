"""Sums of many float32 numbers keep at least the accuracy of eager ones."""

import numpy as np
import pytest

import needle as ndl
from needle.compiler.passes import optimised
from needle.compiler.program import cast

SUMS = {
    "513 rows": ((513, 3), (0,)),
    "5,000 rows": ((5_000, 3), (0,)),
    "20,000 rows": ((20_000, 3), (0,)),
    "the middle": ((2, 5_000, 3), (1,)),
    "around an axis": ((2_000, 3, 4), (0, 2)),
    "images": ((600, 3, 2, 2), (0, 2, 3)),
    "every other": ((300, 3, 20, 5), (0, 2)),
    "the last two": ((3, 200, 30), (1, 2)),
    "all": ((5_000, 3), (0, 1)),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_many_float32_numbers(name, executor):
    shape, axes = SUMS[name]
    numbers = np.random.default_rng(0).standard_normal(shape, np.float32) + 1
    x = ndl.Tensor(numbers, requires_grad=False)

    def sums(x):
        return (x * 1.5).sum(axes), (ndl.relu(x) + 1).sum(axes, keepdims=True)

    def errors(results):
        exact = [(numbers * 1.5).sum(axes, dtype=np.float64)]
        exact.append((np.maximum(numbers, 0) + 1).sum(axes, dtype=np.float64, keepdims=True))
        return max(
            np.abs(result.numpy() / each - 1).max()
            for result, each in zip(results, exact, strict=True)
        )

    compiled = ndl.compile(sums, executor=executor)
    assert compiled(x)[1].shape == sums(x)[1].shape
    assert errors(compiled(x)) <= max(1.5 * errors(sums(x)), 2e-7)
    if executor == "numba":
        assert errors(compiled(x)) < 3e-7


def test_sums_of_few_numbers_and_of_rows_stay_as_they_are():
    def program(shape, axes):
        x = ndl.Tensor(np.ones(shape, np.float32), requires_grad=False)
        compiled = ndl.compile(lambda x: x.sum(axes), executor="numpy")
        compiled(x)
        return optimised(compiled._last.recorded_program)[0]

    def widens(shape, axes):
        return any(node.function is cast for node in program(shape, axes).nodes)

    assert widens((513, 3), (0,))
    assert not widens((512, 3), (0,))
    assert not widens((3, 513), (1,))
