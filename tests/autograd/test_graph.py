"""The graph: what is recorded, in which order it is walked, and how ops join it."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.autograd import Op, TensorOp, Value, find_topo_sort


def test_values_are_listed_inputs_first():
    a, b = Tensor([2.0]), Tensor([3.0])
    c = 3 * a * a + 4 * b * a - a
    order = find_topo_sort([c])
    expected = [a, 3 * a, 3 * a * a, b, 4 * b, 4 * b * a, 3 * a * a + 4 * b * a, -a, c]
    assert [node.item() for node in order] == [value.item() for value in expected]
    assert order[0] is a
    assert order[3] is b
    assert order[-1] is c
    names = [type(node.op).__name__ for node in order]
    leaf, times_number, times = "NoneType", "MulScalar", "EWiseMul"
    plus, minus = "EWiseAdd", "Negate"
    assert names == [
        *(leaf, times_number, times),
        *(leaf, times_number, times),
        *(plus, minus, plus),
    ]


def test_topological_order_of_several_outputs_lists_each_value_once():
    x = Tensor([1.0])
    y, z = x + 1, x * x
    order = find_topo_sort([y, z, y])
    assert [id(node) for node in order] == [id(node) for node in (x, y, z)]


def test_inputs_come_before_their_users_in_any_graph():
    rng = np.random.default_rng(0)
    values = [Tensor([1.0]), Tensor([2.0])]
    for _ in range(60):
        left, right = rng.integers(len(values), size=2)
        values.append(values[left] + values[right])
    position = {node: place for place, node in enumerate(find_topo_sort(values[-3:]))}
    assert len(position) > 30
    for node, place in position.items():
        assert all(position[operand] < place for operand in node.inputs)


def test_there_is_no_subtraction_op():
    a, b = Tensor([5.0]), Tensor([2.0])
    difference = a - b
    assert type(difference.op) is ops.EWiseAdd
    assert type(difference.inputs[1].op) is ops.Negate
    from_number = a - 2
    assert type(from_number.op) is ops.AddScalar
    assert from_number.op.scalar == -2


def test_operators_make_the_ops_they_are_named_for():
    a, b = Tensor([2.0]), Tensor([3.0])
    made = {
        ops.EWiseAdd: a + b,
        ops.AddScalar: 1 + a,
        ops.EWiseMul: a * b,
        ops.MulScalar: 2 * a,
        ops.EWiseDiv: 1 / a,
        ops.DivScalar: a / 2,
        ops.EWisePow: 2**a,
        ops.PowerScalar: a**2,
        ops.MatMul: a @ b,
        ops.Negate: -a,
        ops.Abs: abs(a),
        ops.GetItem: a[0],
    }
    assert {op: type(value.op) for op, value in made.items()} == {op: op for op in made}


def test_leaves_and_results():
    x = Tensor([1.0])
    y = x + 1
    assert x.is_leaf()
    assert x.op is None
    assert x.inputs == ()
    assert not y.is_leaf()
    assert y.inputs[0] is x
    assert isinstance(y.op, Op)
    assert isinstance(y, Value)


def test_nothing_is_recorded_where_no_gradient_is_needed():
    constant = Tensor([1.0], requires_grad=False)
    result = constant * 2 + constant
    assert result.is_leaf()
    assert result.inputs == ()
    assert not result.requires_grad
    assert (constant + Tensor([1.0])).requires_grad


def test_make_const_wraps_and_make_from_op_computes():
    array = np.array([1.0, 2.0])
    constant = Tensor.make_const(array)
    assert constant.cached_data is array
    assert not constant.requires_grad
    assert Tensor.make_const(array, requires_grad=True).requires_grad
    doubled = Tensor.make_from_op(ops.MulScalar(2), [constant])
    np.testing.assert_array_equal(doubled.cached_data, [2, 4])


def test_a_user_writes_an_op():
    class Cube(TensorOp):
        def compute(self, a):
            return a**3

        def gradient(self, out_grad, node):
            return out_grad * 3 * node.inputs[0] ** 2

    x = Tensor([2.0, -1.0])
    Cube()(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [12, 3])
    x.grad.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [12, -6])


def test_gradient_as_tuple_is_a_tuple():
    x = Tensor([2.0])
    one, two = x * 3, x * x
    adjoint = Tensor([1.0])
    assert [a.item() for a in one.op.gradient_as_tuple(adjoint, one)] == [3]
    assert [a.item() for a in two.op.gradient_as_tuple(adjoint, two)] == [2, 2]


@pytest.mark.parametrize(
    ("adjoints", "text"),
    [
        (lambda g: (g, g), "2 adjoints for 1 inputs"),
        (lambda g: g.sum(), r"an adjoint of shape \(\) for an input of shape \(2,\)"),
    ],
)
def test_wrong_gradient_of_a_users_op_is_refused(adjoints, text):
    class Wrong(TensorOp):
        def compute(self, a):
            return a * 1

        def gradient(self, out_grad, node):
            return adjoints(out_grad)

    with pytest.raises(ValueError, match=rf"Wrong.gradient returned {text}"):
        Wrong()(Tensor([1.0, 2.0])).backward()


def test_error_of_a_users_op_names_the_op_and_keeps_its_cause():
    class Picky(TensorOp):
        def compute(self, a):
            raise ValueError("not today")

    with pytest.raises(ValueError, match=r"Picky of shape \(2,\): not today") as caught:
        Picky()(Tensor([1.0, 2.0]))
    assert isinstance(caught.value.__cause__, ValueError)


def test_attribute_error_inside_an_op_is_the_users_to_see():
    class Mistaken(TensorOp):
        def compute(self, a):
            return a.no_such_attribute

    with pytest.raises(AttributeError, match="no_such_attribute"):
        Mistaken()(Tensor([1.0]))


@pytest.mark.parametrize("operand", [[Tensor(1.0)], [[1.0], 2.0], "1", None, object()])
def test_operand_that_is_no_tensor_is_refused(operand):
    kind = type(operand).__name__
    with pytest.raises(TypeError, match=f"EWiseAdd expected a Tensor .* operand 1, got {kind}"):
        ndl.add(Tensor([1.0]), operand)
