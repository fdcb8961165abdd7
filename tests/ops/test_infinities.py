"""Masks select: where a derivative is 0, an infinite or NaN adjoint leaves no NaN."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn, ops

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
inf, nan = np.inf, np.nan

ROOTS = [
    ("sqrt(relu)", lambda x: ops.sqrt(ops.relu(x)), [0, 0, 0.25]),
    ("log(relu)", lambda x: ops.log(ops.relu(x)), [0, 0, 0.25]),
    ("sqrt(clip)", lambda x: ops.sqrt(ops.clip(x, 0)), [0, inf, 0.25]),
    ("sqrt(hardtanh)", lambda x: ops.sqrt(ops.hardtanh(x, 0, 5)), [0, 0, 0.25]),
    ("sqrt(maximum)", lambda x: ops.sqrt(ops.maximum(x, 0)), [0, inf, 0.25]),
    ("sqrt(where)", lambda x: ops.sqrt(ops.where(x > 0, x, 0)), [0, 0, 0.25]),
]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("function", "slopes"), [r[1:] for r in ROOTS], ids=[r[0] for r in ROOTS])
def test_a_mask_selects_from_an_infinite_adjoint(function, slopes, dtype, mode):
    x = Tensor(np.array([-1, 0, 4], dtype))
    function(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), slopes)
    assert x.grad.dtype == dtype


@pytest.mark.parametrize(
    "function",
    [
        ops.relu,
        lambda x: ops.clip(x, -1, 1),
        lambda x: ops.hardtanh(x, 0.0, 1.0),
        lambda x: ops.elu(ops.elu(x)),
    ],
)
def test_of_each_derivative(function):
    x = Tensor([-2.0, 0.5])
    y = function(x)
    y.backward(Tensor([1.0, 1.0]))
    first = x.grad
    first.backward(Tensor([0.0, inf]))
    assert x.grad is None or not np.isnan(x.grad.numpy()[0])


@pytest.mark.parametrize("adjoint", [inf, -inf, nan])
def test_masks_drop_any_adjoint(adjoint):
    for function in (ops.relu, lambda x: ops.clip(x, 0, 9), lambda x: ops.hardtanh(x, 0, 9)):
        x = Tensor([[-1.0, 1.0]])
        function(x).backward(Tensor([[adjoint, 2.0]]))
        np.testing.assert_array_equal(x.grad.numpy(), [[0, 2]])


def test_the_maximum_of_an_axis_takes_the_whole_adjoint():
    x = Tensor([[1.0, 2.0, 2.0], [3.0, 1.0, 2.0]])
    ops.max(x, 1).backward(Tensor([inf, 1.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [[0, inf, inf], [1, 0, 0]])


def test_std_of_constants(mode):
    x = Tensor([[2.0, 2.0], [1.0, 3.0]])
    y = ops.std(x, 1)
    y.sum().backward()
    first = x.grad
    np.testing.assert_array_equal(y.numpy(), [0, 1])
    np.testing.assert_allclose(first.numpy(), [[0, 0], [-0.5, 0.5]])
    (first * first).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_std_is_torchs():
    torch = pytest.importorskip("torch")
    rows = np.array([[2.0, 2, 2], [1, 3, 5], [1e-20, 2e-20, 4e-20]])
    x, other = Tensor(rows), torch.tensor(rows, requires_grad=True)
    ops.std(x, 1, ddof=1).sum().backward()
    other.std(1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=1e-9)


@pytest.mark.parametrize("order", [None, 2, 3, 1.5])
def test_roots_of_norms_at_zero(order):
    x = Tensor([[0.0, 0.0], [3.0, 4.0]])
    ops.sqrt(ops.norm(x, order, 1)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0], [0, 0])
    assert np.isfinite(x.grad.numpy()[1]).all()


def test_power_of_zero():
    a, b = Tensor([0.0, 0.0]), Tensor([2.0, 1.0])
    (a**b).backward(Tensor([inf, 1.0]))
    np.testing.assert_array_equal(b.grad.numpy(), [0, 0])


@pytest.mark.parametrize("beta", [1.0, 1e-30, 1e-45, 1e-300, 3.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smooth_l1_at_infinity_and_with_tiny_beta(beta, dtype):
    values = np.array([0, 1e-31, 1e-3, -2, 1e30, inf, -inf], dtype)
    x = Tensor(values)
    y = nn.functional.smooth_l1_loss(x, np.zeros_like(values), "none", beta)
    y.sum().backward()
    sizes = np.abs(values.astype("float64"))
    expected = np.where(sizes < beta, sizes / (2 * beta) * sizes, sizes - beta / 2)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6, atol=1e-45)
    slopes = np.sign(values) * np.minimum(sizes / beta, 1)
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-6)
    assert x.grad.dtype == dtype


def test_second_derivative_of_smooth_l1():
    x = Tensor([-2.0, -1.0, 0.5, 1.0, inf])
    nn.functional.smooth_l1_loss(x, np.zeros(5), "sum").backward()
    x.grad.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0, 1, 0, 0])


@pytest.mark.parametrize("ignored", [False, True])
def test_ignored_labels_drop_any_adjoint(ignored):
    rows = Tensor(np.zeros((2, 3)))
    labels = np.array([1, -100 if ignored else 2])
    losses = nn.functional.cross_entropy(rows, labels, reduction="none")
    losses.backward(Tensor([1.0, inf if ignored else 1.0]))
    assert np.isfinite(rows.grad.numpy()).all()


def test_large_slopes_do_not_cancel():
    for dtype in ("float16", "float32", "float64"):
        x = Tensor(np.array([-1.0, 0.5, 3.0], dtype))
        for slope in (1e8, -1e8, 1e4):
            ops.leaky_relu(x, slope).backward()
            np.testing.assert_array_equal(x.grad.numpy()[1:], 1)
            assert x.grad.dtype == dtype
        ops.elu(x, 1e8).backward()
        np.testing.assert_array_equal(x.grad.numpy()[1:], 1)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_slopes_of_gelu_far_out(approximate, dtype):
    far = 6e4 if dtype == "float16" else 1e18
    x = Tensor(np.array([-far, -300, -100, 100, 300, far], dtype))
    y = ops.gelu(x, approximate)
    y.sum().backward()
    first = x.grad
    first.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [0, 0, 0, *x.numpy()[3:]])
    np.testing.assert_array_equal(first.numpy(), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_dropped_elements_are_zero():
    ndl.manual_seed(0)
    x = Tensor(np.full(100, inf))
    y = nn.functional.dropout(x, 0.5)
    assert set(y.numpy()) == {0, inf}
    y.backward(Tensor(np.full(100, inf)))
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
