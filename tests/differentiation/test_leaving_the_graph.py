"""Where a term of a derivative would be missing, there is an error instead of wrong numbers."""

import math

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

X = Tensor([0.5, 2.0])

LEAVING = {
    "math.sin": lambda x: x.sum() * math.sin(x[0]),
    "float": lambda x: x.sum() * float(x[0]),
    "int": lambda x: x.sum() * int(x[1]),
    "np.array of elements": lambda x: Tensor(np.array([x[0], x[1] * x[0]])).sum() * x[0],
    "np.asarray": lambda x: (x * np.asarray(x)).sum(),
    "np.sum of a list": lambda x: np.sum([x[0], x[1]]) * x[0],
    "Tensor of elements": lambda x: (Tensor([x[0], x[1]]) * x).sum(),
    "Tensor of a tensor": lambda x: (Tensor(x) * x).sum(),
    "unique": lambda x: (ndl.unique(x) * x).sum(),
    "np.unique": lambda x: (np.unique(x) * x).sum(),
    "np.interp": lambda x: np.interp(0.5, [0.0, 1.0], x[:2]) * x.sum(),
}


TRANSFORMS = {
    "grad": lambda f: ndl.grad(f)(X),
    "value_and_grad": lambda f: ndl.value_and_grad(f)(X),
    "vjp": lambda f: ndl.vjp(f, X),
    "jvp": lambda f: ndl.jvp(f, (X,), (X,)),
    "jacobian": lambda f: ndl.jacobian(f)(X),
    "forward jacobian": lambda f: ndl.jacobian(f, mode="forward")(X),
    "hessian": lambda f: ndl.hessian(f)(X),
    "hvp": lambda f: ndl.hvp(f, X, X),
    "grad of grad": lambda f: ndl.grad(lambda x: ndl.grad(f)(x).sum())(X),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", LEAVING)
def test_values_do_not_leave_a_function_that_is_differentiated(transform, name):
    with pytest.raises(RuntimeError, match=r"x\.detach\(\)"):
        TRANSFORMS[transform](LEAVING[name])


def test_elements_of_arrays_are_not_assigned_to():
    def function(x):
        array = np.zeros(2)
        array[0] = x[1]
        return (array * x).sum()

    for transform in TRANSFORMS.values():
        with pytest.raises(ValueError, match="setting an array element") as caught:  # NumPy's
            transform(function)
        assert "x.detach()" in str(caught.value.__cause__)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_says_that_it_leaves_is_allowed(transform, capsys):
    def function(x):
        print(f"{x[0]:.2f}", x, x.shape, x.tolist())
        if x[0] > 0.1 and bool(x[1] > 0) and x.numpy()[0] > 0:
            x = x * x.max().item()
        with ndl.no_grad():
            scale = x.detach().sum().item()
        return (x * x).sum() * float(x.detach()[0]) * np.median(x.detach()) * scale

    TRANSFORMS[transform](function)
    assert capsys.readouterr().out.startswith("0.50")


def test_values_do_not_leave_a_checkpoint_inside_of_a_transform():
    def function(x):
        return ndl.checkpoint(LEAVING["float"], x)

    for transform in (ndl.grad, ndl.value_and_grad, ndl.jacobian):
        with pytest.raises(RuntimeError, match=r"x\.detach\(\)"):
            transform(function)(X)
    x = Tensor(X)
    function(x).backward()  # as without the checkpoint


def test_outside_of_transforms_numbers_can_be_taken():
    x = Tensor([2.0])
    assert (float(x), int(x), np.asarray(x)[0], math.sqrt(x)) == (2, 2, 2, math.sqrt(2))
    ndl.grad(lambda a: (a * a).sum())(x)
    assert float(x) == 2  # and the transform is over
    with pytest.raises(RuntimeError):
        ndl.grad(lambda a: a * float(a))(x)
    assert float(x) == 2


def test_constants_inside_of_transforms_can_be_taken():
    constant = Tensor([3.0], requires_grad=False)
    for transform in (ndl.grad, ndl.jacobian, ndl.hessian):
        transform(lambda x: (x * float(constant) * np.asarray(constant)).sum())(X)
    _, tangent = ndl.jvp(lambda x: x * float(constant), (X,), (X,))
    np.testing.assert_array_equal(tangent.numpy(), 3 * X.numpy())


def test_parameters_of_a_model_do_not_leave_either():
    model = nn.Linear(2, 1)
    for function in (lambda m: float(m.weight[0, 0]) * m(X.float()).sum(),):
        with pytest.raises(RuntimeError, match="float"):
            ndl.grad(function)(model)


def test_the_functions_that_replace_them_are_right():
    np.testing.assert_allclose(
        ndl.grad(lambda x: x.sum() * ndl.sin(x[0]))(X).numpy(),
        [math.sin(0.5) + 2.5 * math.cos(0.5), math.sin(0.5)],
    )
    np.testing.assert_allclose(
        ndl.grad(lambda x: (ndl.stack([x[0], x[1] * x[0]]) * x[0]).sum())(X).numpy(),
        ndl.grad(lambda x: x[0] ** 2 * (1 + x[1]))(X).numpy(),
    )
    np.testing.assert_allclose(
        ndl.grad(lambda x: np.linalg.norm(x) + np.diff(x)[0])(X).numpy(),
        X.numpy() / np.linalg.norm(X.numpy()) + [-1, 1],
    )
