"""pinv and lstsq, as NumPy's and PyTorch's."""

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import needle as ndl
from needle import Tensor, linalg

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

SHAPES = [(4, 2), (2, 4), (3, 3), (2, 4, 2), (2, 1, 2, 3), (1, 1), (3, 0), (0, 3)]


def of_rank(rank, m, n):
    rng = np.random.default_rng(rank)
    return rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))


@pytest.mark.parametrize("shape", SHAPES)
def test_pinv_is_numpys(shape, matrices, mode, check_derivatives):
    array = matrices(*shape)
    value, expected = linalg.pinv(Tensor(array)), np.linalg.pinv(array)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-10, atol=1e-12)
    check_derivatives(linalg.pinv, array)


def test_pinv_of_matrices_without_full_rank():
    array = of_rank(2, 5, 4)
    np.testing.assert_allclose(
        linalg.pinv(Tensor(array)).numpy(), np.linalg.pinv(array, rtol=1e-10), atol=1e-12
    )


def test_gradients_of_pinv_are_pytorchs(matrices, gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    for shape in [(4, 2), (2, 4), (2, 3, 3)]:
        gradients_like_pytorchs(linalg.pinv, torch.linalg.pinv, matrices(*shape))


def test_second_derivatives_of_pinv_are_pytorchs(matrices):
    torch = pytest.importorskip("torch")
    array = matrices(4, 2)
    twin = torch.tensor(array, requires_grad=True)
    expected = torch.func.hessian(lambda a: (torch.linalg.pinv(a) ** 3).sum())(twin)
    actual = ndl.hessian(lambda a: (linalg.pinv(a) ** 3).sum())(Tensor(array))
    np.testing.assert_allclose(actual.numpy(), expected.detach().numpy(), atol=1e-9)


@pytest.mark.parametrize("name", ["rcond", "rtol"])
def test_small_singular_values_count_as_zero(name):
    array = np.diag([2.0, 1e-3])
    value = linalg.pinv(Tensor(array), **{name: 1e-2})
    np.testing.assert_array_equal(value.numpy(), np.diag([0.5, 0]))
    with pytest.raises(ValueError, match="two names of one argument"):
        linalg.pinv(Tensor(array), 0.1, rtol=0.1)


def test_hermitian_reads_the_lower_triangle(matrices):
    array = matrices(3, 3)
    symmetric = np.tril(array) + np.tril(array, -1).T
    x = Tensor(array)
    value = linalg.pinv(x, hermitian=True)
    np.testing.assert_allclose(value.numpy(), np.linalg.pinv(symmetric, hermitian=True))
    (value**2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), x.grad.numpy().T, atol=1e-14)


@pytest.mark.parametrize(
    ("a", "b"),
    [((4, 2), (4, 3)), ((4, 2), (4,)), ((2, 4), (2,)), ((3, 3), (3, 2)), ((3, 3), (3,))],
)
def test_lstsq_is_numpys(a, b, matrices, mode, check_derivatives):
    left, right = matrices(*a), np.random.default_rng(1).normal(size=b)
    found = linalg.lstsq(Tensor(left), Tensor(right))
    for value, expected in zip(found, np.linalg.lstsq(left, right), strict=True):
        assert value.shape == np.shape(expected)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-12)
    check_derivatives(lambda a, b: linalg.lstsq(a, b).solution, left, right)
    if found.residuals.size:
        check_derivatives(lambda a, b: linalg.lstsq(a, b).residuals, left, right)


def test_lstsq_without_full_rank_is_numpys():
    left, right = of_rank(2, 5, 3), np.random.default_rng(1).normal(size=(5, 2))
    found, expected = linalg.lstsq(Tensor(left), Tensor(right)), np.linalg.lstsq(left, right)
    np.testing.assert_allclose(found.solution.numpy(), expected[0], atol=1e-12)
    assert found.residuals.shape == expected[1].shape == (0,)
    assert found.rank.item() == expected[2] == 2


def test_lstsq_of_a_batch_is_pytorchs(matrices, gradients_like_pytorchs):
    torch = pytest.importorskip("torch")
    a, b = matrices(3, 5, 2), matrices(3, 5, 2, seed=1)
    gradients_like_pytorchs(
        lambda a, b: linalg.lstsq(a, b).solution,
        lambda a, b: torch.linalg.lstsq(a, b).solution,
        a,
        b,
    )
    found = linalg.lstsq(Tensor(a), Tensor(b))
    expected = torch.linalg.lstsq(torch.tensor(a), torch.tensor(b), driver="gelsd")
    np.testing.assert_allclose(found.residuals.numpy(), expected.residuals.numpy())
    np.testing.assert_array_equal(found.rank.numpy(), [2, 2, 2])


def test_lstsq_inside_vmap(matrices):
    a, b = matrices(3, 5, 2), matrices(3, 5, 2, seed=1)
    found = ndl.vmap(linalg.lstsq)(Tensor(a), Tensor(b))
    for value, expected in zip(found, linalg.lstsq(Tensor(a), Tensor(b)), strict=True):
        np.testing.assert_allclose(value.numpy(), expected.numpy(), atol=1e-13)


def test_float32_stays_float32(matrices):
    x = Tensor(matrices(4, 2), dtype="float32")
    value = linalg.pinv(x)
    value.sum().backward()
    assert value.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize(
    "function",
    [linalg.pinv, lambda a: linalg.pinv(a, hermitian=True), lambda a: linalg.lstsq(a, a)[0]],
)
def test_a_matrix_with_nan_is_named(function):
    with pytest.raises(LinAlgError, match="the matrix holds NaN at row 1, column 0"):
        function(Tensor([[1.0, 2.0], [np.nan, 1.0]]))


def test_bad_input():
    with pytest.raises(LinAlgError, match="it takes matrices in the last two axes"):
        linalg.pinv(Tensor([1.0]))
    with pytest.raises(LinAlgError, match="it takes matrices in the last two axes"):
        linalg.lstsq(Tensor([1.0]), Tensor([1.0]))
    with pytest.raises(ValueError, match=r"shape \(2,\) needs 3 rows"):
        linalg.lstsq(Tensor(np.ones((3, 2))), Tensor([1.0, 2.0]))
