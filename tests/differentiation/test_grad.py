"""Gradients and vector-Jacobian products: what they give, and what they leave alone."""

import threading

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.differentiation.tree import flatten

requires_grad = pytest.mark.parametrize("requires_grad", [True, False])

# --- values


def test_gradient_has_the_shape_of_the_argument(mode, close):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    gradient = ndl.grad(lambda x: (x * x * x).sum())(x)
    assert isinstance(gradient, Tensor)
    close(gradient, 3 * x.numpy() ** 2)


@pytest.mark.parametrize(
    ("argnums", "expected"), [(0, 5), (1, 2), (-1, 2), ((1, 0), (2, 5)), ([0], (5,)), ((), ())]
)
def test_argnums_choose_the_arguments(argnums, expected):
    gradient = ndl.grad(lambda x, y: x * y, argnums)(Tensor(2.0), Tensor(5.0))
    if isinstance(expected, tuple):
        assert tuple(part.item() for part in gradient) == expected
    else:
        assert gradient.item() == expected


def test_other_arguments_may_be_anything():
    def power(x, exponent, *, factor=1, note=None):
        assert note == "kept"
        return x**exponent * factor

    assert ndl.grad(power)(Tensor(2.0), 3, note="kept").item() == 12
    assert ndl.grad(power)(Tensor(2.0), 3, factor=10, note="kept").item() == 120
    assert ndl.value_and_grad(power)(Tensor(2.0), 3, note="kept")[0].item() == 8
    assert ndl.jacobian(power)(Tensor(2.0), 3, note="kept").item() == 12
    assert ndl.hessian(power)(Tensor(2.0), 3, note="kept").item() == 12


def test_value_comes_with_the_gradient(mode):
    value, gradient = ndl.value_and_grad(lambda x: x**2)(Tensor(3.0))
    assert (value.item(), gradient.item()) == (9, 6)


def test_aux_is_passed_on():
    def with_aux(x):
        return x**2, {"twice": x * 2, "text": "kept"}

    gradient, aux = ndl.grad(with_aux, has_aux=True)(Tensor(3.0))
    assert (gradient.item(), aux["twice"].item(), aux["text"]) == (6, 6, "kept")
    (value, aux), gradient = ndl.value_and_grad(with_aux, has_aux=True)(Tensor(3.0))
    assert (value.item(), aux["twice"].item(), gradient.item()) == (9, 6, 6)


def test_gradient_of_an_ignored_argument_is_zero(mode):
    x = Tensor([1.0, 2.0])
    for function in (lambda x: Tensor(3.0), lambda x: ndl.stop_gradient(x).sum()):
        np.testing.assert_array_equal(ndl.grad(function)(x).numpy(), [0, 0])


def test_stopped_gradient_counts_as_a_constant(mode):
    def product(x):
        return x * ndl.stop_gradient(x * x)

    x = Tensor(3.0)
    assert ndl.grad(product)(x).item() == 9
    assert ndl.grad(ndl.grad(product))(x).item() == 0
    assert ndl.jvp(product, (x,), (Tensor(1.0),))[1].item() == 9
    product(x).backward()
    assert x.grad.item() == 9


def test_one_element_of_any_shape_is_a_scalar():
    assert ndl.grad(lambda x: x.reshape((1, 1)) ** 2)(Tensor([3.0])).numpy() == [6]


def test_float32_stays_float32():
    x = Tensor([1.0, 2.0], dtype="float32")
    value, gradient = ndl.value_and_grad(lambda x: (x * 0.5).exp().sum())(x)
    assert (value.dtype, gradient.dtype) == (np.float32, np.float32)
    assert ndl.hvp(lambda x: (x**3).sum(), x, x).dtype == np.float32
    assert ndl.hessian(lambda x: (x**3).sum())(x).dtype == np.float32
    _, pull_back = ndl.vjp(lambda x: x.astype("float64") * 2, x)
    assert pull_back(Tensor([1.0, 1.0]))[0].dtype == np.float32


