"""Cholesky, eigenvalues, singular values and QR."""

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import needle as ndl
from needle import Tensor, linalg

BATCHES = [(), (2,), (2, 1), (0,)]
SHAPES = [(3, 3), (4, 3), (2, 3), (1, 1), (3, 1), (1, 3), (0, 0), (3, 0), (0, 3)]


def symmetric(a):
    return (a + a.transpose()) / 2


def definite(a):
    return a @ a.transpose()


def svd(a):
    return linalg.svd(a, full_matrices=False)


def gradient(value, x):
    """Which in lazy mode is computed when it is read."""
    value.backward()
    return x.grad.numpy()


# --- values


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_numpys(batch, shape, matrices, mode):
    array = matrices(*batch, *shape)
    x = Tensor(array)
    pairs = [
        (svd(x), np.linalg.svd(array, full_matrices=False)),
        (linalg.svd(x), np.linalg.svd(array)),
        ([linalg.svdvals(x)], [np.linalg.svd(array, compute_uv=False)]),
        ([linalg.svd(x, compute_uv=False)], [np.linalg.svd(array, compute_uv=False)]),
        (linalg.qr(x), np.linalg.qr(array)),
        ([linalg.qr(x, mode="r")], [np.linalg.qr(array, mode="r")]),
    ]
    for actual, expected in pairs:
        for one, other in zip(actual, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one.numpy(), other, atol=1e-13)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("triangle", ["L", "U"])
def test_values_of_symmetric_matrices_are_numpys(batch, n, triangle, matrices, mode):
    array = matrices(*batch, n, n)  # of which one triangle is read
    for one, other in zip(
        linalg.eigh(Tensor(array), triangle), np.linalg.eigh(array, triangle), strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-13)
    values = linalg.eigvalsh(Tensor(array), UPLO=triangle)
    np.testing.assert_allclose(values.numpy(), np.linalg.eigvalsh(array, triangle), atol=1e-13)
    square = array @ array.swapaxes(-1, -2)
    upper = triangle == "U"
    root = linalg.cholesky(Tensor(square), upper=upper)
    np.testing.assert_allclose(root.numpy(), np.linalg.cholesky(square, upper=upper), atol=1e-12)


def test_results_have_numpys_names(matrices):
    x = Tensor(symmetric(Tensor(matrices(3, 3))))
    for function in ("eigh", "svd", "qr", "slogdet"):
        result, expected = (
            getattr(library, function)(operand)
            for library, operand in ((linalg, x), (np.linalg, x.numpy()))
        )
        assert result._fields == expected._fields


# --- derivatives


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["svd 0", "svd 1", "svd 2", "svdvals", "qr 0", "qr 1"])
def test_both_derivatives(name, batch, shape, matrices, check_derivatives):
    function, *entry = name.split()

    def chosen(a):
        value = {"svd": svd, "svdvals": linalg.svdvals, "qr": linalg.qr}[function](a)
        return value[int(entry[0])] if entry else value

    check_derivatives(chosen, matrices(*batch, *shape))


SYMMETRIC = {
    "cholesky": lambda a: linalg.cholesky(definite(a)),
    "cholesky upper": lambda a: linalg.cholesky(definite(a), upper=True),
    "eigenvalues": lambda a: linalg.eigh(symmetric(a)).eigenvalues,
    "eigenvalues alone": lambda a: linalg.eigvalsh(symmetric(a)),
    "eigenvectors": lambda a: linalg.eigh(symmetric(a)).eigenvectors,
    "eigenvectors by the upper half": lambda a: linalg.eigh(symmetric(a), "U").eigenvectors,
    "a function of a matrix": lambda a: _logarithm(definite(a)),
}


def _logarithm(a):
    w, v = linalg.eigh(a)
    return (v * w.log().expand_dims(-2)) @ v.transpose()


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_both_derivatives_of_symmetric_matrices(name, n, batch, matrices, mode, check_derivatives):
    check_derivatives(SYMMETRIC[name], matrices(*batch, n, n))


