"""numerical_gradient, and gradcheck, beside another library's differences."""

import numdifftools
import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.testing import gradcheck, numerical_gradient


def rosenbrock(x):
    return ((1 - x[:-1]) ** 2 + (x[1:] - x[:-1] ** 2) ** 2 * 100).sum()


def test_numerical_gradient_is_that_of_numdifftools_and_of_backward():
    x = Tensor([0.3, -0.7, 1.1])
    (numeric,) = numerical_gradient(rosenbrock, x)
    with ndl.no_grad():
        theirs = numdifftools.Gradient(lambda point: rosenbrock(Tensor(point)).item())(x.numpy())
    np.testing.assert_allclose(numeric, theirs, rtol=1e-7)
    assert x.grad is None
    rosenbrock(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), theirs, rtol=1e-9)


def test_jacobian_that_gradcheck_accepts_is_that_of_numdifftools():
    def function(x):
        return ndl.softmax(x**2) * x

    x = Tensor([0.3, -0.7, 1.1])
    assert gradcheck(function, x, order=2)
    with ndl.no_grad():
        jacobian = numdifftools.Jacobian(lambda point: function(Tensor(point)).numpy())(x.numpy())
    for row, expected in enumerate(jacobian):
        y = function(x)
        y[row].backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-9)


def test_numerical_gradient_has_the_shapes_of_the_inputs(mode):
    x, y = Tensor([[0.5, 1.0, 1.5], [0.7, 0.9, 1.1]]), Tensor(1.3)
    numeric = numerical_gradient(lambda x, y: (x * x * y).sum(), [x, y])
    np.testing.assert_allclose(numeric[0], 2 * x.numpy() * y.numpy(), rtol=1e-8)
    np.testing.assert_allclose(numeric[1], (x.numpy() ** 2).sum(), rtol=1e-8)


def test_numerical_gradient_takes_a_number_only():
    with pytest.raises(ValueError, match=r"got shape \(2,\).*sum it"):
        numerical_gradient(lambda x: x * 2, Tensor([1.0, 2.0]))
