"""Tuples of tensors as values of the graph."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, TensorTuple, ops
from needle.autograd import compute_adjoints, modes


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


# --- entries used one by one


def weighted_uses(rows):
    """Uses of a tuple of three, and the weights that they give to its entries."""
    scale = Tensor([[1.0], [10.0], [100.0]])
    return [
        (lambda: rows[0] * 2 + rows[-1] * 3, [2, 0, 3]),
        (lambda: rows[2] * 5 + rows[-1] * 7, [0, 0, 12]),
        (lambda: (ndl.stack(rows) * scale).sum(0), [1, 10, 100]),
    ]


@pytest.mark.parametrize("create_graph", [True, False])
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (2, 0, 2)])
def test_uses_of_entries_and_of_the_whole_add_up(mode, create_graph, repeats, order):
    x = Tensor(np.arange(6.0).reshape(3, 2))
    uses = weighted_uses(ndl.split(x))
    chosen = [uses[number] for number in order] * repeats
    total = chosen[0][0]()
    for use, _ in chosen[1:]:
        total = total + use()
    total.backward(create_graph=create_graph)
    expected = np.sum([weights for _, weights in chosen], axis=0)
    np.testing.assert_array_equal(x.grad.numpy(), np.repeat(expected[:, None], 2, axis=1))


@pytest.mark.parametrize("use_whole", [False, True])
@pytest.mark.parametrize("create_graph", [True, False])
def test_backward_through_entries_takes_time_in_proportion(create_graph, use_whole):
    """The values made on the way back: for twice the entries twice as many."""

    def values_made(count):
        rows = ndl.split(Tensor(np.ones((count, 2))))
        total = ndl.stack(rows).sum(0) if use_whole else rows[0]
        for row in rows:
            total = total + row * row
        made = []
        with modes.override(modes.observers, (lambda value, op, inputs: made.append(value),)):
            total.backward(create_graph=create_graph)
        return len(made)

    assert values_made(80) < 2.2 * values_made(40)


def test_second_derivatives_pass_through_many_entries(mode):
    values = np.arange(1.0, 9.0)
    x = Tensor(values)
    entries = ndl.split(x)
    total = entries[0] ** 3
    for entry in list(entries)[1:]:
        total = total + entry**3
    total.backward()
    (x.grad * x.grad / 2).sum().backward()  # Σ (3·x²)²/2
    np.testing.assert_allclose(x.grad.numpy(), 18 * values**3)


def test_forward_mode_passes_through_the_adjoints_of_entries(mode):
    def f(x):
        entries = ndl.split(x)
        return entries[0] ** 2 * entries[-1] + ndl.stack(entries).sum() ** 2

    x, way = Tensor([2.0, 3.0, 5.0]), Tensor([1.0, 10.0, 100.0])
    _, tangent = ndl.jvp(ndl.grad(f), (x,), (way,))
    hessian = np.array([[10.0, 0, 4], [0, 0, 0], [4, 0, 0]]) + 2
    np.testing.assert_allclose(tangent.numpy(), hessian @ way.numpy())
    np.testing.assert_allclose(ndl.hessian(f)(x).numpy(), hessian)


def test_hooks_and_variables_see_a_tuple(mode):
    rows = ndl.split(Tensor(np.ones((3, 2))))
    seen = []
    rows.register_hook(seen.append)
    rows.retain_grad()
    y = rows[1] * 2 + rows[1] * 3
    y.backward()
    (found,) = compute_adjoints([y], [Tensor(np.ones(2))], [rows])
    for adjoint in (*seen, rows.grad, found):
        assert isinstance(adjoint, TensorTuple)
        assert [entry.numpy().tolist() for entry in adjoint] == [[0, 0], [5, 5], [0, 0]]


def test_one_adjoint_of_two_tuples_is_not_added_to_in_place(mode):
    class Difference(ndl.TensorTupleOp):
        """a - b, whose gradient hands one tuple on; b's adjoint is not what it should be."""

        def compute(self, a, b):
            return tuple(x - y for x, y in zip(a, b, strict=True))

        def gradient(self, out_grad, node):
            return out_grad, out_grad

    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    a, b = ndl.split(x), ndl.split(y)
    difference = Difference()(a, b)
    (difference[0] + a[0] * 10 + a[1] * 100 + a[1] * 1000).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [11, 1100])
    np.testing.assert_array_equal(y.grad.numpy(), [1, 0])


def test_anomaly_in_the_adjoint_of_an_entry_is_found():
    rows = ndl.split(Tensor([[0.0], [1.0]]))
    with (
        ndl.detect_anomaly(),
        pytest.raises(FloatingPointError, match="backward of TupleGetItem made infinity"),
    ):
        rows[1].backward(Tensor([np.inf]))


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
