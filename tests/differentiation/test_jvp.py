"""Forward mode: values, cost, memory, and how it nests with itself and with reverse mode."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.autograd.assign import assign

requires_grad = pytest.mark.parametrize("requires_grad", [True, False])


def derivative_forward(function):
    return lambda x: ndl.jvp(function, (x,), (ndl.init.ones_like(x),))[1]


def chain(length):
    """A function of `length` ops, one after another."""

    def function(x):
        for _ in range(length // 2):
            x = ndl.sin(x) * 1.01
        return x

    return function


# --- values


def lecture(x1, x2):
    return ndl.log(x1) + x1 * x2 - ndl.sin(x2)


@pytest.mark.parametrize(("tangents", "expected"), [((1.0, 0.0), 5.5), ((0.0, 1.0), 1.716)])
def test_worked_example(mode, tangents, expected):
    """f = ln x1 + x1·x2 - sin x2 at (2, 5): ∂f/∂x1 = 1/2 + 5, ∂f/∂x2 = 2 - cos 5."""
    primals = (Tensor(2.0), Tensor(5.0))
    value, tangent = ndl.jvp(lecture, primals, tuple(map(Tensor, tangents)))
    assert round(value.item(), 3) == 11.652
    assert round(tangent.item(), 3) == expected


def test_tangents_are_linear_in_the_tangents(mode, close):
    rng = np.random.default_rng(0)
    x, u, v = (Tensor(rng.normal(size=(3, 2))) for _ in range(3))

    def tangent(direction):
        return ndl.jvp(lambda x: ndl.softmax(x) @ x.transpose(), (x,), (direction,))[1]

    close(tangent(u * 2 + v), (tangent(u) * 2 + tangent(v)).numpy())


def test_constant_results_have_zero_tangents(mode):
    x = Tensor([1.0, 2.0])
    _, (constant, argmax, x_again) = ndl.jvp(
        lambda x: (Tensor([3.0]), ndl.argmax(x), x), (x,), (Tensor([5.0, 7.0]),)
    )
    assert constant.numpy() == [0]
    assert argmax.item() == 0
    np.testing.assert_array_equal(x_again.numpy(), [5, 7])


def test_random_ops_draw_once_for_value_and_tangent():
    x = Tensor(np.ones(100))
    value, tangent = ndl.jvp(lambda x: ndl.nn.functional.dropout(x, 0.5), (x,), (x,))
    assert set(np.unique(value.numpy())) == {0, 2}
    np.testing.assert_array_equal(value.numpy(), tangent.numpy())


def test_primals_and_tangents_may_be_lists():
    assert ndl.jvp(lambda x: x * 2, [Tensor(1.0)], [Tensor(1.0)])[1].item() == 2


def test_order_of_the_keys_of_tangents_is_free():
    primals = ({"a": Tensor(2.0), "b": Tensor([1.0, 2.0])},)
    tangents = ({"b": Tensor([0.0, 1.0]), "a": Tensor(1.0)},)
    _, tangent = ndl.jvp(lambda p: (p["b"] * p["a"]).sum(), primals, tangents)
    assert tangent.item() == 5


# --- an op may state its tangent


class Square(ndl.TensorOp):
    """a², whose tangent notes that it was asked for."""

    def __init__(self):
        self.asked = []

    def compute(self, a):
        return a * a

    def gradient(self, out_grad, node):
        return out_grad * node.inputs[0] * 2

    def tangent(self, input_tangents, node):
        self.asked.append((len(input_tangents), node.item()))
        return input_tangents[0] * node.inputs[0] * 2


def test_stated_tangent_is_used(mode):
    op = Square()
    assert ndl.jvp(op, (Tensor(3.0),), (Tensor(1.0),))[1].item() == 6
    assert op.asked == [(1, 9)]
    assert derivative_forward(derivative_forward(op))(Tensor(3.0)).item() == 2
    assert ndl.grad(derivative_forward(op))(Tensor(3.0)).item() == 2


class Product(Square):
    """a·b, whose tangent gets None for an operand that does not move."""

    def compute(self, a, b):
        return a * b

    def tangent(self, input_tangents, node):
        self.asked.append([tangent is None for tangent in input_tangents])
        (x, y), (dx, dy) = node.inputs, input_tangents
        return dx * y if dy is None else x * dy if dx is None else dx * y + x * dy


def test_resting_operands_have_no_tangent(mode):
    op, x, one = Product(), Tensor(3.0), Tensor(1.0)
    assert ndl.jvp(lambda x: op(x, Tensor(5.0)), (x,), (one,))[1].item() == 5
    assert ndl.jvp(lambda x: op(Tensor(5.0), x), (x,), (one,))[1].item() == 5
    assert ndl.jvp(lambda x: op(x, x), (x,), (one,))[1].item() == 6
    assert op.asked == [[False, True], [True, False], [False, False]]


# --- nesting


FUNCTIONS = {"grad": ndl.grad, "jvp": derivative_forward}


@requires_grad
@pytest.mark.parametrize("order", list(itertools.product(FUNCTIONS, repeat=3)))
def test_third_derivative_both_ways_in_any_order(order, requires_grad, mode, close):
    def function(x):
        return ndl.sin(x) * ndl.exp(x * 0.5)

    for name in order:
        function = FUNCTIONS[name](function)
    x = 0.7
    close(
        function(Tensor(x, requires_grad=requires_grad)).item(),
        -np.exp(x / 2) * (11 / 8 * np.sin(x) + np.cos(x) / 4),
    )


@requires_grad
@pytest.mark.parametrize("inner", list(FUNCTIONS.values()), ids=list(FUNCTIONS))
@pytest.mark.parametrize("outer", list(FUNCTIONS.values()), ids=list(FUNCTIONS))
def test_inner_and_outer_tangents_are_told_apart(inner, outer, requires_grad, mode):
    """d/dx (x · d/dy (x + y)) is 1; confusing the two tangents gives 2."""
    one = Tensor(1.0, requires_grad=requires_grad)
    assert outer(lambda x: x * inner(lambda y: x + y)(one))(one).item() == 1


@requires_grad
def test_tangent_of_a_value_that_comes_with_its_gradient(mode, requires_grad):
    x = Tensor(2.0, requires_grad=requires_grad)

    def both(x):
        (value, aux), gradient = ndl.value_and_grad(lambda x: (x**3, x * 5), has_aux=True)(x)
        return value, aux, gradient, ndl.vjp(lambda x: x**3, x)[0]

    _, tangents = ndl.jvp(both, (x,), (Tensor(1.0),))
    assert [tangent.item() for tangent in tangents] == [12, 5, 12, 12]


def test_assigned_tensors_are_constants(mode):
    def function(x, buffer):
        buffer, before = buffer * 1, buffer * x
        assign(buffer, x.detach() * 3)
        return before + buffer * x

    x, buffer = Tensor([1.0, 2.0]), Tensor([5.0, 7.0])
    value, tangent = ndl.jvp(function, (x, buffer), (Tensor([1.0, 1.0]), Tensor([1.0, 1.0])))
    np.testing.assert_array_equal(value.numpy(), [5 + 3, 14 + 12])
    np.testing.assert_array_equal(tangent.numpy(), [5 + 1 + 3, 7 + 2 + 6])


def test_result_can_go_backward(mode):
    """To what the function captures, to its arguments, and to the tangents."""
    w, x, direction = Tensor(2.0), Tensor(3.0), Tensor(1.0)
    value, tangent = ndl.jvp(lambda x: w * x * x, (x,), (direction,))
    (value + tangent * tangent).backward()  # wx² + (2wxd)²
    assert w.grad.item() == 9 + 8 * 2 * 9
    assert x.grad.item() == 12 + 8 * 4 * 3
    assert direction.grad.item() == 2 * 12 * 12


def test_layer_is_trained_through_a_tangent():
    """As where a network's derivative is to solve a differential equation."""
    np.random.seed(0)
    model = ndl.nn.Sequential(ndl.nn.Linear(1, 8), ndl.nn.Tanh(), ndl.nn.Linear(8, 1))
    x = Tensor(np.linspace(-1, 1, 9).reshape(9, 1), dtype="float32", requires_grad=False)
    optimizer = ndl.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        slope = derivative_forward(model)(x)
        loss = ((slope - x * 2) ** 2).mean()
        loss.backward(create_graph=False)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 20