def test_argument_need_not_require_a_gradient(mode, constant):
    x = constant([1.0, 2.0])
    np.testing.assert_array_equal(ndl.grad(lambda x: (x * x).sum())(x).numpy(), [2, 4])
    assert not x.requires_grad


def test_function_may_use_the_argument_from_outside_as_a_constant(mode):
    x = Tensor(3.0)
    assert ndl.grad(lambda y: y * x)(x).item() == 3


def test_name_and_docstring_are_those_of_the_function():
    def loss(x):
        """The loss."""
        return x

    for derived in (ndl.grad(loss), ndl.value_and_grad(loss), ndl.jacobian(loss)):
        assert (derived.__name__, derived.__doc__) == ("loss", "The loss.")


# --- higher orders


@requires_grad
def test_derivatives_of_every_order(mode, requires_grad):
    def function(x):
        return x**5

    for expected in (80, 160, 240, 240, 120, 0):
        function = ndl.grad(function)
        assert function(Tensor(2.0, requires_grad=requires_grad)).item() == expected


@requires_grad
def test_inner_and_outer_variables_are_told_apart(mode, requires_grad):
    """d/dx (x · d/dy (x + y)) is 1; confusing x and y gives 2. (Siskind and Pearlmutter 2005.)"""
    one = Tensor(1.0, requires_grad=requires_grad)
    assert ndl.grad(lambda x: x * ndl.grad(lambda y: x + y)(one))(one).item() == 1


@requires_grad
def test_gradient_with_respect_to_what_an_inner_gradient_captures(mode, requires_grad):
    x, y = Tensor(3.0, requires_grad=requires_grad), Tensor(5.0, requires_grad=requires_grad)
    assert ndl.grad(lambda x: ndl.grad(lambda y: x * x * y)(y))(x).item() == 6


def test_gradient_can_be_differentiated_by_backward(mode):
    x, w = Tensor(2.0), Tensor(3.0)
    (ndl.grad(lambda x: x**3)(x) * w).backward()
    assert (x.grad.item(), w.grad.item()) == (36, 12)


# --- vjp


