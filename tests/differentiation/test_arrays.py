"""Derivatives of functions of NumPy arrays are arrays."""

from typing import NamedTuple

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

X = np.array([1.0, 2.0, 3.0])


class Point(NamedTuple):
    x: np.ndarray
    name: str


def cubes(x):
    return (x**3).sum()


def test_value_and_grad():
    value, gradient = ndl.value_and_grad(cubes)(X)
    assert type(value) is type(gradient) is np.ndarray
    assert (value, value.shape) == (36, ())
    np.testing.assert_array_equal(gradient, 3 * X**2)


def test_grad_jacobian_and_hessian():
    np.testing.assert_array_equal(ndl.grad(cubes)(X), 3 * X**2)
    np.testing.assert_array_equal(ndl.grad(ndl.grad(lambda x: x**3))(np.array(2.0)), 12)
    np.testing.assert_array_equal(ndl.jacobian(lambda x: x * x)(X), np.diag(2 * X))
    hessian = ndl.hessian(cubes)(X)
    assert type(hessian) is np.ndarray
    np.testing.assert_array_equal(hessian, np.diag(6 * X))


def test_the_function_gets_tensors():
    seen = []

    def function(x, y, factor):
        seen.append((type(x), type(y), factor))
        return (x * y).sum() * factor

    gradients = ndl.grad(function, argnums=(0, 1))(X, np.float64(2), 3)
    assert seen == [(Tensor, Tensor, 3)]
    np.testing.assert_array_equal(gradients[0], [6, 6, 6])
    np.testing.assert_array_equal(gradients[1], 18)


def test_containers():
    gradient = ndl.grad(lambda p: (p["w"] * p["more"][0]).sum())({"w": X, "more": [X, "text"]})
    np.testing.assert_array_equal(gradient["w"], X)
    assert type(gradient["more"][0]) is np.ndarray
    gradient = ndl.grad(lambda point: cubes(point.x))(Point(X, "p"))
    assert gradient.name == "p"
    np.testing.assert_array_equal(gradient.x, 3 * X**2)


def test_aux():
    gradient, aux = ndl.grad(lambda x: (cubes(x), {"y": x * 2}), has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 3 * X**2)
    np.testing.assert_array_equal(aux["y"], 2 * X)


def test_float32_stays_and_the_array_is_not_changed():
    x = X.astype(np.float32)
    value, gradient = ndl.value_and_grad(cubes)(x)
    assert value.dtype == gradient.dtype == np.float32
    gradient[...] = 0
    np.testing.assert_array_equal(x, X)


def test_a_tensor_or_a_model_among_the_arguments_gives_tensors():
    assert isinstance(ndl.grad(lambda x, y: (x * y).sum())(Tensor(X), X), Tensor)
    layer = nn.Linear(3, 1)
    gradient = ndl.grad(lambda model, x: model(Tensor(x)).sum())(layer, X[None].astype("float32"))
    assert isinstance(gradient["weight"], Tensor)
    with pytest.raises(TypeError, match=r"argument 0 of .* holds no tensor"):
        ndl.grad(lambda x, y: (x * y).sum())(X, Tensor(X))


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"int64.*astype\('float64'\)"):
        ndl.grad(cubes)(np.array([1, 2]))


def test_vmap():
    batch = np.arange(6.0).reshape(2, 3)
    result = ndl.vmap(ndl.grad(cubes))(batch)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, 3 * batch**2)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "Newton-CG", "trust-exact"])
def test_scipys_optimizers(method):
    optimize = pytest.importorskip("scipy.optimize")

    def rosenbrock(x, scale):
        return ((1 - x[:-1]) ** 2 + scale * (x[1:] - x[:-1] ** 2) ** 2).sum()

    options = {}
    if method in ("Newton-CG", "trust-exact"):
        options["hess"] = ndl.hessian(rosenbrock)
    result = optimize.minimize(
        ndl.value_and_grad(rosenbrock), np.zeros(4), args=(10.0,), jac=True, method=method,
        **options,
    )  # fmt: skip
    assert result.success
    np.testing.assert_allclose(result.x, np.ones(4), atol=1e-4)


def test_scipys_solvers():
    optimize = pytest.importorskip("scipy.optimize")

    def equations(x):
        return ndl.stack([x[0] + x[1] - 3, x[0] * x[1] - 2])

    found = optimize.root(
        lambda x: equations(Tensor(x)).numpy(), np.array([0.0, 3.0]), jac=ndl.jacobian(equations)
    )
    np.testing.assert_allclose(found.x, [1, 2])


def test_products_of_arrays_are_arrays():
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.0])

    def cubes(x):
        return (x**3).sum()

    product = ndl.hvp(cubes, x, v)
    value, tangent = ndl.jvp(cubes, (x,), (v,))
    _, pull_back = ndl.vjp(lambda x: x * x, x)
    for found, expected in (
        (product, [6, 0]), (value, 9), (tangent, 3), (pull_back(v)[0], [2, 0]),
    ):  # fmt: skip
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected)


def test_functions_of_needle_take_arrays():
    matrix, index = np.arange(4.0).reshape(2, 2), np.array([[0, 1], [1, 0]])
    for found, expected in (
        (ndl.linalg.expm(np.zeros((2, 2))), np.eye(2)),
        (ndl.gather(matrix, 0, index), np.take_along_axis(matrix, index, 0)),
        (ndl.take_along_axis(matrix, index, 1), np.take_along_axis(matrix, index, 1)),
        (ndl.pad(np.ones(1), 1), [0, 1, 0]),
        (ndl.repeat(np.ones(1), 2), [1, 1]),
    ):
        np.testing.assert_allclose(found.numpy(), expected)
