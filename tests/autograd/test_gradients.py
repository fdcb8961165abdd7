"""Where gradients are stored, and in whose memory."""

import math

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorTuple
from needle.autograd import compute_gradient_of_variables, modes


@pytest.mark.parametrize("create_graph", [True, False])
def test_trap_no_adjoint_is_added_to_in_place_that_another_branch_holds(create_graph):
    # the adjoint of the sum goes to a and b as it is; what comes to a later must not reach b
    a, b = Tensor([1.0]), Tensor([1.0])
    (a + b + a * 10 + a * 100 + a * 1000).backward(create_graph=create_graph)
    assert (a.grad.item(), b.grad.item()) == (1111, 1)

    a, b = Tensor([1.0]), Tensor([1.0])
    middle = a + b
    middle.retain_grad()
    (middle + middle + middle + a + a + a).backward(create_graph=create_graph)
    assert (middle.grad.item(), a.grad.item(), b.grad.item()) == (3, 6, 3)


@pytest.mark.parametrize("create_graph", [True, False])
def test_the_callers_adjoint_is_left_alone(create_graph):
    x, adjoint = Tensor([1.0]), Tensor([1.0], requires_grad=False)
    (x + x + x + x).backward(adjoint, create_graph=create_graph)
    assert adjoint.item() == 1
    assert x.grad.item() == 4


@pytest.mark.parametrize("create_graph", [True, False])
@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: b + a.reshape((3, 2)).reshape((2, 3)),
        lambda a, b: a.transpose() + b.transpose(),
        lambda a, b: ndl.identity(a) + b * 1.0,
        lambda a, b: (a + b).sum(),
        lambda a, b: a.sum() + b.sum(),
        lambda a, b: sum(ndl.split(ndl.concatenate([a, b]))),
        lambda a, b: a.exp().log() + (a * b + b) + b,
    ],
)
def test_gradients_have_memory_of_their_own(mode, function, create_graph):
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((2, 3)))
    output = function(a, b)
    adjoint = Tensor(np.ones(output.shape))
    output.backward(adjoint, create_graph=create_graph)
    assert a.grad is not b.grad
    expected = [x.grad.numpy() for x in (a, b)]
    for x in (a, b):
        x.grad.realize_cached_data()[...] *= 10
        x.grad.data = x.grad.data * 10
    for x, gradient in zip((a, b), expected, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), gradient * 100)
    np.testing.assert_array_equal(adjoint.numpy(), np.ones(output.shape))


@pytest.mark.parametrize("create_graph", [True, False])
def test_retained_gradients_have_memory_of_their_own(mode, create_graph):
    a, b, adjoint = Tensor([1.0]), Tensor([2.0]), Tensor([5.0])
    total = a + b
    total.retain_grad()
    total.backward(adjoint, create_graph=create_graph)
    total.grad.realize_cached_data()[...] = 7
    assert [x.item() for x in (total.grad, a.grad, b.grad, adjoint)] == [7, 5, 5, 5]


def test_gradients_with_memory_of_their_own_are_not_copied():
    x, w, b = Tensor(np.ones((4, 3))), Tensor(np.ones((3, 2))), Tensor(np.ones((1, 2)))
    output = (x @ w + b).relu().sum()
    made = []
    with modes.override(modes.observers, (lambda value, op, inputs: made.append(type(op)),)):
        output.backward(create_graph=False)
    assert ndl.MulScalar not in made


def test_a_copied_gradient_is_differentiated(mode):
    a, b = Tensor([2.0]), Tensor([3.0])
    ((a + b) ** 3).backward()
    for gradient in (a.grad, b.grad):
        gradient.backward()
        assert (a.grad.item(), b.grad.item()) == (30, 30)


def test_gradients_of_tuples_may_be_one():
    leaves = [TensorTuple.make_const((np.ones(2), np.ones(3)), True) for _ in range(2)]

    class First(ndl.TensorTupleOp):
        def compute(self, a, b):
            return a

        def gradient(self, out_grad, node):
            return out_grad, out_grad

    First()(*leaves)[1].backward()
    assert [[entry.numpy().sum() for entry in leaf.grad] for leaf in leaves] == [[0, 3], [0, 3]]


