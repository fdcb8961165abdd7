"""The names and signatures that code written for needle relies on."""

import inspect
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.ops import kinds

FUNCTIONS = {
    "add": ("EWiseAdd", "a, b"),
    "add_scalar": ("AddScalar", "a, scalar"),
    "multiply": ("EWiseMul", "a, b"),
    "mul_scalar": ("MulScalar", "a, scalar"),
    "power": ("EWisePow", "a, b"),
    "power_scalar": ("PowerScalar", "a, scalar"),
    "divide": ("EWiseDiv", "a, b"),
    "divide_scalar": ("DivScalar", "a, scalar"),
    "negate": ("Negate", "a"),
    "log": ("Log", "a"),
    "exp": ("Exp", "a"),
    "relu": ("ReLU", "a"),
    "tanh": ("Tanh", "a"),
    "matmul": ("MatMul", "a, b"),
    "summation": ("Summation", "a, axes"),
    "broadcast_to": ("BroadcastTo", "a, shape"),
    "reshape": ("Reshape", "a, shape"),
    "transpose": ("Transpose", "a, axes"),
    "logsumexp": ("LogSumExp", "a, axes"),
    "logsoftmax": ("LogSoftmax", "a"),
    "make_tuple": ("MakeTensorTuple", "args"),
    "tuple_get_item": ("TupleGetItem", "value, index"),
    "stack": ("Stack", "args, axis"),
    "split": ("Split", "a, axis"),
    "flip": ("Flip", "a, axes"),
}

NUMPYS = [
    "sqrt", "sin", "cos", "abs", "sigmoid", "maximum", "minimum", "where", "clip", "mean", "var",
    "max", "min", "softmax", "expand_dims", "squeeze", "concatenate", "argmax", "astype",
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_their_classes(name):
    op, parameters = FUNCTIONS[name]
    assert issubclass(getattr(ops, op), ndl.Op)
    assert getattr(ndl, op) is getattr(ops, op)
    function = getattr(ops, name)
    assert getattr(ndl, name) is function
    given = list(inspect.signature(function).parameters)
    expected = parameters.split(", ")
    assert given[: len(expected)] == expected


def test_fused_add_scalars_takes_two_numbers():
    assert list(inspect.signature(ndl.fused_add_scalars).parameters)[1:] == ["c0", "c1"]
    assert issubclass(ndl.FusedAddScalars, ndl.TensorTupleOp)


@pytest.mark.parametrize("name", NUMPYS)
def test_functions_that_numpy_users_expect(name):
    assert callable(getattr(ndl, name))


def test_ops_are_made_from_their_parameters():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert ops.Summation(axes=(0,))(x).shape == (3,)
    assert ops.Summation(1)(x).shape == (2,)
    assert ops.LogSumExp(axes=(1,))(x).shape == (2,)
    assert ops.Transpose(axes=(0, 1))(x).shape == (3, 2)
    assert ops.Reshape((3, 2))(x).shape == (3, 2)
    assert ops.BroadcastTo((4, 2, 3))(x).shape == (4, 2, 3)
    assert ops.Flip(axes=(0,))(x).shape == (2, 3)
    assert len(ops.Split(1)(x)) == 3
    assert ops.PowerScalar(2)(x)[1, 2].item() == 25
    assert ops.AddScalar(1).compute(np.array([1.0])) == 2


def test_logsoftmax_of_a_matrix_is_over_its_rows():
    np.testing.assert_allclose(ndl.logsoftmax(Tensor(np.zeros((2, 4)))).numpy(), -np.log(4))


@pytest.mark.parametrize("name", ["add", "add_scalar", "greater_equal", "log", "matmul", "relu"])
def test_functions_made_from_ops_are_functions(name):
    function = getattr(ops, name)
    assert inspect.isfunction(function)
    assert (function.__name__, function.__qualname__) == (name, name)
    assert getattr(inspect.getmodule(function), name) is function
    assert pickle.loads(pickle.dumps(function)) is function
    assert "djoint" in function.__doc__ or "o gradient" in function.__doc__


@pytest.mark.parametrize("op", [ops.Log, ops.Equal, ops.Negate, ops.Tanh])
def test_ops_from_tables_are_classes_of_their_modules(op):
    assert issubclass(op, kinds.Elementwise)
    assert getattr(inspect.getmodule(op), op.__name__) is op
    assert type(pickle.loads(pickle.dumps(op()))) is op
    assert op().key == op().key


def test_functions_made_from_ops_take_numbers_and_arrays():
    assert ops.relu(-1.0).item() == 0
    assert ops.add(np.array([1.0]), 2).item() == 3
    assert ops.add(1, Tensor([2.0])).item() == 3
    assert ops.mul_scalar(np.array([2.0]), 3).item() == 6
    with pytest.raises(TypeError, match="EWiseAdd expected a Tensor of real numbers as operand 1"):
        ops.add(Tensor(1.0), "2")


def test_numpy_numbers_as_parameters_widen_no_tensor():
    x = Tensor(np.ones(3, np.float32))
    for function in (ops.leaky_relu, ops.elu, ops.softplus, ops.clip, ops.add_scalar):
        assert function(x, np.float64(0.5)).dtype == np.float32, function.__name__


@pytest.mark.parametrize("name", ["linear_tangent", "unbroadcast", "unary", "constant_like"])
def test_helpers_of_ops_are_not_exported(name):
    assert not hasattr(ndl, name)