def test_pull_back_may_be_called_again(close):
    value, pull_back = ndl.vjp(lambda x, y: (x * y, x + y), Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    assert isinstance(value, tuple)
    for scale in (1.0, 2.0):
        x, y = pull_back((Tensor([scale, 0.0]), Tensor([0.0, scale])))
        close(x, [3 * scale, scale])
        close(y, [1 * scale, scale])


@requires_grad
def test_pulled_back_cotangent_is_a_function_of_the_cotangent(mode, requires_grad, close):
    """Differentiating it by the cotangent transposes the transpose: forward mode."""
    x, direction = (Tensor([a, 2.0], requires_grad=requires_grad) for a in (1.0, 10.0))
    _, pull_back = ndl.vjp(lambda x: x * x * x, x)
    zeros = Tensor([0.0, 0.0], requires_grad=requires_grad)
    tangent = ndl.grad(lambda v: (pull_back(v)[0] * direction).sum())(zeros)
    close(tangent, [30, 24])
    _, by_jvp = ndl.jvp(lambda v: pull_back(v)[0], (zeros,), (direction,))
    close(by_jvp, [30, 24])


def test_vjp_of_what_does_not_depend_is_zero():
    _, pull_back = ndl.vjp(lambda x, y: x * 2, Tensor(1.0), Tensor([1.0, 2.0]))
    x, y = pull_back(Tensor(1.0))
    assert x.item() == 2
    np.testing.assert_array_equal(y.numpy(), [0, 0])


# --- what is left alone


TRANSFORMED = {
    "grad": lambda f, x: ndl.grad(f)(x),
    "value_and_grad": lambda f, x: ndl.value_and_grad(f)(x),
    "grad of grad": lambda f, x: ndl.grad(lambda x: ndl.grad(f)(x).sum())(x),
    "vjp": lambda f, x: ndl.vjp(f, x)[1](Tensor(1.0)),
    "jvp": lambda f, x: ndl.jvp(f, (x,), (x,)),
    "jacobian": lambda f, x: ndl.jacobian(f)(x),
    "forward jacobian": lambda f, x: ndl.jacobian(f, "forward")(x),
    "hessian": lambda f, x: ndl.hessian(f)(x),
    "hvp": lambda f, x: ndl.hvp(f, x, x),
    "checkpoint": lambda f, x: ndl.grad(lambda x: ndl.checkpoint(f, x))(x),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_grad_of_outside_tensors_is_left_alone(name, mode):
    x, captured, kept = Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), Tensor([5.0, 6.0])
    layer = ndl.nn.Linear(2, 2, dtype="float64")
    (kept * 2).sum().backward()
    before = kept.grad

    def function(x):
        return (layer(x.reshape((1, 2))) * x * captured * kept).sum()

    TRANSFORMED[name](function, x)
    assert [x.grad, captured.grad, layer.weight.grad, layer.bias.grad] == [None] * 4
    assert kept.grad is before
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    assert all(tensor.requires_grad for tensor in (x, captured, kept, layer.weight))


@pytest.mark.parametrize("name", TRANSFORMED)
def test_gradients_are_found_under_no_grad(name):
    with ndl.no_grad():
        inside = TRANSFORMED[name](lambda x: (x**3).sum(), Tensor([1.0, 2.0]))
        assert not (Tensor([1.0]) * 2).requires_grad
    outside = TRANSFORMED[name](lambda x: (x**3).sum(), Tensor([1.0, 2.0]))
    for a, b in zip(flatten(inside)[0], flatten(outside)[0], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert not a.requires_grad


def test_gradient_that_nobody_else_can_differentiate_keeps_no_graph(constant):
    value, gradient = ndl.value_and_grad(lambda x: (x**3).sum())(constant([1.0, 2.0]))
    for tensor in (value, gradient):
        assert tensor.is_leaf()
        assert not tensor.requires_grad


def test_threads_differentiate_at_once_what_they_share():
    np.random.seed(0)
    model = ndl.nn.Sequential(ndl.nn.Linear(4, 8), ndl.nn.Tanh(), ndl.nn.Linear(8, 1))
    batches = [ndl.init.rand(3, 4) for _ in range(6)]
    direction = dict(model.named_parameters())

    def derivatives(batch):
        def loss(model):
            return (model(batch) ** 2).mean()

        parts = ndl.grad(loss)(model), ndl.hvp(loss, model, direction)
        forward = ndl.jvp(lambda x: model(x), (batch,), (batch,))[1]
        second = ndl.grad(lambda x: (ndl.grad(lambda x: model(x).sum())(x) ** 2).sum())(batch)
        return [t.numpy() for t in (*parts[0].values(), *parts[1].values(), forward, second)]

    expected = [derivatives(batch) for batch in batches]
    found = [[] for _ in batches]

    def work(index):
        for _ in range(5):
            found[index].append(derivatives(batches[index]))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results, one in zip(found, expected, strict=True):
        assert len(results) == 5
        for result in results:
            for a, b in zip(result, one, strict=True):
                np.testing.assert_array_equal(a, b)
    assert model[0].weight.grad is None


def test_lazy_gradients_compute_nothing():
    x = Tensor([1.0, 2.0])
    with ndl.lazy_mode():
        value, gradient = ndl.value_and_grad(lambda x: (x * x.exp()).sum())(x)
        output, pull_back = ndl.vjp(lambda x: x * x.exp(), x)
        (adjoint,) = pull_back(Tensor([1.0, 1.0]))
        assert [each.cached_data for each in (value, gradient, output, adjoint)] == [None] * 4
        assert (value.shape, adjoint.shape) == ((), (2,))
    np.testing.assert_allclose(gradient.numpy(), [2 * np.e, 3 * np.exp(2)])
    np.testing.assert_array_equal(adjoint.numpy(), gradient.numpy())
