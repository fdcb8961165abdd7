"""gradcheck: what it passes, what it catches, what it leaves alone."""

import re
from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.testing import GradcheckError, gradcheck

MODES = ["full", "random"]


@pytest.fixture(params=MODES)
def how(request: pytest.FixtureRequest) -> str:
    return request.param


def draws(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(rng.uniform(0.5, 1.5, size=shape)) for shape in shapes]


class Cubed(ndl.TensorOp):
    """a³, with whatever gradient the test gives it."""

    def __init__(self, slope: Callable[[Tensor], Tensor]) -> None:
        self.slope = slope

    def compute(self, a):
        return a**3

    def gradient(self, out_grad, node):
        return out_grad * self.slope(node.inputs[0])


def right(a):
    return a * a * 3


RIGHT = {
    "a number": (lambda x: (x * x).sum(), [(3,)]),
    "a matrix": (lambda x, w: ndl.tanh(x @ w), [(2, 3), (3, 2)]),
    "no axes": (lambda x: x.exp(), [()]),
    "broadcasting": (lambda x, y: x / y, [(3, 1), (1, 2)]),
    "several results": (lambda x, y: (x * y, y.log()), [(2,), (2,)]),
    "a TensorTuple": (lambda x: ndl.split(x * x, 0), [(2, 2)]),
    "an input twice": (lambda x, y: x * x * y + x, [(2,), (2,)]),
    "an input that is ignored": (lambda x, y: y * 2, [(2,), (3,)]),
    "a constant": (lambda x: Tensor([1.0, 2.0], requires_grad=False), [(2,)]),
    "the input itself": (lambda x: x, [(2, 2)]),
    "no elements": (lambda x: x * 2, [(0, 3)]),
    "no inputs' elements": (lambda x, y: x.sum() + y, [(0, 3), (2,)]),
    "a first derivative": (ndl.grad(lambda x: (x**3).sum()), [(2,)]),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("forward", [False, True])
def test_right_derivatives_pass(name, order, how, forward, mode):
    function, shapes = RIGHT[name]
    assert gradcheck(function, draws(*shapes), order=order, mode=how, forward=forward) is True


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("forward", [False, True])
def test_own_op_passes(order, how, forward):
    x = draws((2, 2))
    assert gradcheck(lambda x: Cubed(right)(x), x, order=order, mode=how, forward=forward)


def test_function_may_call_backward():
    def slope(x):
        (x**3).sum().backward()
        return x.grad

    assert gradcheck(slope, draws((2,)), order=2)


def test_one_tensor_needs_no_list():
    assert gradcheck(lambda x: x.sin(), Tensor([0.3, 0.4]))


# --- what it catches


WRONG = {
    "a factor": lambda a: a * a * 3.001,
    "a sign": lambda a: -right(a),
    "nothing": lambda a: a * 0,
    "not a number": lambda a: a * np.nan,
    "infinity": lambda a: a * np.inf,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_fail(name, how):
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda x: Cubed(WRONG[name])(x), draws((2,)), mode=how)


class CubedWithTangent(Cubed):
    def tangent(self, tangents, node):
        return tangents[0] * node.inputs[0] * 5


def test_forward_mode_is_checked_by_itself(how):
    def cubed(x):
        return CubedWithTangent(right)(x)

    x = Tensor([1.0])
    assert gradcheck(cubed, x, mode=how)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(cubed, x, mode=how, forward=True)
    assert numbers(str(caught.value)) == pytest.approx([5, 3])
    assert "by the tangent" in str(caught.value)


def test_wrong_second_tangent_fails_in_order_two_alone(how):
    class Once(Cubed):
        def tangent(self, tangents, node):
            return tangents[0] * (node.inputs[0] * node.inputs[0] * 3).detach()

    def once(x):
        return Once(right)(x)

    x = draws((2,))
    assert gradcheck(once, x, mode=how, forward=True)
    with pytest.raises(GradcheckError, match="tangent"):
        gradcheck(once, x, order=2, mode=how, forward=True)


def test_wrong_gradient_is_an_assertion():
    with pytest.raises(AssertionError):
        gradcheck(lambda x: x * x.detach(), draws((2,)))


def test_missing_graph_fails_and_is_named(how):
    with pytest.raises(GradcheckError, match="No gradient arrives at input 1"):
        gradcheck(lambda x, y: x * y.detach(), draws((2,), (2,)), mode=how)


def test_wrong_second_derivative_fails_in_order_two_alone(how):
    def once(x):
        return Cubed(lambda a: (a * a * 3).detach())(x)

    x = draws((2,))
    assert gradcheck(once, x, order=1, mode=how)
    with pytest.raises(GradcheckError, match="gradient"):
        gradcheck(once, x, order=2, mode=how)


def test_order_two_sees_a_first_derivative_that_is_wrong(how):
    # consistent with itself: the gradient of the gradient is right
    with pytest.raises(GradcheckError, match=r"derivative of (a random combination of )?output"):
        gradcheck(lambda x: Cubed(lambda a: a * a * 4)(x), draws((2,)), order=2, mode=how)


def numbers(message):
    return [
        float(number) for number in re.findall(r"(?:gradient|tangent|differences): +(\S+)", message)
    ]


def test_failure_names_element_and_both_numbers():
    def doubled_in_one_place(a):
        factor = np.full(a.shape, 3.0)
        factor[1, 2] = 6.0
        return a * a * factor

    _, x = draws((1,), (2, 3))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda y, x: (y, Cubed(doubled_in_one_place)(x)), [Tensor([1.0]), x])
    text = str(caught.value)
    assert "the derivative of output 1[1, 2] with respect to input 1[1, 2]" in text
    assert "1 of 49 derivatives disagree" in text
    square = x.numpy()[1, 2] ** 2
    np.testing.assert_allclose(numbers(text), [6 * square, 3 * square], rtol=1e-6)