def test_several_factors_at_once(matrices, mode, check_derivatives):
    def function(a):
        u, s, vt = svd(a)
        q, r = linalg.qr(a)
        return (u * s.expand_dims(-2)) @ (vt**2) + q**2 @ r

    check_derivatives(function, matrices(4, 3))


def test_gradients_are_pytorchs(matrices, gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    tall, wide, square = matrices(2, 5, 3), matrices(3, 5), matrices(2, 4, 4)
    for array in (tall, wide, square):
        # squares do not depend on the signs of the vectors, which are free
        for entry in range(3):
            gradients_like_pytorchs(
                lambda a, entry=entry: svd(a)[entry] ** 2,
                lambda t, entry=entry: torch.linalg.svd(t, full_matrices=False)[entry] ** 2,
                array,
            )
        for entry in range(2):
            gradients_like_pytorchs(
                lambda a, entry=entry: linalg.qr(a)[entry] ** 2,
                lambda t, entry=entry: torch.linalg.qr(t)[entry] ** 2,
                array,
            )
    for entry in range(2):
        gradients_like_pytorchs(
            lambda a, entry=entry: linalg.eigh(a)[entry] ** 2,
            lambda t, entry=entry: torch.linalg.eigh(t)[entry] ** 2,
            square + square.swapaxes(-1, -2),
        )
    gradients_like_pytorchs(
        linalg.cholesky, torch.linalg.cholesky, square @ square.swapaxes(-1, -2)
    )


@pytest.mark.parametrize(
    "function", [linalg.cholesky, linalg.eigvalsh, lambda a: linalg.eigh(a)[1]]
)
def test_gradient_of_a_symmetric_matrix_is_symmetric(function, matrices):
    array = matrices(3, 3)
    x = Tensor(array @ array.T)
    value = function(x)
    (value * np.arange(value.size).reshape(value.shape)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), x.grad.numpy().T, atol=1e-15)


@pytest.mark.parametrize("function", [svd, linalg.qr, linalg.eigh, lambda a: [linalg.cholesky(a)]])
def test_float32_stays_float32(function, matrices):
    x = Tensor(matrices(3, 3), dtype="float32")
    for factor in function(definite(x)):
        (factor**2).sum().backward()
        assert factor.dtype == x.grad.dtype == np.float32
        x.grad.sum().backward()
        assert x.grad.dtype == np.float32


# --- equal eigenvalues and singular values

ROTATION = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
TWINS = ROTATION @ np.diag([1.0, 1.0, 2.0]) @ ROTATION.T  # 1 twice, then 2


@pytest.mark.parametrize("array", [TWINS, np.eye(3), np.zeros((3, 3))], ids=["1 1 2", "1", "0"])
def test_equal_eigenvalues_have_their_derivative(array, mode):
    # ∂ Σ w² / ∂A = 2A
    for values in (linalg.eigvalsh, lambda a: linalg.eigh(a).eigenvalues):
        x = Tensor(array)
        (values(x) ** 2).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * array, atol=1e-14)


@pytest.mark.parametrize("array", [TWINS, np.eye(3), np.zeros((3, 3))], ids=["1 1 2", "1", "0"])
def test_equal_singular_values_have_their_derivative(array, mode):
    for values in (linalg.svdvals, lambda a: svd(a).S):
        x = Tensor(array)
        (values(x) ** 2).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * array, atol=1e-14)


@pytest.mark.parametrize(
    ("array", "where"),
    [
        (TWINS, "eigenvalues 0 and 1 are equal"),
        (np.zeros((2, 2)), "eigenvalues 0 and 1 are equal"),
        (np.diag([1.0, 1 + 1e-15]), "eigenvalues 0 and 1 are equal"),
        (np.stack([np.diag([1.0, 2.0, 3.0]), TWINS]), r"matrix \(1,\) of the batch"),
    ],
)
def test_eigenvectors_of_equal_eigenvalues_have_none(array, where, mode):
    x = Tensor(array)
    vectors = linalg.eigh(x).eigenvectors.sum()
    with pytest.raises(LinAlgError, match=where):
        gradient(vectors, x)


