"""Changes in place: under no_grad(), as in PyTorch; otherwise new values, or an error."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.autograd import Tensor


def test_an_update_by_hand_changes_the_parameter():
    weight = nn.Parameter(Tensor([1.0, 2.0], dtype="float32"))
    same, average = weight, Tensor([1.0, 1.0], requires_grad=False)
    kept = average
    (weight * weight).sum().backward()
    with ndl.no_grad():
        weight -= 0.1 * weight.grad
        average *= 0.9
        average += 0.1 * weight
    assert weight is same
    assert kept is average
    assert weight.dtype == np.float32
    assert weight.requires_grad
    np.testing.assert_allclose(weight.numpy(), [0.8, 1.6], rtol=1e-6)
    np.testing.assert_allclose(average.numpy(), [0.98, 1.06], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x.__iadd__(2), [3, 4]),
        (lambda x: x.__isub__(np.ones(2)), [0, 1]),
        (lambda x: x.__imul__(3), [3, 6]),
        (lambda x: x.__itruediv__(2), [0.5, 1]),
        (lambda x: x.__ipow__(2), [1, 4]),
        (lambda x: x.__imatmul__(np.array([[0.0, 1.0], [1.0, 0.0]])), [2, 1]),
        (lambda x: x.add_(Tensor([1.0, 2.0]), alpha=-0.5), [0.5, 1]),
        (lambda x: x.sub_(1, alpha=2), [-1, 0]),
        (lambda x: x.mul_(2).div_(4), [0.5, 1]),
        (lambda x: x.copy_(7), [7, 7]),
        (lambda x: x.fill_(2.5), [2.5, 2.5]),
        (lambda x: x.zero_(), [0, 0]),
        (lambda x: x.clamp_(min=1.5), [1.5, 2]),
        (lambda x: x.clamp_(0, 1), [1, 1]),
    ],
)
def test_the_same_tensor_and_array_change(mode, change, expected):
    x = Tensor([1.0, 2.0])
    array = x.realize_cached_data()
    with ndl.no_grad():
        assert change(x) is x
    assert x.realize_cached_data() is array
    np.testing.assert_array_equal(array, expected)


def test_while_a_graph_is_recorded_operators_make_new_values():
    x = former = Tensor([1.0])
    x += 1
    x *= 3
    assert former.item() == 1
    x.backward()
    assert former.grad.item() == 3


def test_while_a_graph_is_recorded_a_parameter_is_not_replaced():
    weight = nn.Parameter(Tensor([1.0]))
    with pytest.raises(RuntimeError, match=r"no_grad\(\)"):
        weight -= 0.1
    with pytest.raises(RuntimeError, match=r"no_grad\(\)"):
        weight.mul_(2)
    with pytest.raises(RuntimeError, match=r"no_grad\(\)"):
        Tensor([1.0], requires_grad=False).add_(weight)
    Tensor([1.0], requires_grad=False).add_(1)  # no gradient is lost


def test_shape_and_dtype_must_fit():
    x, whole = Tensor([1.0, 2.0]), Tensor([1, 2])
    with ndl.no_grad():
        with pytest.raises(ValueError, match=r"\(2,\) would become \(3, 2\)"):
            x += np.ones((3, 2))
        with pytest.raises(TypeError, match="int64 would become float64"):
            whole += 0.5
        with pytest.raises(ValueError, match="cannot change the shape"):
            x.copy_(np.ones(3))
        whole += 1
        x += np.ones(1)
    np.testing.assert_array_equal(whole.numpy(), [2, 3])
    np.testing.assert_array_equal(x.numpy(), [2, 3])


def test_numbers_keep_their_precision():
    whole = Tensor(np.array([1, 2]), requires_grad=False)
    assert whole.fill_(2**53 + 1).numpy().tolist() == [2**53 + 1] * 2
    assert whole.fill_(Tensor(7, requires_grad=False)).numpy().tolist() == [7, 7]
    with pytest.raises(ValueError, match="size"):
        whole.fill_([1, 2])


def test_without_gradients_operators_change_the_tensor():
    velocities = [ndl.zeros(2)]
    for velocity in velocities:
        velocity *= 0.9
        velocity += 1
    np.testing.assert_array_equal(velocities[0].numpy(), [1, 1])
    whole = former = Tensor([1, 2], requires_grad=False)
    whole += 0.5  # another dtype
    np.testing.assert_array_equal(whole.numpy(), [1.5, 2.5])
    np.testing.assert_array_equal(former.numpy(), [1, 2])
    constant = Tensor([1.0], requires_grad=False)
    constant += Tensor([2.0])
    assert constant.requires_grad


@pytest.mark.parametrize("requires_grad", [False, True])
def test_no_transformation_loses_a_derivative(requires_grad):
    x = Tensor([1.0, 2.0], requires_grad=requires_grad)

    def function(x):
        y, total = x * 2, ndl.zeros(2, dtype="float64")
        y += x
        y *= y
        total += y
        return total

    for derivative in (
        ndl.jvp(function, (x,), (ndl.init.ones(2, dtype="float64"),))[1],
        ndl.grad(lambda x: function(x).sum())(x),
        ndl.vjp(function, x)[1](ndl.init.ones(2, dtype="float64"))[0],
        ndl.vmap(ndl.grad(lambda x: (x.__iadd__(x * 2) ** 2).sum()))(x),
    ):
        np.testing.assert_allclose(derivative.numpy(), [18, 36])
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    with pytest.raises(RuntimeError, match="add_"):
        ndl.jvp(lambda x: (x * 2).add_(x), (x,), (x,))