def test_random_mode_finds_one_wrong_element_among_many():
    def wrong_in_one_place(a):
        factor = np.full(a.shape, 3.0)
        factor[70, 30] = 3.3
        return a * a * factor

    x, y = draws((100,), (100, 100))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x, y: x.sum() + Cubed(wrong_in_one_place)(y).sum(), [x, y], mode="random")
    text = str(caught.value)
    assert "the derivative of output with respect to input 1[70, 30]" in text
    square = y.numpy()[70, 30] ** 2
    np.testing.assert_allclose(numbers(text), [3.3 * square, 3 * square], rtol=1e-4)


def test_random_mode_names_no_element_where_none_is_wrong():
    calls = 0

    def wrong_once(x):
        nonlocal calls
        calls += 1
        return x.sum() + (calls == 2)

    with pytest.raises(GradcheckError, match="output along a random direction through all inputs"):
        gradcheck(wrong_once, draws((3,)), mode="random")


def test_second_order_failure_names_the_gradient():
    function = lambda x: Cubed(lambda a: (a * a * 3).detach())(x)  # noqa: E731
    with pytest.raises(GradcheckError, match=r"gradient\[1\] with respect to input 0\[1\]"):
        gradcheck(function, Tensor([1.0, 2.0]), order=2)


def test_tolerances_are_kept(how):
    def slightly_wrong(x):
        return Cubed(lambda a: a * a * 3 + 1e-3)(x)

    x = draws((1,))
    assert gradcheck(slightly_wrong, x, atol=2e-3, mode=how)
    assert gradcheck(slightly_wrong, x, rtol=1e-2, mode=how)
    with pytest.raises(GradcheckError):
        gradcheck(slightly_wrong, x, mode=how)


# --- hints


def test_random_function_is_found_out(how):
    with pytest.raises(GradcheckError, match="other values when it was called again"):
        gradcheck(lambda x: x * np.random.rand(3), draws((3,)), mode=how)


def test_rounding_of_large_values_is_found_out(how):
    with pytest.raises(GradcheckError, match="values reach 1e\\+12"):
        gradcheck(lambda x: x + 1e12, draws((3,)), mode=how)


def test_infinite_values_are_found_out(how):
    with pytest.raises(GradcheckError, match="not finite"):
        gradcheck(lambda x: x * np.inf, draws((3,)), mode=how)


# --- what it costs


@pytest.mark.parametrize("size", [1, 1000])
def test_random_mode_costs_two_evaluations_beside_the_graph(size):
    calls = 0

    def function(x):
        nonlocal calls
        calls += 1
        return (x * x).sum()

    gradcheck(function, draws((size,)), mode="random")
    assert calls == 3


def test_full_mode_costs_two_evaluations_an_element():
    calls = 0

    def function(x, y):
        nonlocal calls
        calls += 1
        return x @ y

    gradcheck(function, draws((2, 3), (3,)))
    assert calls == 2 * 9 + 1


# --- what it leaves alone


def test_everything_outside_is_left_alone(how):
    x, weight = draws((2,), (2,))
    weight.grad = marker = Tensor([7.0, 7.0])
    before = x.numpy()
    np.random.seed(3)
    state = np.random.get_state()[1].copy()
    gradcheck(lambda x: x * weight, x, order=2, mode=how)
    assert x.grad is None
    assert weight.grad is marker
    np.testing.assert_array_equal(x.numpy(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_function_that_writes_into_its_input_changes_no_tensor_of_ours():
    x = Tensor([1.0, 2.0])

    def rude(x):
        y = x * 1
        x.realize_cached_data()[:] = 0
        return y

    assert gradcheck(rude, x)
    np.testing.assert_array_equal(x.numpy(), [1, 2])


def test_it_works_for_tensors_without_gradient_and_under_no_grad(how):
    x = Tensor([1.0, 2.0], requires_grad=False)
    with ndl.no_grad():
        assert gradcheck(lambda x: x * x, x, order=2, mode=how)


def test_seed_decides():
    seen = []

    def function(x):
        seen.append(x.numpy())
        return x.sum()

    x = draws((3,))
    for seed in (0, 0, 1):
        gradcheck(function, x, mode="random", seed=seed)
    first, again, other = seen[1], seen[4], seen[7]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.linalg.norm(first - x[0].numpy()) == pytest.approx(1e-6)
