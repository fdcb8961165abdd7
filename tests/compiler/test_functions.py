"""Derivatives inside of compiled functions, and all kinds of arguments and results."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import needle as ndl
from needle import nn

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])


def polynomial(x):
    return (x**3 + 2 * x * x).sum()


MATRIX = ndl.Tensor(np.arange(9.0).reshape(3, 3) / 10, requires_grad=False)


def curve(x):
    return ndl.sin(x @ MATRIX)


DERIVATIVES = {
    "grad": lambda x: ndl.grad(polynomial)(x),
    "grad of grad": lambda x: ndl.grad(lambda x: (ndl.grad(polynomial)(x) ** 2).sum())(x),
    "value_and_grad": lambda x: ndl.value_and_grad(polynomial)(x),
    "jvp": lambda x: ndl.jvp(curve, (x,), (x * 2,)),
    "vjp": lambda x: ndl.vjp(curve, x)[1](x + 1),
    "jacobian": lambda x: ndl.jacobian(curve)(x[0]),
    "hessian": lambda x: ndl.hessian(polynomial)(x[0]),
    "hvp": lambda x: ndl.hvp(polynomial, (x,), (x + 1,)),
    "vmap": lambda x: ndl.vmap(lambda row: ndl.sin(row).sum() * row)(x),
    "checkpoint": lambda x: ndl.grad(lambda x: ndl.checkpoint(curve, x).sum())(x),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_inside(name, agree):
    agree(lambda: (DERIVATIVES[name], []), [(A,), (A + 1,)])


def test_a_functional_call(agree):
    model = nn.Linear(3, 2, dtype="float64")

    def step(x):
        params = {name: value * 2 for name, value in model.named_parameters()}
        return nn.functional_call(model, params, (x,))

    agree(lambda: (step, []), [(A,)])


def test_a_compiled_function_inside_another(executor, close):
    inner = ndl.compile(lambda x: ndl.sin(x) * 2, executor=executor)
    outer = ndl.compile(lambda x: inner(x) + inner(x * 2), executor=executor)
    x = ndl.Tensor(A, requires_grad=False)
    close(outer(x), ndl.sin(x) * 2 + ndl.sin(x * 2) * 2)
    assert (outer.recordings, inner.recordings) == (1, 0)


# --- arguments and results


class Pair(NamedTuple):
    x: object
    y: object


@dataclass
class Batch:
    x: object
    scale: float = 1.0


def test_containers_of_tensors(agree):
    def step(batch, pair, named, listed, *, last=None):
        x = batch.x * batch.scale + pair.x - pair.y + named["a"] * listed[0]
        return {"x": x, "pair": Pair(x + 1, None), "list": [x * 2, "text", 3], "batch": Batch(x)}

    def arguments(number):
        tensors = [ndl.Tensor(A + i + number, requires_grad=False) for i in range(5)]
        return Batch(tensors[0]), Pair(*tensors[1:3]), {"a": tensors[3]}, [tensors[4], 1]

    step_ = agree(lambda: (step, []), [arguments(0), arguments(1)])
    assert step_.recordings == 1


def test_numbers_among_arguments_are_recorded_anew(agree):
    step = agree(
        lambda: (lambda x, power, flag=True: x**power if flag else x, []),
        [(A, 2), (A, 3), (A, 2), (A, 2.0), (A, 2, False)],
    )
    assert step.recordings == 4


def test_a_tuple_of_tensors(agree):
    agree(lambda: (lambda x: ndl.split(x, 1), []), [(A,)] * 2)


def test_no_tensors_at_all(executor):
    step = ndl.compile(lambda: ndl.Tensor([1.0, 2.0]) * 2, executor=executor)
    for _ in range(2):
        np.testing.assert_array_equal(step().numpy(), [2.0, 4.0])
    assert ndl.compile(lambda x: None, executor=executor)(ndl.Tensor(A)) is None


def test_results_that_are_arguments_or_captured(executor):
    weight = ndl.Tensor(A)
    step = ndl.compile(lambda x, y: (x, weight, y * 2, x), executor=executor)
    for _ in range(2):
        x, y = ndl.Tensor(A), ndl.Tensor(A + 1)
        results = step(x, y)
        assert results[0] is x
        assert results[1] is weight
        assert results[3] is x


def test_one_tensor_returned_twice_is_one_tensor(executor):
    def function(x):
        y = x * 2
        return y, y

    first, second = ndl.compile(function, executor=executor)(ndl.Tensor(A))
    assert first is second


def test_results_have_memory_of_their_own(executor):
    step = ndl.compile(lambda x: (x.reshape((3, 2)), x[0], x * 2), executor=executor)
    x = ndl.Tensor(A.copy(), requires_grad=False)
    first = [y.numpy() for y in step(x)]
    results = step(x)
    for y in results:
        y.realize_cached_data()[...] = 0
    for y, expected in zip(step(x), first, strict=True):
        np.testing.assert_array_equal(y.numpy(), expected)


def test_gradients_of_arguments(agree):
    def step(x):
        (x * x).sum().backward(create_graph=False)
        return x.grad

    def build():
        return step, []

    agree(build, [(ndl.Tensor(A),), (ndl.Tensor(A + 1),)])


def test_an_argument_gets_its_gradient(executor):
    step = ndl.compile(lambda x: (x * x).sum().backward(create_graph=False), executor=executor)
    for _ in range(2):
        x = ndl.Tensor(A)
        step(x)
        np.testing.assert_allclose(x.grad.numpy(), 2 * A)


def test_a_gradient_is_added_to_that_of_an_argument(executor):
    @ndl.compile(executor=executor)
    def step(x):
        (x * x).sum().backward(create_graph=False, accumulate=True)

    x = ndl.Tensor(A)
    for count in (1, 2, 3):
        step(x)
        np.testing.assert_allclose(x.grad.numpy(), count * 2 * A)
    assert step.recordings == 2


def test_one_tensor_passed_twice(executor):
    step = ndl.compile(lambda x, y: (x * y).sum().backward(create_graph=False), executor=executor)
    x, y = ndl.Tensor(A), ndl.Tensor(A + 1)
    step(x, y)
    np.testing.assert_allclose(x.grad.numpy(), A + 1)
    step(x, x)
    np.testing.assert_allclose(x.grad.numpy(), 2 * A)
    assert step.recordings == 2


def test_an_argument_that_is_also_captured(executor):
    weight = ndl.Tensor(A)
    step = ndl.compile(lambda x: x * weight, executor=executor)
    for x in (ndl.Tensor(A + 1), weight, ndl.Tensor(A + 2), weight):
        np.testing.assert_allclose(step(x).numpy(), x.numpy() * A)


def test_parameters_as_arguments(executor):
    one, other = nn.Parameter(A), nn.Parameter(A + 1)
    step = ndl.compile(lambda p: p * 2, executor=executor)
    for p in (one, other, one):
        np.testing.assert_allclose(step(p).numpy(), p.numpy() * 2)


def test_tensors_created_inside_start_anew_in_each_call(agree):
    def step(x):
        total = ndl.init.zeros(2, 3, dtype="float64")
        with ndl.no_grad():
            total.add_(x)
            total.add_(x)
        return total

    agree(lambda: (step, []), [(A,)] * 3)


def test_a_method(executor):
    class Model:
        def __init__(self):
            self.weight = ndl.Tensor(A)

        @ndl.compile(executor=executor)
        def double(self, x):
            return self.weight * x

    model = Model()
    x = ndl.Tensor(2.0, requires_grad=False)
    np.testing.assert_allclose(model.double(x).numpy(), 2 * A)
    np.testing.assert_allclose(model.double(x).numpy(), 2 * A)
    assert Model.double.recordings == 1


def test_tensors_that_swap_and_turn_round(agree):
    def build():
        one, other = ndl.Tensor(A[0]), ndl.Tensor(A[1])

        def step(x):
            with ndl.no_grad():
                former = one * 1
                one.copy_(other[::-1])
                other.copy_(former)
                other.copy_(other[::-1])

        return step, [one, other]

    agree(build, [(A,)] * 3)


def test_exponentials_that_overflow_are_no_part_of_a_softmax(executor):
    """exp(a - ln s) is exp(a)/s only where exp(a) is finite."""
    x, s = (
        ndl.Tensor(np.array(values, "float32"), requires_grad=False)
        for values in ([100.0, 1.0], [1e30, 2.0])
    )

    def function(x, s):
        return ndl.exp(x), ndl.exp(x - ndl.log(s))

    with np.errstate(over="ignore"):
        results = ndl.compile(function, executor=executor)(x, s)
        expected = function(x, s)
    for result, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(result.numpy(), other.numpy(), rtol=1e-5)


class Parts(ndl.TensorTupleOp):
    """Views of the operand, by a method that recording arrays lack."""

    def compute(self, a):
        whole = a.view()
        return whole[0], whole[1:]


class Turned(ndl.TensorOp):
    """A view of the operand, by a method that recording arrays lack."""

    def compute(self, a):
        return a.view().T


@pytest.mark.parametrize(
    "function",
    [
        lambda a: ndl.diagonal(a),
        lambda a: ndl.TensorTuple.make_from_op(Parts(), (a,))[1],
        lambda a: ndl.Tensor.make_from_op(Turned(), (a,)),
        lambda a: ndl.einsum("ii->i", a),
    ],
    ids=["diagonal", "tuple of a user's op", "user's op", "einsum"],
)
def test_memory_that_a_call_returns_a_view_of_is_not_taken_again(function, executor, close):
    def step(x):
        first = function(x @ x)
        others = [(x * k) @ x for k in range(2, 6)]  # would take the memory of the product
        return first, others

    x = ndl.Tensor(np.arange(9.0).reshape(3, 3), requires_grad=False)
    close(list(ndl.compile(step, executor=executor)(x)), list(step(x)))


def test_a_new_value_that_a_call_returns_as_a_view_of_an_old_one(executor):
    a = ndl.Tensor(np.arange(9.0).reshape(3, 3), requires_grad=False)
    b = ndl.Tensor(np.zeros((3, 3)), requires_grad=False)

    @ndl.compile(executor=executor)
    def step():
        ndl.autograd.assign(b, ndl.Tensor.make_from_op(Turned(), (a,)))
        ndl.autograd.assign(a, a * 2)

    step()
    assert b.numpy().tolist() == np.arange(9.0).reshape(3, 3).T.tolist()
    assert a.numpy().tolist() == (2 * np.arange(9.0).reshape(3, 3)).tolist()
