"""Flatten and Unflatten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3, 4), (2, 12)), ((5,), (5, 1)), ((0, 3, 2), (0, 6)), ((2, 0), (2, 0))],
)
def test_flatten_keeps_the_batch(shape, expected) -> None:
    assert nn.Flatten()(ndl.init.rand(*shape)).shape == expected


@given(
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    start=st.integers(-4, 3),
    end=st.integers(-4, 3),
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_flatten_is_torchs(shape, start, end) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.RandomState(0).randn(*shape)
    try:
        expected = torch.flatten(torch.from_numpy(x), start, end).numpy()
    except (IndexError, RuntimeError):
        with pytest.raises((IndexError, ValueError), match="flatten"):
            nn.functional.flatten(ndl.Tensor(x), start, end)
        return
    np.testing.assert_array_equal(
        nn.functional.flatten(ndl.Tensor(x), start, end).numpy(), expected
    )
    if (start, end) != (1, -1):
        y = nn.Flatten(start, end)(ndl.Tensor(x))
        np.testing.assert_array_equal(y.numpy(), expected)


def test_flatten_of_a_number() -> None:
    assert nn.functional.flatten(ndl.init.rand()).shape == (1,)
    with pytest.raises(ValueError, match="expected a batch"):
        nn.Flatten()(ndl.init.rand())


@pytest.mark.parametrize(
    ("shape", "dim", "sizes"),
    [((2, 12), 1, (3, 4)), ((2, 12), -1, (3, -1)), ((6, 5), 0, (2, 3, 1)), ((4,), 0, (4,))],
)
def test_unflatten_is_torchs(same_as_torch, shape, dim, sizes) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.RandomState(0).randn(*shape)
    same_as_torch(nn.Unflatten(dim, sizes), torch.nn.Unflatten(dim, sizes), x)


def test_flatten_undoes_unflatten() -> None:
    x = ndl.init.rand(2, 12, 5)
    y = nn.Flatten(1, 2)(nn.Unflatten(1, (3, 4))(x))
    np.testing.assert_array_equal(y.numpy(), x.numpy())


@pytest.mark.parametrize("sizes", [(3, 5), (5, -1), (-1, -1), (0, -1), (-12, -1)])
def test_lengths_that_do_not_multiply(sizes) -> None:
    with pytest.raises(ValueError, match="axis 1 of length 12 does not split into"):
        nn.Unflatten(1, sizes)(ndl.init.rand(2, 12))


def test_axis_out_of_range() -> None:
    with pytest.raises(IndexError, match=r"axis 2 of a tensor of shape \(2, 12\)"):
        nn.Unflatten(2, (3, 4))(ndl.init.rand(2, 12))


def test_settings_are_shown() -> None:
    assert repr(nn.Flatten()) == "Flatten()"
    assert repr(nn.Flatten(0, 1)) == "Flatten(start_dim=0, end_dim=1)"
    assert repr(nn.Unflatten(1, [3, 4])) == "Unflatten(1, (3, 4))"
