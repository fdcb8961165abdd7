"""Sums of columns over many rows keep the accuracy of eager ones."""

import numpy as np
import pytest

import needle as ndl


@pytest.mark.parametrize("rows", [513, 5_000, 20_000])
@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_columns_of_many_float32_numbers(executor, rows):
    if executor == "numba":
        pytest.importorskip("numba")
    numbers = np.random.default_rng(0).standard_normal((rows, 3), np.float32) + 1
    x = ndl.Tensor(numbers, requires_grad=False)

    @ndl.compile(executor=executor)
    def sums(x):
        return (x * 1.5).sum(0), (x * 1.5).reshape((rows, 3, 1)).sum((0, 1), keepdims=True)

    columns, whole = sums(x)
    exact = (numbers * 1.5).sum(0, dtype=np.float64)
    np.testing.assert_allclose(columns.numpy(), exact, rtol=2e-6)
    np.testing.assert_allclose(whole.numpy(), exact.sum().reshape(1, 1, 1), rtol=2e-6)
