"""Activation ops where they are delicate: at kinks, far out, and in the last digits."""

import math

import numpy as np
import pytest

from needle import Tensor, ops

FAR = np.array([-1e4, -1e3, -100.0, 100.0, 1e3, 1e4])

# name, function, values and slopes where x is far below and far above 0
LIMITS = [
    ("elu", ops.elu, -1, 0, 1),
    ("gelu", ops.gelu, 0, 0, 1),
    ("gelu by tanh", lambda a: ops.gelu(a, "tanh"), 0, 0, 1),
    ("silu", ops.silu, 0, 0, 1),
    ("softplus", ops.softplus, 0, 0, 1),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("function", "value", "slope_below", "slope_above"),
    [row[1:] for row in LIMITS],
    ids=[row[0] for row in LIMITS],
)
def test_far_out(function, value, slope_below, slope_above, dtype) -> None:
    x = Tensor(FAR, dtype=dtype)
    y = function(x)
    y.backward()
    first = x.grad
    np.testing.assert_allclose(y.numpy(), [value] * 3 + [100, 1e3, 1e4], atol=1e-6)
    np.testing.assert_allclose(first.numpy(), [slope_below] * 3 + [slope_above] * 3, atol=1e-6)
    first.backward()
    np.testing.assert_allclose(x.grad.numpy(), 0, atol=1e-6)


KINKS = [
    ("leaky_relu", lambda a: ops.leaky_relu(a, 0.1), 0.0, 0.1),
    ("elu", lambda a: ops.elu(a, 0.5), 0.0, 0.5),
    ("hardtanh below", ops.hardtanh, -1.0, 0.0),
    ("hardtanh above", ops.hardtanh, 1.0, 0.0),
    ("softplus at its threshold", lambda a: ops.softplus(a, 1, 0.0), 0.0, 0.5),
]


@pytest.mark.parametrize(
    ("function", "at", "slope"), [row[1:] for row in KINKS], ids=[row[0] for row in KINKS]
)
def test_slope_at_a_kink(function, at, slope) -> None:
    x = Tensor([at])
    function(x).backward()
    assert x.grad.item() == slope


def test_gelu_to_the_last_digits() -> None:
    x = np.linspace(-6, 6, 101)
    exact = [a * math.erfc(-a / math.sqrt(2)) / 2 for a in x]
    np.testing.assert_allclose(ops.gelu(Tensor(x)).numpy(), exact, rtol=1e-13, atol=1e-15)
    single = ops.gelu(Tensor(x, dtype="float32")).numpy()
    np.testing.assert_allclose(single, exact, rtol=1e-6, atol=1e-6)


def test_the_two_forms_of_gelu_are_close() -> None:
    x = Tensor(np.linspace(-5, 5, 101))
    difference = ops.gelu(x).numpy() - ops.gelu(x, "tanh").numpy()
    assert 1e-5 < abs(difference).max() < 1e-3


def test_softplus_keeps_small_values() -> None:
    y = ops.softplus(Tensor([-40.0, -30.0])).numpy()
    np.testing.assert_allclose(y, np.exp([-40.0, -30.0]), rtol=1e-12)


def test_elu_keeps_small_values() -> None:
    assert ops.elu(Tensor([-1e-12])).item() == pytest.approx(-1e-12, rel=1e-6)
