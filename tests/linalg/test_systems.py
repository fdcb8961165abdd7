"""Inverses, linear systems and determinants."""

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import needle as ndl
from needle import Tensor, linalg

SQUARE = [(1, 1), (3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 0), (2, 0, 0), (0, 2, 2)]


def logabsdet(a):
    return linalg.slogdet(a).logabsdet


# --- values and derivatives


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (linalg.inv, np.linalg.inv),
        (linalg.inverse, np.linalg.inv),
        (linalg.det, np.linalg.det),
        (lambda a: linalg.slogdet(a)[0], lambda a: np.linalg.slogdet(a)[0]),
        (logabsdet, lambda a: np.linalg.slogdet(a)[1]),
    ],
)
def test_value_is_numpys(function, reference, shape, matrices, mode):
    array = matrices(*shape)
    value, expected = function(Tensor(array)), reference(array)
    assert value.shape == np.shape(expected)
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize("function", [linalg.inv, linalg.det, logabsdet])
def test_both_derivatives(function, shape, matrices, mode, check_derivatives):
    check_derivatives(function, matrices(*shape))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3, 2)),
        ((3, 3), (3,)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (3, 1)),
        ((3, 3), (2, 3, 2)),
        ((2, 1, 2, 2), (3, 2, 1)),
        ((1, 1), (1,)),
        ((3, 3), (3, 0)),
        ((0, 0), (0, 2)),
    ],
)
def test_solve(a, b, matrices, mode, check_derivatives):
    left, right = matrices(*a), np.random.default_rng(1).normal(size=b)
    value, expected = linalg.solve(Tensor(left), Tensor(right)), np.linalg.solve(left, right)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, atol=1e-13)
    check_derivatives(linalg.solve, left, right)


def test_solve_computes_no_adjoint_of_a_constant_matrix(matrices):
    a, b = Tensor(matrices(3, 3)).detach(), Tensor(matrices(3, 3, seed=1))
    value = linalg.solve(a, b)
    assert value.op.gradient(value, value)[0] is None


def test_gradients_are_pytorchs(matrices, gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    a, b = matrices(2, 4, 4), matrices(4, 2)
    gradients_like_pytorchs(linalg.inv, torch.linalg.inv, a)
    gradients_like_pytorchs(linalg.solve, torch.linalg.solve, a, b)
    gradients_like_pytorchs(linalg.det, torch.linalg.det, a)
    gradients_like_pytorchs(logabsdet, lambda t: torch.linalg.slogdet(t)[1], a)


@pytest.mark.parametrize("function", [linalg.inv, linalg.det, logabsdet])
def test_float32_stays_float32(function, matrices):
    x = Tensor(matrices(3, 3), dtype="float32")
    value = function(x)
    value.sum().backward()
    assert value.dtype == x.grad.dtype == np.float32
    x.grad.sum().backward()
    assert x.grad.dtype == np.float32


def test_slogdet_of_a_large_matrix_does_not_overflow():
    x = Tensor(np.eye(200) * 1e3)
    sign, logarithm = linalg.slogdet(x)
    logarithm.backward()
    np.testing.assert_allclose([sign.item(), logarithm.item()], [1, 200 * np.log(1e3)])
    np.testing.assert_allclose(x.grad.numpy(), np.eye(200) / 1e3)


# --- determinants that are 0 have derivatives


def of_rank(rank, n):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n))


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.0, 2.0], [2.0, 4.0]]),
        np.zeros((1, 1)),
        np.zeros((3, 3)),
        np.ones((2, 3, 3)),
        of_rank(3, 4),
        of_rank(2, 4),
        of_rank(1, 4),
        np.stack([of_rank(4, 5), np.eye(5)]),
    ],
    ids=["2×2", "1×1 zero", "zero", "ones", "rank n-1", "rank n-2", "rank n-3", "batch"],
)
def test_both_derivatives_of_det_of_singular_matrices(array, mode, check_derivatives):
    check_derivatives(linalg.det, array)


def test_third_derivative_of_det_of_a_singular_matrix():
    # ∂³ det / ∂a₀₀ ∂a₁₁ ∂a₂₂ = 1
    x = Tensor(np.zeros((3, 3)))
    linalg.det(x).backward()
    x.grad[0, 0].backward()
    x.grad[1, 1].backward()
    np.testing.assert_allclose(x.grad.numpy(), np.diag([0, 0, 1]), atol=1e-15)


def test_det_of_a_larger_singular_matrix(numeric_gradient):
    array = of_rank(7, 8)
    x = Tensor(array)
    linalg.det(x).backward()
    (expected,) = numeric_gradient(lambda a: float(np.linalg.det(a)), [array])
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6, atol=1e-5)


def test_second_derivative_of_det_of_a_larger_matrix(matrices, check_derivatives):
    array = matrices(8, 8) / 4
    check_derivatives(linalg.det, array)


# --- bad input

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
BATCH = np.stack([np.eye(2), np.eye(2), SINGULAR])


@pytest.mark.parametrize(
    "function", [linalg.inv, lambda a: linalg.solve(a, Tensor([1.0, 2.0]))], ids=["inv", "solve"]
)
def test_a_singular_matrix_is_refused_at_the_call(function):
    with pytest.raises(LinAlgError, match=r"shape \(2, 2\).*the matrix is singular.*no inverse"):
        function(Tensor(SINGULAR))
    with pytest.raises(LinAlgError, match=r"matrix \(2,\) of the batch is singular"):
        function(Tensor(BATCH))
    with pytest.raises(LinAlgError, match=r"matrix \(1, 0\) of the batch"):
        function(Tensor(np.stack([BATCH[:1], BATCH[2:]])))


def test_a_lazy_singular_matrix_is_refused_when_it_is_needed():
    with ndl.lazy_mode():
        value = linalg.inv(Tensor(SINGULAR))
        with pytest.raises(LinAlgError, match="singular"):
            value.numpy()


def test_the_logarithm_of_a_determinant_of_0_has_a_value_and_no_derivative():
    x = Tensor(SINGULAR)
    result = linalg.slogdet(x)
    assert (result.sign.item(), result.logabsdet.item()) == (0, -np.inf)
    with pytest.raises(LinAlgError, match="singular"):
        result.logabsdet.backward()


@pytest.mark.parametrize("function", [linalg.inv, linalg.det, linalg.slogdet])
@pytest.mark.parametrize("shape", [(2, 3), (3,), (), (4, 2, 1)])
def test_only_square_matrices_are_taken(function, shape):
    with pytest.raises(LinAlgError, match="it takes square matrices in the last two axes"):
        function(Tensor(np.ones(shape)))


def test_solve_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="the right side needs 2 rows"):
        linalg.solve(Tensor(np.eye(2)), Tensor(np.ones((3, 2))))
    with pytest.raises(ValueError, match="the right side needs 2 rows"):
        linalg.solve(Tensor(np.eye(2)), Tensor(np.ones(3)))
    with pytest.raises(LinAlgError, match="square matrices"):
        linalg.solve(Tensor(np.ones((2, 3))), Tensor(np.ones(3)))


def test_the_sign_of_a_determinant_passes_a_gradient_of_zero(matrices):
    x = Tensor(matrices(3, 3))
    linalg.slogdet(x).sign.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((3, 3)))
