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


# --- multinomial


def test_frequencies_of_multinomial() -> None:
    ndl.manual_seed(0)
    weights = np.array([0.0, 3.0, 1.0, 6.0])
    for draw in (
        ndl.multinomial(ndl.Tensor(weights), 20_000, replacement=True),
        ndl.Tensor(np.tile(weights, (20_000, 1)), dtype="float32").multinomial(1).reshape(-1),
    ):
        counts = np.bincount(draw.numpy(), minlength=4) / 20_000
        np.testing.assert_allclose(counts, weights / 10, atol=0.015)
        assert counts[0] == 0
        assert draw.dtype == "int64"
        assert not draw.requires_grad


def test_multinomial_without_replacement() -> None:
    rows = ndl.Tensor([[1.0, 0.0, 2.0, 3.0]] * 2000)
    drawn = ndl.multinomial(rows, 3, generator=ndl.Generator(1)).numpy()
    assert (np.sort(drawn) == [0, 2, 3]).all()
    # the first is drawn like one alone, the second like one of the others
    np.testing.assert_allclose((drawn[:, 0] == 3).mean(), 1 / 2, atol=0.04)
    second = drawn[drawn[:, 0] == 3, 1]
    np.testing.assert_allclose((second == 2).mean(), 2 / 3, atol=0.04)


def test_streams_of_multinomial() -> None:
    weights = ndl.Tensor([1.0, 2.0, 3.0])
    first, again = (
        ndl.multinomial(weights, 9, True, generator=ndl.Generator(5)).tolist() for _ in range(2)
    )
    assert first == again


@pytest.mark.parametrize(
    ("weights", "n", "text"),
    [
        ([1.0, -1.0], 1, "expected finite weights from 0"),
        ([1.0, np.inf], 1, "expected finite weights from 0"),
        ([[1.0, 0.0], [0.0, 0.0]], 1, "got 0 in a row"),
        ([1.0, 0.0], 2, "2 draws without replacement need 2 weights above 0, got 1"),
        ([1.0, 2.0], 0, "expected at least one draw, got 0"),
        ([[[1.0]]], 1, r"expected weights \(n,\) or \(rows, n\), got \(1, 1, 1\)"),
    ],
)
def test_what_multinomial_refuses(weights, n, text) -> None:
    with pytest.raises(ValueError, match=f"multinomial: .*{text}"):
        ndl.multinomial(ndl.Tensor(weights), n)
