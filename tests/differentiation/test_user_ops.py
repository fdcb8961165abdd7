"""Ops that users write: mistakes in them are caught, and the op is named."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


class Product(ndl.TensorOp):
    """a @ b, with whatever gradient a test gives it."""

    def __init__(self, gradient):
        self.gradient = gradient

    def compute(self, a, b):
        return a @ b


class Doubled(ndl.ops.Elementwise):
    """2·a, likewise."""

    def __init__(self, gradient):
        self.gradient = gradient

    def compute(self, a):
        return a * 2


def inputs():
    rng = np.random.default_rng(0)
    return Tensor(rng.normal(size=(2, 3))), Tensor(rng.normal(size=(3, 4)))


WAYS = {
    "backward": lambda f, args: f(*args).sum().backward(),
    "grad": lambda f, args: ndl.grad(lambda *args: f(*args).sum())(*args).numpy(),
    "jvp": lambda f, args: ndl.jvp(f, args, args)[1].numpy(),
    "checkpoint": lambda f, args: ndl.checkpoint(f, *args).sum().backward(),
}

MISTAKES = {
    "too few": (lambda g, node: g, "returned 1 adjoints for 2 inputs: return one per input"),
    "too many": (lambda g, node: (g, g, g), "returned 3 adjoints for 2 inputs"),
    "none": (lambda g, node: None, "returned 1 adjoints for 2 inputs"),
    "swapped": (
        lambda g, node: (node.inputs[0].transpose() @ g, g @ node.inputs[1].transpose()),
        r"returned an adjoint of shape \(3, 4\) for an input of shape \(2, 3\)",
    ),
    "that of the result": (
        lambda g, node: (g, g),
        r"returned an adjoint of shape \(2, 4\) for an input of shape \(2, 3\)",
    ),
    "summed": (
        lambda g, node: (g.sum(), None),
        r"returned an adjoint of shape \(\) for an input of shape \(2, 3\)",
    ),
    "a tuple": (
        lambda g, node: (ndl.make_tuple(g, g), None),
        r"returned an adjoint of shape \(\(2, 4\), \(2, 4\)\) for an input of shape \(2, 3\)",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_number_or_shape_of_adjoints(mistake, way, mode):
    gradient, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"Product.gradient {message}"):
        WAYS[way](Product(gradient), inputs())


@pytest.mark.parametrize("way", WAYS)
def test_adjoint_that_is_no_tensor(way, mode):
    with pytest.raises(TypeError, match=r"Product.gradient returned ndarray as an adjoint: build"):
        WAYS[way](Product(lambda g, node: (np.ones((2, 3)), None)), inputs())


@pytest.mark.parametrize("way", ["backward", "grad", "checkpoint"])
def test_wrong_shape_of_an_elementwise_op(way, mode):
    op = Doubled(lambda g, node: g.sum(0))
    with pytest.raises(ValueError, match=r"Doubled.gradient returned an adjoint of shape \(3,\)"):
        WAYS[way](op, inputs()[:1])


class FirstOf(ndl.TensorOp):
    """The first entry of a tuple, whose gradient forgets the others."""

    def compute(self, arrays):
        return arrays[0] * 1

    def gradient(self, out_grad, node):
        return ndl.make_tuple(out_grad)


@pytest.mark.parametrize("way", WAYS)
def test_wrong_length_of_an_adjoint_of_a_tuple(way, mode):
    with pytest.raises(ValueError, match=r"FirstOf.gradient returned an adjoint of shape \(\(2,"):
        WAYS[way](lambda a, b: FirstOf()(ndl.make_tuple(a, b)), inputs())


def test_op_is_named_where_compute_fails(mode):
    with pytest.raises(ValueError, match=r"Product of shape \(2, 3\) and \(2, 3\)"):
        Product(None)(inputs()[0], inputs()[0]).numpy()


def test_none_is_right_where_no_adjoint_is_needed(mode):
    constant = Tensor(np.ones((3, 4)), requires_grad=False)
    op = Product(lambda g, node: (g @ node.inputs[1].transpose(), None))
    a = inputs()[0]
    np.testing.assert_array_equal(ndl.grad(lambda a: op(a, constant).sum())(a).numpy(), 4)
    _, tangent = ndl.jvp(lambda a: op(a, constant), (a,), (a,))
    np.testing.assert_allclose(tangent.numpy(), a.numpy() @ constant.numpy())


def test_expensive_adjoint_need_not_be_computed():
    """`requires_grad` of the inputs tells which adjoints are asked for, also in forward mode."""
    asked = []

    def gradient(g, node):
        a, b = node.inputs
        asked.append((a.requires_grad, b.requires_grad))
        return (
            g @ b.transpose() if a.requires_grad else None,
            a.transpose() @ g if b.requires_grad else None,
        )

    op = Product(gradient)
    a, b = (x.detach() for x in inputs())
    ndl.grad(lambda a: op(a, b).sum())(a)
    ndl.jvp(lambda b: op(a, b), (b,), (b,))
    ndl.jvp(op, (a, b), (a, b))
    assert asked == [(True, False), (False, True), (True, True)]


def test_op_without_derivative_may_say_so(mode):
    class Rounded(ndl.TensorOp):
        differentiable = False
        compute = np.rint

    x = Tensor([0.4, 1.6])
    assert not Rounded()(x).requires_grad
    np.testing.assert_array_equal(ndl.grad(lambda x: (Rounded()(x) * x).sum())(x).numpy(), [0, 2])
    np.testing.assert_array_equal(ndl.jvp(Rounded(), (x,), (x,))[1].numpy(), [0, 0])


class BadInputError(ValueError):
    def __init__(self, code, detail):
        super().__init__(code, detail)
        self.code = code


@pytest.mark.parametrize("method", ["compute", "check"])
@pytest.mark.parametrize(
    "error", [BadInputError(5, "x"), ValueError("negative", 3), KeyError("x"), OSError(2, "x")]
)
def test_errors_of_a_users_op_keep_what_they_say(method, error):
    def fail(self, array):
        raise error

    methods = {"compute": lambda self, array: array, method: fail}
    args = error.args
    with pytest.raises(type(error)) as caught:
        type("Mine", (ndl.TensorOp,), methods)()(Tensor([1.0]))
    assert caught.value is error
    assert error.args == args