# --- cost


def test_many_results_of_one_number_cost_about_one_evaluation(computed):
    """R → R¹⁰⁰⁰ in forward mode: a fixed number of ops, each of which runs once."""
    weights = np.linspace(0, 1, 1000)

    def function(x):
        return ndl.sin(x * weights) * ndl.exp(x)

    x = Tensor(0.5)
    function(x)
    evaluation = computed.total()
    computed.clear()
    jacobian = ndl.jacobian(function, "forward")(x)
    assert jacobian.shape == (1000,)
    assert computed["Sin"] == 1  # one evaluation, and no reverse pass
    assert computed.total() <= 5 * evaluation
    computed.clear()
    ndl.jvp(function, (x,), (Tensor(1.0),))
    assert computed["Sin"] == 1
    assert computed.total() <= 4 * evaluation


def test_jacobian_takes_a_pass_an_argument_forward_and_a_pass_a_result_backward(computed):
    matrix = np.ones((2, 50))
    x = Tensor(np.ones(50))
    ndl.jacobian(lambda x: ndl.sin(x) @ matrix.T, "reverse")(x)
    assert computed["Sin"] == 1
    computed.clear()
    ndl.jacobian(lambda x: ndl.sin(x) @ matrix.T, "forward")(x)
    assert computed["Sin"] == 50


