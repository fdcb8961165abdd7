"""Every op × {eager, lazy} × {forward, reverse} × {first, second order} against differences.

The ops are those of the table in tests/ops, and four such as users write: `compute` and
`gradient`, no more. pytest prints how many combinations were checked.
"""

import numpy as np

import needle as ndl
from needle import Tensor
from needle.testing import gradcheck


def inputs_of(case):
    return [Tensor(array) for array in case.arrays()]


def tangent_of(function):
    """The tangent of a function of one number, as a function of that number."""
    return lambda s: ndl.jvp(function, (s,), (Tensor.make_const(np.ones(s.shape)),))[1]


def along_a_line(case, function):
    """s ↦ function(inputs + s·direction): its tangent is that of all inputs together."""
    rng = np.random.default_rng(1)
    arrays = case.arrays()
    directions = [rng.normal(size=array.shape) for array in arrays]
    return lambda s: function(
        *[
            Tensor.make_const(array) + s * direction
            for array, direction in zip(arrays, directions, strict=True)
        ]
    )


class ByForwardMode(ndl.TensorTupleOp):
    """A function of one number whose gradient is its tangent, so that gradcheck sees forward mode.

    gradcheck differentiates backward; on its way back through this op it meets a `jvp`.
    """

    def __init__(self, function):
        self.function = function

    def compute(self, s):
        with ndl.no_grad():
            return tuple(y.realize_cached_data() for y in self.function(Tensor.make_const(s)))

    def gradient(self, out_grad, node):
        tangents = tangent_of(self.function)(node.inputs[0])
        terms = [(g * tangent).sum() for g, tangent in zip(out_grad, tangents, strict=True)]
        return sum(terms[1:], start=terms[0])


def test_reverse_mode_passes_gradcheck(case, mode, checked):
    def function(*inputs):
        return case.outputs(inputs)

    gradcheck(function, inputs_of(case))
    checked("reverse", "first")
    gradcheck(function, inputs_of(case), mode="random", order=2)
    checked("reverse", "second")


def test_forward_mode_passes_gradcheck(case, mode, checked):
    function = along_a_line(case, lambda *inputs: case.outputs(inputs))
    gradcheck(ByForwardMode(function), Tensor(0.0), mode="random")
    checked("forward", "first")
    gradcheck(ByForwardMode(tangent_of(function)), Tensor(0.0), mode="random")
    checked("forward", "second")


def test_both_directions_mixed_pass_gradcheck(case, mode):
    def gradients(*inputs):
        numbers = range(len(inputs))
        return ndl.grad(lambda *inputs: case.objective(inputs), tuple(numbers))(*inputs)

    gradcheck(ByForwardMode(along_a_line(case, gradients)), Tensor(0.0), mode="random")
    function = along_a_line(case, lambda *inputs: case.outputs(inputs))
    gradcheck(tangent_of(function), Tensor(0.0), mode="random")


def test_jvp_is_every_row_of_vjp_times_the_tangents(case, mode, close):
    rng = np.random.default_rng(2)
    inputs = inputs_of(case)
    directions = [Tensor(rng.normal(size=x.shape)) for x in inputs]

    def function(*inputs):
        return case.outputs(inputs)

    values, tangents = ndl.jvp(function, inputs, directions)
    _, pull_back = ndl.vjp(function, *inputs)
    units = [np.zeros(value.shape) for value in values]
    for unit, tangent in zip(units, tangents, strict=True):
        for index in np.ndindex(unit.shape):
            unit[index] = 1
            row = pull_back([Tensor.make_const(each.copy()) for each in units])
            unit[index] = 0
            product = sum(
                (adjoint * direction).sum().item()
                for adjoint, direction in zip(row, directions, strict=True)
            )
            close(tangent[index], product, 1e-9)


def test_op_without_derivative_has_no_tangent():
    for function in (ndl.sign, ndl.argmax, lambda x: x > 0, ndl.stop_gradient):
        _, tangent = ndl.jvp(function, (Tensor([1.0, 2.0]),), (Tensor([1.0, 1.0]),))
        assert not tangent.numpy().any()


def test_tangent_has_the_shape_and_dtype_of_the_value(case):
    for dtype in (np.float32, np.float64):
        inputs = [Tensor(array) for array in case.arrays(dtype)]
        values, tangents = ndl.jvp(lambda *inputs: case.outputs(inputs), inputs, inputs)
        for value, tangent in zip(values, tangents, strict=True):
            assert (tangent.dtype, tangent.shape) == (value.dtype, value.shape)
