"""Random ops: each run of a graph draws anew, from NumPy's random state."""

import numpy as np
import pytest

import needle as ndl
from needle.ops.random import DropoutMask, dropout_mask


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mask_by_formula(dtype) -> None:
    x = ndl.init.zeros(5, 4, dtype=dtype, requires_grad=True)
    np.random.seed(2)
    mask = dropout_mask(x, 0.2)
    np.random.seed(2)
    expected = (np.random.rand(5, 4) <= 0.8) / 0.8
    assert mask.dtype == dtype
    assert not mask.requires_grad
    np.testing.assert_allclose(mask.numpy(), expected, rtol=1e-6)


def test_each_run_draws_anew() -> None:
    op, x = DropoutMask(0.5), np.zeros(64, np.float32)
    first, second = op.compute(x), op.compute(x)
    assert (first != second).any()
    with ndl.lazy_mode():
        mask = dropout_mask(ndl.Tensor(x), 0.5)
    np.testing.assert_array_equal(mask.numpy(), mask.numpy())  # but a value is computed once


def test_the_ends() -> None:
    x = ndl.init.ones(30)
    np.testing.assert_array_equal(dropout_mask(x, 0.0).numpy(), 1)
    np.testing.assert_array_equal(dropout_mask(x, 1.0).numpy(), 0)
    assert dropout_mask(ndl.init.ones(), 0.0).shape == ()
    assert dropout_mask(ndl.init.ones(0, 3), 0.5).shape == (0, 3)