def test_hessian_vector_product_makes_no_hessian(computed):
    x = Tensor(np.linspace(0, 1, 200))
    product = ndl.hvp(lambda x: (ndl.exp(x) * x.sum()).sum(), x, x)
    assert product.shape == (200,)
    assert computed["Exp"] == 1
    assert computed.total() < 40


# --- memory


def peak_of(function):
    """Bytes allocated at most at one time while it runs."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("transform", "requires_grad", "length"),
    [
        (lambda function: function, True, 20_000),
        (lambda function: function, False, 2000),
        (derivative_forward, True, 1000),
        (derivative_forward, False, 1000),
    ],
    ids=["default", "constant", "nested default", "nested constant"],
)
def test_memory_does_not_grow_with_the_number_of_ops(transform, requires_grad, length):
    x, direction = (Tensor(np.full(1000, 0.5), requires_grad=requires_grad) for _ in range(2))

    def peak(length):
        return peak_of(lambda: ndl.jvp(transform(chain(length)), (x,), (direction,)))

    short, long = peak(100), peak(length)
    assert long < short * 1.2
    assert long < 60 * x.numpy().nbytes


def test_live_tensors_do_not_grow_with_the_number_of_ops():
    most = {}
    x = Tensor(0.5)
    for length in (100, 500):
        counts = []

        def function(x, length=length, counts=counts):
            for index in range(length):
                x = ndl.sin(x)
                if index % 50 == 49:
                    counts.append(ndl.count_live_tensors())
            return x

        ndl.jvp(function, (x,), (x,))
        most[length] = max(counts)
    assert most[500] == most[100]


def test_nothing_is_left_behind():
    """Not even cycles that only the garbage collector finds."""
    x, w = Tensor(np.ones(5)), Tensor(np.ones(5))

    def function(y):
        return ndl.exp(y * w) @ w

    gc.collect()
    gc.disable()
    try:
        before = ndl.count_live_tensors()
        ndl.jvp(function, (x,), (x,))
        ndl.hvp(function, x, x)
        ndl.grad(lambda x: ndl.jvp(function, (x,), (x,))[1])(x)
        ndl.grad(derivative_forward(derivative_forward(lambda s: function(x * s))))(Tensor(1.0))
        ndl.jacobian(ndl.grad(function), "forward")(x)
        assert ndl.count_live_tensors() == before
        with pytest.raises(ValueError, match="do not broadcast"):
            ndl.jvp(lambda x: function(x) + x + np.ones(3), (x,), (x,))
        assert vars(w).keys() | vars(x).keys() <= {"_changes"}
    finally:
        gc.enable()
