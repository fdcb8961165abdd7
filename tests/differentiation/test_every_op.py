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


def outputs_of(case):
    return lambda *inputs: case.outputs(inputs)


def gradients_of(case):
    numbers = tuple(range(len(case.shapes)))
    return ndl.grad(lambda *inputs: case.objective(inputs), numbers)


def check_tangent(function):
    """Of a function of one number, at 0."""
    gradcheck(ByForwardMode(function), Tensor(0.0), mode="random")


CHECKS = {
    ("reverse", "first"): lambda case: gradcheck(outputs_of(case), inputs_of(case)),
    ("reverse", "second"): lambda case: gradcheck(
        outputs_of(case), inputs_of(case), mode="random", order=2
    ),
    ("forward", "first"): lambda case: check_tangent(along_a_line(case, outputs_of(case))),
    ("forward", "second"): lambda case: check_tangent(
        tangent_of(along_a_line(case, outputs_of(case)))
    ),
}


def test_op_passes_gradcheck(case, mode, checked):
    for (direction, order), check in CHECKS.items():
        check(case)
        checked(case, direction, order)
    # second derivatives in both directions at once: the gradient's tangent, the tangent's gradient
    check_tangent(along_a_line(case, gradients_of(case)))
    gradcheck(tangent_of(along_a_line(case, outputs_of(case))), Tensor(0.0), mode="random")


def test_jvp_is_every_row_of_vjp_times_the_tangents(case, mode, close):
    rng = np.random.default_rng(2)
    inputs = inputs_of(case)
    directions = [Tensor(rng.normal(size=x.shape)) for x in inputs]

    function = outputs_of(case)
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
        values, tangents = ndl.jvp(outputs_of(case), inputs, inputs)
        for value, tangent in zip(values, tangents, strict=True):
            assert (tangent.dtype, tangent.shape) == (value.dtype, value.shape)
