"""Jacobians, Hessians and Hessian-vector products: shapes, both modes, and compositions."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

both_modes = pytest.mark.parametrize("way", ["reverse", "forward"])


@both_modes
@pytest.mark.parametrize("output", [(), (1,), (4,), (2, 3), (0, 2)])
@pytest.mark.parametrize("argument", [(), (1,), (3,), (2, 2), (0, 3)])
def test_shape_is_that_of_the_result_and_that_of_the_argument(output, argument, way, mode, close):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(*output, *argument))
    axes = tuple(range(len(output), weights.ndim))

    def linear(x):
        return (x * weights).sum(axes)

    jacobian = ndl.jacobian(linear, way)(Tensor(rng.normal(size=argument)))
    assert jacobian.dtype == np.float64
    assert jacobian.shape == output + argument
    close(jacobian, weights)


@both_modes
def test_several_arguments(way, close):
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    by_x, by_y = ndl.jacobian(lambda x, y: x * y, way, argnums=(0, 1))(x, y)
    close(by_x, np.diag([3, 4]))
    close(by_y, np.diag([1, 2]))
    close(ndl.jacobian(lambda x, y: x * y, way, argnums=1)(x, y), np.diag([1, 2]))


@both_modes
def test_ignored_argument_and_constant_result_give_zeros(way):
    x = Tensor([1.0, 2.0, 3.0])
    jacobian = ndl.jacobian(lambda x: (Tensor([1.0, 1.0]), ndl.argmax(x)), way)(x)
    assert [part.shape for part in jacobian] == [(2, 3), (3,)]
    assert not any(part.numpy().any() for part in jacobian)


def test_hessian_by_hand(mode, close):
    """Of x₀²·x₁ + x₁³."""
    hessian = ndl.hessian(lambda x: x[0] ** 2 * x[1] + x[1] ** 3)(Tensor([2.0, 3.0]))
    close(hessian, [[6, 4], [4, 18]])


def test_hessian_of_a_matrix_argument_has_both_its_axes_twice(close):
    x = Tensor(np.arange(6.0).reshape(2, 3))
    hessian = ndl.hessian(lambda x: (x**3).sum())(x)
    close(hessian.numpy().reshape(6, 6), np.diag(6 * np.arange(6.0)))
    assert hessian.shape == (2, 3, 2, 3)


def test_hessian_between_arguments(close):
    x, y = Tensor([1.0, 2.0]), Tensor(3.0)
    hessian = ndl.hessian(lambda x, y: (x * x).sum() * y * y, argnums=(0, 1))(x, y)
    close(hessian[0][0], 18 * np.eye(2))
    close(hessian[0][1], [12, 24])
    close(hessian[1][0], [12, 24])
    close(hessian[1][1], 10)


def test_hessian_vector_product_is_the_hessian_times_the_vector(mode, close):
    rng = np.random.default_rng(0)
    x, v = (Tensor(rng.normal(size=(3, 2))) for _ in range(2))

    def function(x):
        return ndl.logsumexp(ndl.tanh(x @ x.transpose()) * 2)

    expected = np.einsum("ijkl,kl", ndl.hessian(function)(x).numpy(), v.numpy())
    close(ndl.hvp(function, x, v), expected)
    by_reverse = ndl.grad(lambda x: (ndl.grad(function)(x) * v).sum())(x)
    close(by_reverse, expected)
    _, pull_back = ndl.vjp(ndl.grad(function), x)
    close(pull_back(v)[0], expected)


def test_hessian_vector_product_of_several_arguments(close):
    primals = Tensor([1.0, 2.0]), Tensor(3.0)
    vectors = Tensor([1.0, -1.0]), Tensor(2.0)
    by_x, by_y = ndl.hvp(lambda x, y: (x * x).sum() * y * y, primals, vectors)
    close(by_x, [18 + 24, -18 + 48])
    close(by_y, 12 - 24 + 20)


def test_hessian_vector_product_can_be_differentiated(mode, close):
    """Third derivatives: Σ x³ gives 6·v."""
    x, v = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    close(ndl.grad(lambda x: ndl.hvp(lambda x: (x**3).sum(), x, v).sum())(x), [18, 24])
    (ndl.hvp(lambda x: (x**3).sum(), x, v)).backward()
    close(x.grad, [18, 24])
    close(v.grad, [6, 12])


@pytest.mark.parametrize("inner", ["reverse", "forward"])
@pytest.mark.parametrize("outer", ["reverse", "forward"])
def test_second_derivatives_in_both_orders_of_both_modes(inner, outer, mode, close):
    x = Tensor([0.5, 1.5])
    second = ndl.jacobian(ndl.jacobian(lambda x: x**3 * x.sum(), inner), outer)(x)
    a, b = x.numpy()
    expected = np.zeros((2, 2, 2))
    expected[0] = [[12 * a * a + 6 * a * b, 3 * a * a], [3 * a * a, 0]]
    expected[1] = [[0, 3 * b * b], [3 * b * b, 12 * b * b + 6 * a * b]]
    close(second, expected)


@both_modes
def test_newton_finds_a_minimum(way):
    """Of the Rosenbrock function, with the gradient and a Jacobian of the gradient."""

    def function(x):
        return (x[1] - x[0] ** 2) ** 2 * 100 + (1 - x[0]) ** 2

    x = Tensor([-1.2, 1.0])
    for _ in range(6):
        slope = ndl.grad(function)(x)
        curvature = ndl.jacobian(ndl.grad(function), way)(x)
        x = Tensor(x.numpy() - np.linalg.solve(curvature.numpy(), slope.numpy()))
    np.testing.assert_allclose(x.numpy(), [1, 1], atol=1e-8)


def test_mode_is_one_of_two():
    with pytest.raises(ValueError, match="mode is one of reverse, forward, got 'sideways'"):
        ndl.jacobian(lambda x: x, "sideways")
