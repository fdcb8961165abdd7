"""backward(): gradients of gradients, several uses, branches, dtypes, errors."""

import math

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def test_worked_example(mode):
    x1, x2 = Tensor([2.0]), Tensor([5.0])
    f = x1.log() + x1 * x2 - x2.sin()
    f.backward()
    assert f.item() == pytest.approx(11.652, abs=5e-4)
    assert x1.grad.item() == pytest.approx(5.5)
    assert x2.grad.item() == pytest.approx(1.716, abs=5e-4)
    assert x2.grad.item() == pytest.approx(2 - math.cos(5))


# --- gradients of gradients


def test_fourth_derivative_of_the_fourth_power(mode):
    x = Tensor([3.0])
    derivative = x**4
    found = []
    for _ in range(5):
        derivative.backward()
        derivative = x.grad
        found.append(derivative.item())
    assert found == [108, 108, 72, 24, 0]


def test_gradient_of_gradient_replaces_the_first(mode):
    x = Tensor([2.0])
    (x * x * x).backward()
    assert x.grad.item() == 12
    x.grad.backward()
    assert x.grad.item() == 12
    x.grad.backward()
    assert x.grad.item() == 6


def test_mixed_second_derivatives(mode):
    x, y = Tensor([2.0]), Tensor([3.0])
    (x * x * y).backward()
    x.grad.backward()
    assert (x.grad.item(), y.grad.item()) == (6, 4)


@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_second_derivative_through_a_network(mode, derivative_at_zero):
    rng = np.random.default_rng(0)
    x, w = Tensor(rng.normal(size=(3, 4))), Tensor(rng.normal(size=(4, 2)))

    def first(array):
        weights = Tensor(array)
        (x @ weights).tanh().logsumexp(1).sum().backward()
        return weights.grad.numpy()

    direction = rng.normal(size=(4, 2))
    (x @ w).tanh().logsumexp(1).sum().backward()
    (w.grad * direction).sum().backward()
    numeric = derivative_at_zero(lambda step: first(w.numpy() + step * direction))
    np.testing.assert_allclose(w.grad.numpy(), numeric, rtol=1e-6, atol=1e-8)


def test_gradient_with_respect_to_the_adjoint(mode):
    x, adjoint = Tensor([2.0]), Tensor([1.0])
    (x * x).backward(adjoint)
    x.grad.backward()
    assert adjoint.grad.item() == 4


# --- one tensor, several uses


@pytest.mark.parametrize("create_graph", [True, False])
def test_trap_both_uses_of_a_tensor_count(mode, create_graph):
    x = Tensor([3.0])
    (x.exp() + x * 5).backward(create_graph=create_graph)
    assert x.grad.item() == pytest.approx(math.exp(3) + 5)


@pytest.mark.parametrize("create_graph", [True, False])
def test_trap_a_tensor_that_is_both_inputs_of_an_op(mode, create_graph):
    for function, slope in [
        (lambda x: x * x, 6),
        (lambda x: x + x, 2),
        (lambda x: x / x, 0),
        (lambda x: x - x, 0),
    ]:
        x = Tensor([3.0])
        function(x).backward(create_graph=create_graph)
        assert x.grad.item() == slope


@pytest.mark.parametrize("create_graph", [True, False])
def test_many_uses_of_one_tensor(mode, create_graph):
    x = Tensor([1.0, 2.0])
    total = x * 0
    for factor in range(1, 8):
        total = total + x * factor
    total.backward(create_graph=create_graph)
    np.testing.assert_array_equal(x.grad.numpy(), [28, 28])


def test_diamonds_on_diamonds_are_walked_once(mode):
    x = Tensor([1.0])
    y = x
    for _ in range(60):  # 2⁶⁰ paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60
    assert y.item() == 2.0**60


# --- the adjoint of the output


def test_several_elements_are_summed():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    (x * x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[2, 4], [6, 8]])


@pytest.mark.parametrize("kind", [Tensor, np.array, list])
def test_out_grad_weighs_the_elements(kind):
    x = Tensor([1.0, 2.0])
    (x * x).backward(kind([10.0, 100.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [20, 400])


def test_trap_out_grad_of_zero_is_not_taken_for_none():
    x = Tensor([3.0])
    (x * x).backward(Tensor([0.0]))
    assert x.grad.item() == 0


def test_fraction_as_out_grad_of_integers_is_not_cut_off():
    x = Tensor([6])
    (x * x).backward(np.array([0.5]))
    assert x.grad.item() == 6


# --- branches that need no gradient


def test_branches_without_gradient_are_skipped():
    calls = []

    class Recorded(ndl.TensorOp):
        def compute(self, a):
            return a * 2

        def gradient(self, out_grad, node):
            calls.append(node)
            return out_grad * 2

    x, constant = Tensor([1.0]), Tensor([1.0], requires_grad=False)
    with ndl.lazy_mode():  # which keeps the op of a constant
        needed, unneeded = Recorded()(x), Recorded()(constant)
        (needed * unneeded).backward()
    assert [node is needed for node in calls] == [True]


def test_matmul_computes_no_adjoint_that_nobody_needs():
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((3, 2)), requires_grad=False)
    product = a @ b
    adjoint_a, adjoint_b = product.op.gradient_as_tuple(Tensor(np.ones((2, 2))), product)
    assert adjoint_a.shape == (2, 3)
    assert adjoint_b is None


# --- dtypes


def test_leaf_gets_the_gradient_in_its_own_dtype():
    single, double = Tensor([2.0], dtype="float32"), Tensor([3.0], dtype="float64")
    (single * double * single).backward()
    assert (single.grad.dtype, double.grad.dtype) == (np.float32, np.float64)
    assert (single.grad.item(), double.grad.item()) == (12, 4)


@pytest.mark.parametrize("scalar", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)])
def test_scalars_widen_no_tensor(scalar):
    x = Tensor([2.0], dtype="float32")
    values = (
        *(scalar * x, x * scalar, scalar + x, x + scalar, scalar - x, x - scalar),
        *(scalar / x, x / scalar, scalar**x, x**scalar),
        *(ndl.maximum(x, scalar), ndl.where(x > scalar, x, scalar)),
    )
    for value in values:
        assert value.dtype == np.float32
        value.backward()
        assert x.grad.dtype == np.float32


def test_integer_tensors_may_require_gradients():
    x = Tensor([6])
    assert x.dtype.kind == "i"
    (x * x).backward()
    assert x.grad.item() == 12
    (x / 4).backward()
    assert x.grad.item() == 0.25
    (x.astype("float32") * 0.5).backward()
    assert x.grad.item() == 0.5


# --- errors


def test_backward_without_a_graph_is_refused():
    for constant in (
        Tensor([1.0], requires_grad=False),
        Tensor([1.0]).detach() * 2,
        Tensor([1.0]) > 0,
    ):
        with pytest.raises(RuntimeError, match=r"backward\(\) on a tensor without a graph"):
            constant.backward()


def test_out_grad_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"out_grad of shape \(3,\) for a tensor of \(2,\)"):
        Tensor([1.0, 2.0]).backward(Tensor([1.0, 2.0, 3.0]))