def test_adjoints_of_several_dtypes_add_up_without_a_graph():
    x = Tensor([2])
    (x**x + (x + x)).backward(create_graph=False)
    assert x.grad.item() == pytest.approx(4 * (1 + math.log(2)) + 2)


# --- where gradients are stored


def test_a_new_backward_replaces_the_gradient():
    x = Tensor([3.0])
    (x * x).backward()
    with pytest.warns(ndl.GradientReplacedWarning, match="accumulate"):
        (x * 2).backward()
    assert x.grad.item() == 2


@pytest.mark.parametrize("use", ["read", "reset", "another is read", "accumulated"])
def test_nothing_warns_of_gradients_that_were_used(use):
    x, w = Tensor([3.0]), Tensor([2.0])
    for _ in range(2):
        (x * w).backward(accumulate=use == "accumulated")
        if use == "read":
            assert x.grad is not None
        elif use == "reset":
            x.grad = w.grad = None
        elif use == "another is read":  # a step reads those of parameters, not those of the data
            assert w.grad is not None


def test_gradients_are_added_on_request():
    x = Tensor([3.0])
    with ndl.accumulate_gradients():
        (x * x).backward()
        first = x.grad
        (x * 2).backward()
    assert x.grad.item() == 8
    assert first.item() == 6  # another array
    (x * 2).backward(accumulate=True, retain_graph=True)
    assert x.grad.item() == 10


def test_a_leaf_without_adjoint_loses_its_old_gradient():
    x, b = Tensor([1.0, -2.0]), Tensor([1.0, 1.0])
    (ndl.relu(x) + b).sum().backward()
    (x.grad * x.grad).sum().backward()  # relu is linear: nothing comes back
    assert x.grad is None
    (ndl.relu(x) * 2 + b).sum().backward()
    x.grad.sum().backward(accumulate=True)
    np.testing.assert_array_equal(x.grad.numpy(), [2, 0])


def test_gradients_are_stored_on_leaves_that_require_them():
    x, constant = Tensor([1.0]), Tensor([2.0], requires_grad=False)
    middle = x * constant
    (middle * middle).backward()
    assert x.grad.item() == 8
    assert constant.grad is None
    assert middle.grad is None


def test_retain_grad_stores_the_gradient_of_a_result(mode):
    x = Tensor([3.0])
    middle = x * x
    middle.retain_grad()
    (middle * 2).backward()
    assert (middle.grad.item(), x.grad.item()) == (2, 12)
    output = x * 2
    output.retain_grad()
    output.backward()
    assert output.grad.item() == 1


def test_a_leaf_is_its_own_gradient():
    x = Tensor([3.0, 4.0])
    x.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1])


@pytest.mark.parametrize("create_graph", [False, True])
def test_retained_gradients_are_accumulated_too(create_graph):
    middle = Tensor([1.0, 2.0]) * 2
    middle.retain_grad()
    middle.retain_grad()  # once is enough
    for factor in (3, 5):
        (middle * factor).sum().backward(create_graph=create_graph, accumulate=True)
    np.testing.assert_array_equal(middle.grad.numpy(), [8, 8])
    (middle * 7).sum().backward()  # no warning: one of the gradients was read
    np.testing.assert_array_equal(middle.grad.numpy(), [7, 7])


def test_retained_gradients_are_those_after_all_hooks():
    middle = Tensor([1.0, 2.0]) * 2
    middle.retain_grad()
    middle.register_hook(lambda adjoint: adjoint * 10)
    middle.sum().backward()
    np.testing.assert_array_equal(middle.grad.numpy(), [10, 10])


def test_compute_gradient_of_variables_stores():
    x = Tensor([3.0])
    y = x * x
    compute_gradient_of_variables(y, Tensor([10.0]))
    assert x.grad.item() == 60
    compute_gradient_of_variables(y, Tensor([1.0]))
    assert x.grad.item() == 6


def test_gradient_can_be_asked_for_later():
    x = Tensor([1.0], requires_grad=False)
    x.requires_grad = True
    (x * 2).backward()
    assert x.grad.item() == 2
