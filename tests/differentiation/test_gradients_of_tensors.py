"""grad(y, x): the gradient of tensors by tensors, as torch.autograd.grad."""

import inspect

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

A, B = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])


def inputs():
    return Tensor(A), Tensor(B)


def test_one_input_gives_a_tuple_of_one():
    a, _ = inputs()
    found = ndl.grad((a**3).sum(), a)
    assert isinstance(found, tuple)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].numpy(), 3 * A**2)
    assert a.grad is None


@pytest.mark.parametrize("kind", ["two outputs", "adjoints", "one adjoint", "inner value"])
def test_gradients_are_pytorchs(kind):
    torch = pytest.importorskip("torch")

    def gradients(library, a, b, tensor):
        ab = a * b
        ys, given = {
            "two outputs": ([(ab * a).sum(), ab.sum()], None),
            "adjoints": ([ab, a * a], [tensor([1.0, 0.0, 2.0]), tensor([3.0, 1.0, 1.0])]),
            "one adjoint": (ab * a, tensor([1.0, 0.0, 2.0])),
            "inner value": ((ab**3).sum(), None),
        }[kind]
        xs = [a, b, ab] if kind == "inner value" else [a, b]
        return library(ys, xs, given, retain_graph=True)

    theirs = [torch.tensor(array, requires_grad=True) for array in (A, B)]
    expected = gradients(torch.autograd.grad, *theirs, lambda x: torch.tensor(x).double())
    actual = gradients(ndl.grad, *inputs(), Tensor)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy())


def test_create_graph():
    a, _ = inputs()
    (first,) = ndl.grad((a**3).sum(), a, create_graph=True)
    (second,) = ndl.grad((first**2).sum(), a)
    np.testing.assert_allclose(second.numpy(), 36 * A**3)
    (constant,) = ndl.grad((a**3).sum(), a)
    assert not constant.requires_grad


def test_an_unused_input():
    a, b = inputs()
    with pytest.raises(RuntimeError, match=r"no output depends on inputs\[1\] of shape \(3,\)"):
        ndl.grad(a.sum(), [a, b])
    assert ndl.grad(a.sum(), [a, b], allow_unused=True)[1] is None
    np.testing.assert_array_equal(
        ndl.grad(a.sum(), [a, b], materialize_grads=True)[1].numpy(), np.zeros(3)
    )


def test_an_input_that_is_the_output():
    a, _ = inputs()
    y = a.sum()
    assert ndl.grad(y, y)[0].item() == 1


def test_names_of_arguments():
    a, _ = inputs()
    (found,) = ndl.grad(
        outputs=a * 2, inputs=a, grad_outputs=np.ones(3), create_graph=False, allow_unused=False
    )
    np.testing.assert_array_equal(found.numpy(), [2, 2, 2])
    assert ndl.grad(function=lambda a: (a * a).sum(), argnums=0)(a).shape == (3,)


def test_functions_and_models_are_no_tensors():
    layer = nn.Linear(3, 1)
    gradient = ndl.grad(layer)  # a function of x
    assert gradient(ndl.init.ones(1, 3)).shape == (1, 3)
    assert "grad(outputs, inputs" in inspect.getdoc(ndl.grad)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda a, b: ndl.grad((a * b).sum()), TypeError, "inputs is missing"),
        (lambda a, b: ndl.grad((a * b).sum(), A), TypeError, "inputs is a ndarray"),
        (lambda a, b: ndl.grad(3.0, a), TypeError, "takes a function, or tensors"),
        (lambda a, b: ndl.grad([a, 1.0], a), TypeError, "outputs is a list"),
        (lambda a, b: ndl.grad(lambda a: a.sum(), a), TypeError, r"write grad\(function\)\(x\)"),
        (lambda a, b: ndl.grad(a * b, a), RuntimeError, r"outputs\[0\] has shape \(3,\)"),
        (lambda a, b: ndl.grad(a.detach().sum(), a), RuntimeError, "has no graph"),
        (lambda a, b: ndl.grad(a.sum(), a.detach()), RuntimeError, "requires no gradient"),
        (lambda a, b: ndl.grad(a * b, a, [1.0]), ValueError, r"of shape \(1?,?\).* of \(3,\)"),
        (lambda a, b: ndl.grad(a * b, a, [b, b]), ValueError, "2 grad_outputs for 1 outputs"),
    ],
)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call(*inputs())


def test_inside_grad_and_vmap():
    """As gradient penalties have it."""
    x = Tensor(np.stack([A, B]))

    def penalty(x):
        (slope,) = ndl.grad((x**3).sum(), x, create_graph=True)
        return (slope**2).sum()

    expected = 36 * x.numpy() ** 3
    np.testing.assert_allclose(ndl.grad(penalty)(x).numpy(), expected)
    np.testing.assert_allclose(ndl.vmap(ndl.grad(penalty))(x).numpy(), expected)
