"""More functions, element by element: accuracy, edges and dtypes."""

import math

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

INF = math.inf


def exact_erf(values):
    return np.array([math.erf(value) for value in values])


# --- erf


def test_erf_is_exact_to_the_last_digits_of_float64():
    x = np.concatenate(
        [np.linspace(-7, 7, 20_001), np.geomspace(1e-300, 1, 1000), [0.46875, 4, 5.9, 6, 1e300]]
    )
    expected = exact_erf(x)
    error = np.abs(ndl.erf(Tensor(x)).numpy() - expected)
    assert np.max(error) <= 3e-16
    assert np.max(error / np.maximum(np.abs(expected), 1e-300)) <= 6e-16


def test_erf_in_float32_stays_there_and_is_exact_to_its_last_digits():
    x = np.concatenate([np.linspace(-6, 6, 20_001), np.geomspace(1e-30, 1, 1000)]).astype("f4")
    y = ndl.erf(Tensor(x))
    expected = exact_erf(x)
    assert y.dtype == np.float32
    assert np.max(np.abs(y.numpy() - expected) / np.maximum(np.abs(expected), 1e-35)) <= 6e-7


def test_erf_of_float16_and_of_integers_has_the_dtype_of_numpys_functions():
    halves = np.linspace(-3, 3, 101).astype("f2")
    y = ndl.erf(Tensor(halves))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), exact_erf(halves), rtol=1e-3)
    whole = ndl.erf(Tensor([0, 1, 2]))
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole.numpy(), exact_erf([0, 1, 2]), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_at_the_ends(dtype):
    y = ndl.erf(Tensor([-INF, -30, -0.0, 0.0, 30, INF, math.nan], dtype=dtype)).numpy()
    np.testing.assert_array_equal(y[[0, 1, 4, 5]], [-1, -1, 1, 1])
    np.testing.assert_array_equal(np.signbit(y[2:4]), [True, False])
    assert np.isnan(y[6])


def test_derivative_of_erf_is_the_bell_curve():
    x = Tensor([-INF, -1.0, 0.0, 2.0, INF])
    ndl.erf(x).sum().backward()
    expected = 2 / math.sqrt(math.pi) * np.exp(-np.square([INF, 1, 0, 2, INF]))
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-15)


# --- the others


def test_log1p_and_expm1_keep_small_numbers():
    x = Tensor([1e-20, -1e-12])
    np.testing.assert_allclose(ndl.log1p(x).numpy(), x.numpy(), rtol=1e-11)
    np.testing.assert_allclose(ndl.expm1(x).numpy(), x.numpy(), rtol=1e-11)


def test_derivative_of_expm1_keeps_small_numbers():
    x = Tensor([-40.0])
    ndl.expm1(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), math.exp(-40), rtol=1e-15)


def test_derivative_of_arcsin_near_1():
    distance = 1e-9
    x = Tensor([1 - distance])
    ndl.arcsin(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / math.sqrt(2 * distance), rtol=1e-7)


@pytest.mark.parametrize(
    ("a", "b", "value", "shares"),
    [
        (1000.0, 1000.0, 1000 + math.log(2), (0.5, 0.5)),
        (-1000.0, -1000.0, -1000 + math.log(2), (0.5, 0.5)),
        (1e4, -1e4, 1e4, (1, 0)),
        (-INF, 3.0, 3.0, (0, 1)),
        (INF, 3.0, INF, (1, 0)),
        (-INF, -INF, -INF, (0, 0)),
    ],
)
def test_logaddexp_overflows_nowhere(a, b, value, shares):
    x, y = Tensor([a]), Tensor([b])
    total = ndl.logaddexp(x, y)
    total.backward()
    np.testing.assert_allclose(total.numpy(), [value])
    np.testing.assert_allclose([x.grad.item(), y.grad.item()], shares, atol=1e-300)


def test_logaddexp_broadcasts_and_takes_numbers(mode):
    x = Tensor(np.arange(6.0).reshape(2, 3))
    total = ndl.logaddexp(x, 2)
    np.testing.assert_allclose(total.numpy(), np.logaddexp(x.numpy(), 2))
    total.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / (1 + np.exp(2 - x.numpy())))


NAMES = ["arcsin", "arctan", "cosh", "erf", "expm1", "log1p", "sinh", "tan"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
def test_derivatives(name, shape, mode, check_derivatives):
    x = np.random.default_rng(0).uniform(-0.8, 0.8, size=shape)
    check_derivatives(getattr(ndl, name), x)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).uniform(-0.99, 0.99, size=50)
    x, t = Tensor(array), torch.tensor(array, requires_grad=True)
    y, z = getattr(ndl, name)(x), getattr(torch, name)(t)
    y.backward()
    z.sum().backward()
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-13)
