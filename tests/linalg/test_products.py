"""expm and multi_dot, as SciPy's, NumPy's and PyTorch's."""

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import needle as ndl
from needle import Tensor, linalg

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

SQUARE = [(1, 1), (3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 0), (0, 2, 2)]

# --- the exponential


@pytest.mark.parametrize("shape", SQUARE)
def test_both_derivatives_of_expm(shape, matrices, mode, check_derivatives):
    check_derivatives(linalg.expm, matrices(*shape) / 4)


@pytest.mark.parametrize("scale", [1e-9, 0.1, 1, 10, 100])
def test_expm_is_scipys(scale, matrices, mode):
    scipy = pytest.importorskip("scipy.linalg")
    array = np.random.default_rng(0).normal(size=(6, 6)) * scale
    expected = scipy.expm(array)
    size = np.abs(expected).max()
    np.testing.assert_allclose(linalg.expm(Tensor(array)).numpy(), expected, atol=1e-11 * size)


def test_expm_of_a_batch_scales_each_matrix_by_its_own_norm():
    scipy = pytest.importorskip("scipy.linalg")
    array = np.random.default_rng(0).normal(size=(3, 4, 4))
    array *= np.array([1e-6, 1, 40])[:, None, None]
    expected = scipy.expm(array)
    for function in (linalg.expm, ndl.vmap(linalg.expm)):
        np.testing.assert_allclose(function(Tensor(array)).numpy(), expected, rtol=1e-10)
    exact = np.stack([linalg.expm(Tensor(each)).numpy() for each in array])
    np.testing.assert_array_equal(linalg.expm(Tensor(array)).numpy()[:2], exact[:2])


def test_expm_of_a_large_negative_matrix_keeps_its_digits():
    value = linalg.expm(Tensor(np.diag([-100.0, -700.0])))
    np.testing.assert_allclose(np.diag(value.numpy()), np.exp([-100, -700]), rtol=1e-12)


def test_derivatives_of_expm_are_pytorchs(gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).normal(size=(2, 4, 4)) * 2
    gradients_like_pytorchs(linalg.expm, torch.linalg.matrix_exp, array)
    expected = torch.func.hessian(lambda a: torch.linalg.matrix_exp(a)[0, 1])(
        torch.tensor(array[0])
    )
    actual = ndl.hessian(lambda a: linalg.matrix_exp(a)[0, 1])(Tensor(array[0]))
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=1e-8)


def test_derivative_of_expm_is_jaxs():
    jax = pytest.importorskip("jax")
    array = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    expected = jax.grad(lambda a: (jax.scipy.linalg.expm(a) ** 2).sum())(array)
    actual = ndl.grad(lambda a: (linalg.expm(a) ** 2).sum())(Tensor(array))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-3)


def test_expm_of_what_is_not_finite_is_an_error_and_of_integers_floats():
    with pytest.raises(LinAlgError, match="NaN"):
        linalg.expm(Tensor([[np.nan, 1.0], [0.0, 1.0]]))
    value = linalg.expm(Tensor([[0, 1], [0, 0]]))
    assert value.dtype == np.float64
    np.testing.assert_allclose(value.numpy(), [[1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("shape", [(2, 3), (3,), ()])
def test_expm_takes_square_matrices(shape):
    with pytest.raises(LinAlgError, match="it takes square matrices in the last two axes"):
        linalg.expm(Tensor(np.ones(shape)))


# --- chains of products


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (3, 4)],
        [(10, 2), (2, 30), (30, 3), (3, 5)],
        [(4,), (4, 2), (2, 3)],
        [(2, 3), (3, 2), (2,)],
        [(3,), (3, 3), (3,)],
        [(3,), (3,)],
        [(0, 2), (2, 3), (3, 1)],
    ],
)
def test_multi_dot_is_numpys(shapes, mode, check_derivatives):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    value = linalg.multi_dot([Tensor(array) for array in arrays])
    expected = np.linalg.multi_dot(arrays)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, atol=1e-12)
    check_derivatives(lambda *tensors: linalg.multi_dot(tensors), *arrays)


def test_multi_dot_takes_the_cheapest_order():
    shapes = []
    x = [Tensor(np.ones(shape)) for shape in [(50, 2), (2, 60), (60, 3)]]
    with ndl.autograd.modes.override(
        ndl.autograd.modes.observers, (lambda value, op, inputs: shapes.append(value.shape),)
    ):
        linalg.multi_dot(x)
    assert shapes == [(2, 3), (50, 3)]


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(2, 3)], "two or more tensors, got 1"),
        ([(2, 3), (4, 2)], r"tensors 0 and 1 have no product, 3 and 4 differ"),
        ([(2, 3), (3,), (3, 2)], "tensor 1 has 1 axes"),
        ([(2, 2, 3), (3, 2)], "tensor 0 has 3 axes"),
    ],
)
def test_bad_input_of_multi_dot(shapes, text):
    with pytest.raises(ValueError, match=text):
        linalg.multi_dot([Tensor(np.ones(shape)) for shape in shapes])
