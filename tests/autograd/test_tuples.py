"""Tuples of tensors as values of the graph."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorTuple, ops


def test_tuple_has_length_entries_and_a_python_tuple():
    a, b = Tensor([1.0]), Tensor([2.0, 3.0])
    pair = ndl.make_tuple(a, b)
    assert isinstance(pair, TensorTuple)
    assert len(pair) == 2
    assert pair.shape == ((1,), (2,))
    assert pair[-1].shape == (2,)
    assert [entry.shape for entry in pair] == [(1,), (2,)]
    assert type(pair.tuple()) is tuple
    assert repr(pair).startswith("needle.TensorTuple(needle.Tensor([1.]")


def test_entries_of_made_tuples_are_the_tensors_themselves():
    a, b = Tensor([1.0]), Tensor([2.0])
    assert ndl.make_tuple(a, b)[1] is b


def test_tuples_are_added_entry_by_entry(mode):
    a, b = Tensor([1.0]), Tensor([2.0])
    total = ndl.make_tuple(a, b) + ndl.make_tuple(b, b)
    (total[0] * total[1]).backward()  # (a + b)·2b
    assert (a.grad.item(), b.grad.item()) == (4, 10)


def test_detached_tuple_stands_outside_the_graph():
    x = Tensor([1.0, 2.0])
    halves = ndl.split(x).detach()
    assert halves.is_leaf()
    assert not halves[0].requires_grad
    assert halves[1].item() == 2


def test_adjoints_pass_through_make_tuple_and_tuple_get_item(mode):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    rows = ndl.split(x, 0)
    (rows[0] * rows[1] + rows[0]).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[4, 5], [1, 2]])


def test_second_derivative_passes_through_tuples(mode):
    x = Tensor([2.0, 3.0])
    first, second = ndl.split(x)
    (first * first * second).backward()
    x.grad[0].backward()  # 2·x0·x1
    np.testing.assert_array_equal(x.grad.numpy(), [6, 4])


def test_unused_entries_get_zeros(mode):
    x = Tensor(np.arange(6.0).reshape(3, 2))
    ndl.split(x)[1].backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 0], [1, 1], [0, 0]])


def test_fused_add_scalars(mode):
    x = Tensor([1.0], dtype="float32")
    pair = ndl.fused_add_scalars(x, np.float64(10), 20)
    assert (pair[0].item(), pair[1].item()) == (11, 21)
    assert (pair[0].dtype, pair[1].dtype) == (np.float32, np.float32)
    (pair[0] * pair[1]).backward()
    assert x.grad.item() == 32


def test_stack_undoes_split(mode):
    x = Tensor(np.arange(6.0).reshape(2, 3))
    for axis in (0, 1, -1):
        pieces = ndl.split(x, axis)
        assert len(pieces) == x.shape[axis]
        stacked = ndl.stack(pieces, axis)
        np.testing.assert_array_equal(stacked.numpy(), x.numpy())
        (stacked * stacked).backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())


def test_gradient_flows_past_constant_entries():
    x, constant = Tensor([1.0]), Tensor([2.0], requires_grad=False)
    ndl.stack([x, constant]).backward(Tensor([[3.0], [5.0]]))
    assert x.grad.item() == 3
    assert constant.grad is None


def test_lazy_entry_waits():
    with ndl.lazy_mode():
        halves = ndl.split(Tensor([1.0, 2.0]))
        second = halves[1]
        assert halves.cached_data is None
        assert second.cached_data is None
    assert second.item() == 2


def test_entry_that_is_not_there():
    made, split = ndl.make_tuple(Tensor([1.0])), ndl.split(Tensor([1.0, 2.0]))
    for value, index, size in ((made, 1, 1), (made, -2, 1), (split, 2, 2), (split, -3, 2)):
        with pytest.raises(IndexError, match=f"entry {index} of a tuple of {size} tensors"):
            value[index]


def test_entry_that_is_no_integer():
    for value in (ndl.make_tuple(Tensor([1.0])), ndl.split(Tensor([1.0, 2.0]))):
        with pytest.raises(TypeError, match=r"tuple of tensors has an integer, got slice\(0, 1"):
            value[0:1]


def test_tuples_of_unequal_length_do_not_add():
    with pytest.raises(ValueError, match="2 and 1 entries"):
        ndl.split(Tensor([1.0, 2.0])) + ndl.make_tuple(Tensor([1.0]))


def test_op_of_tuples_by_a_user():
    class Swap(ndl.TensorTupleOp):
        def compute(self, arrays):
            return arrays[::-1]

        def gradient(self, out_grad, node):
            return Swap()(out_grad)

    x = Tensor([2.0, 3.0])
    swapped = Swap()(ops.split(x))
    (swapped[0] * swapped[0]).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 6])