@pytest.mark.parametrize("entry", [0, 2])
def test_singular_vectors_of_equal_singular_values_have_none(entry, mode):
    x = Tensor(np.diag([3.0, 2.0, 2.0]))
    vectors = svd(x)[entry].sum()
    with pytest.raises(LinAlgError, match="singular values 1 and 2 are equal"):
        gradient(vectors, x)


def test_an_eigenvector_of_its_own_has_its_derivative_beside_equal_ones(mode, numeric_gradient):
    def top(array):
        vector = np.linalg.eigh((array + array.T) / 2)[1][:, 2]
        return float(vector[0] * vector[1])

    x = Tensor(TWINS)
    vector = linalg.eigh(symmetric(x)).eigenvectors[:, 2]
    (vector[0] * vector[1]).backward()
    (expected,) = numeric_gradient(top, [TWINS])
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-8)


def test_nearly_equal_eigenvalues_have_a_derivative():
    x = Tensor(np.diag([1.0, 1 + 1e-6]))
    linalg.eigh(x).eigenvectors.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_a_second_derivative_at_equal_eigenvalues_is_refused_too():
    x = Tensor(TWINS)
    (linalg.eigvalsh(x) ** 2).sum().backward()
    with pytest.raises(LinAlgError, match="eigenvalues 0 and 1 are equal"):
        x.grad.sum().backward()


def test_singular_vectors_of_0():
    array = np.diag([2.0, 1.0, 0.0])
    x = Tensor(array)
    (svd(x).U ** 2)[:, 0].sum().backward()  # of a square matrix they have a derivative
    assert np.isfinite(x.grad.numpy()).all()
    tall = Tensor(np.concatenate([array, array[:1] * 0]))
    with pytest.raises(LinAlgError, match="singular value 2 is 0 to rounding"):
        svd(tall).U.sum().backward()
    wide = Tensor(tall.numpy().T)
    with pytest.raises(LinAlgError, match="singular value 2 is 0 to rounding"):
        svd(wide).Vh.sum().backward()
    svd(wide).U[:, 0].sum().backward()


def test_vectors_without_a_singular_value_have_no_derivative(matrices):
    x = Tensor(matrices(4, 3))
    with pytest.raises(ValueError, match=r"4×3 matrices.*pass full_matrices=False"):
        linalg.svd(x).S.sum().backward()


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
        np.zeros((2, 2)),
        np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0]]),
    ],
    ids=["tall", "zero", "wide"],
)
def test_qr_of_dependent_columns_has_no_derivative(array, mode):
    x = Tensor(array)
    q, _ = linalg.qr(x)
    with pytest.raises(LinAlgError, match="linearly dependent columns"):
        gradient(q.sum(), x)


# --- bad input


def test_cholesky_refuses_what_is_not_positive_definite():
    with pytest.raises(LinAlgError, match="the matrix is not positive definite"):
        linalg.cholesky(Tensor(np.array([[1.0, 2.0], [2.0, 1.0]])))
    with pytest.raises(LinAlgError, match=r"matrix \(1,\) of the batch is not positive definite"):
        linalg.cholesky(Tensor(np.stack([np.eye(2), -np.eye(2)])))


@pytest.mark.parametrize("function", [linalg.cholesky, linalg.eigh, linalg.eigvalsh])
@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_only_square_matrices_are_taken(function, shape):
    with pytest.raises(LinAlgError, match="square matrices in the last two axes"):
        function(Tensor(np.ones(shape)))


@pytest.mark.parametrize("function", [linalg.svd, linalg.svdvals, linalg.qr])
def test_only_matrices_are_taken(function):
    with pytest.raises(LinAlgError, match="it takes matrices in the last two axes"):
        function(Tensor(np.ones(3)))


def test_qr_refuses_unknown_modes():
    with pytest.raises(ValueError, match="'reduced' and 'r', got 'raw'"):
        linalg.qr(Tensor(np.eye(2)), mode="raw")


def test_factors_wait_in_lazy_mode(matrices):
    with ndl.lazy_mode():
        x = Tensor(definite(Tensor(matrices(2, 2))).numpy())
        factors = [*linalg.eigh(x), *linalg.svd(x), *linalg.qr(x), *linalg.slogdet(x)]
        assert all(factor.cached_data is None for factor in factors)
