"""Bad input: a clear error at the call that made the mistake, with the shapes in its text."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops


def tensor(*shape):
    return Tensor(np.ones(shape))


ELEMENTWISE = [
    ops.add, ops.multiply, ops.divide, ops.power, ops.maximum, ops.minimum, ops.equal, ops.less,
    ops.logaddexp,
]  # fmt: skip


@pytest.mark.parametrize("function", ELEMENTWISE)
def test_shapes_that_do_not_broadcast(function):
    text = r"shapes \(2, 3\) and \(2, 4\) do not broadcast: .*equal lengths or length 1"
    with pytest.raises(ValueError, match=text):
        function(tensor(2, 3), tensor(2, 4))


def test_three_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\) and \(\) do not broadcast"):
        ops.where(tensor(2) > 0, tensor(3), tensor())


@pytest.mark.parametrize(
    ("left", "right", "text"),
    [
        ((2, 3), (4, 5), r"\(2, 3\) and \(4, 5\): the inner axes .* got 3 and 4"),
        ((3,), (4,), r"\(3,\) and \(4,\): the inner axes .* got 3 and 4"),
        ((2, 3, 4), (5, 4), r"\(2, 3, 4\) and \(5, 4\): the inner axes .* got 4 and 5"),
        ((2, 3, 4), (5, 4, 6), r"\(2, 3, 4\) and \(5, 4, 6\): the leading axes do not broadcast"),
        ((), (3,), r"\(\) and \(3,\): .*without axes has no matrix product: use \*"),
        ((2, 2), (), r"\(2, 2\) and \(\): .*without axes"),
    ],
)
def test_shapes_that_do_not_multiply(left, right, text):
    with pytest.raises(ValueError, match=f"MatMul of shape {text}"):
        tensor(*left) @ tensor(*right)


def test_matrix_product_with_a_number():
    with pytest.raises(ValueError, match="no matrix product"):
        tensor(2, 2) @ 3


WITH_AXES = {
    "sum": lambda x, axes: x.sum(axes),
    "max": lambda x, axes: x.max(axes),
    "min": lambda x, axes: x.min(axes),
    "mean": lambda x, axes: x.mean(axes),
    "var": lambda x, axes: x.var(axes),
    "logsumexp": lambda x, axes: x.logsumexp(axes),
    "softmax": lambda x, axes: x.softmax(axes),
    "logsoftmax": ndl.logsoftmax,
    "flip": lambda x, axes: x.flip(axes),
    "squeeze": lambda x, axes: x.squeeze(axes),
}


@pytest.mark.parametrize("name", WITH_AXES)
@pytest.mark.parametrize("axes", [2, -3, (0, 5)])
def test_axes_out_of_range(name, axes):
    wrong = axes[1] if isinstance(axes, tuple) else axes
    with pytest.raises(IndexError, match=f"axis {wrong} is out of range for 2 axes"):
        WITH_AXES[name](tensor(1, 1), axes)


@pytest.mark.parametrize("name", WITH_AXES)
@pytest.mark.parametrize("axes", [(0, 0), (1, -1)])
def test_axes_repeated(name, axes):
    with pytest.raises(ValueError, match=r"axes \(.*\) name an axis twice"):
        WITH_AXES[name](tensor(1, 1), axes)


@pytest.mark.parametrize("name", WITH_AXES)
@pytest.mark.parametrize("axes", ["a", 1.0, (0, 0.5)])
def test_axes_that_are_no_integers(name, axes):
    with pytest.raises(TypeError, match=r"integer.*, got"):
        WITH_AXES[name](tensor(1, 1), axes)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: tensor(2, 3).argmax(2), IndexError, "axis 2 is out of range for 2 axes"),
        (lambda: tensor(3).transpose(), IndexError, "out of range for 1 axes"),
        (lambda: tensor(2, 3).transpose((0, 2)), IndexError, "axis 2 is out of range"),
        (lambda: tensor(2, 3).transpose((0, 0)), ValueError, "name an axis twice"),
        (lambda: tensor(2, 3).transpose((0,)), ValueError, r"swaps two axes, got \(0,\)"),
        (lambda: tensor(2, 3, 4).transpose((0, 1, 2)), ValueError, "swaps two axes.*permute"),
        (lambda: tensor(2, 3).permute((0,)), ValueError, r"takes every axis once, got \(0,\)"),
        (lambda: tensor(2, 3).permute((0, 0)), ValueError, "name an axis twice"),
        (lambda: tensor(2, 3).permute((0, 2)), IndexError, "axis 2 is out of range"),
        (lambda: tensor(2).expand_dims((0, 0)), ValueError, "name an axis twice"),
        (lambda: tensor(2).expand_dims(2), IndexError, "axis 2 is out of range for 2 axes"),
        (lambda: tensor(2, 3).squeeze(0), ValueError, r"shape \(2, 3\) does not have length 1"),
        (lambda: ndl.stack([tensor(2), tensor(2)], 2), IndexError, "axis 2 is out of range"),
        (lambda: ndl.split(tensor(2), 1), IndexError, "axis 1 is out of range for 1 axes"),
        (lambda: ndl.split(tensor()), IndexError, "axis 0 is out of range for 0 axes"),
        (lambda: ndl.concatenate([tensor(2)], 1), IndexError, "axis 1 is out of range"),
    ],
)
def test_axes_of_views_and_tuples(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: tensor(2, 3).reshape((4, 2)),
            r"Reshape of shape \(2, 3\): its 6 elements do not fill shape \(4, 2\)",
        ),
        (lambda: tensor(2, 3).reshape(4, -1), r"6 elements do not fill shape \(4, -1\)"),
        (lambda: tensor(2, 3).reshape(-1, -1), r"6 elements do not fill shape \(-1, -1\)"),
        (lambda: tensor(2, 0).reshape(3), r"0 elements do not fill shape \(3,\)"),
        (
            lambda: tensor(2, 3).broadcast_to((3, 3)),
            r"BroadcastTo of shape \(2, 3\): it does not broadcast to \(3, 3\)",
        ),
        (lambda: tensor(2, 3).broadcast_to((3,)), r"does not broadcast to \(3,\)"),
        (lambda: tensor(3).broadcast_to((3, 2)), r"does not broadcast to \(3, 2\)"),
    ],
)
def test_shapes_of_another_size(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: ndl.stack([tensor(2), tensor(3)]),
            r"Stack of shape \(\(2,\), \(3,\)\): .*one shape, got \[\(2,\), \(3,\)\]",
        ),
        (lambda: ndl.stack([]), "one or more tensors"),
        (lambda: ndl.concatenate([]), "at least one tensor"),
        (
            lambda: ndl.concatenate([tensor(2, 3), tensor(2, 4)]),
            r"Concatenate of shape \(2, 3\) and \(2, 4\)",
        ),
        (
            lambda: ndl.concatenate([tensor(2, 3), tensor(2)]),
            r"Concatenate of shape \(2, 3\) and \(2,\)",
        ),
    ],
)
def test_tensors_that_do_not_join(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("shape", [(2.0, 3), "ab", None, (2, None)])
def test_shapes_that_are_no_integers(shape):
    for function in (ops.reshape, ops.broadcast_to):
        with pytest.raises(TypeError, match=r"shape|integer"):
            function(tensor(2, 3), shape)


def test_whole_numbers_have_no_negative_powers():
    with pytest.raises(ValueError, match=r"PowerScalar of shape \(1,\): Integers to negative"):
        Tensor([2]) ** -1


def test_number_that_does_not_fit_the_dtype():
    with pytest.raises(OverflowError, match="300 out of bounds for uint8"):
        Tensor(np.zeros(2, np.uint8)) + 300


@pytest.mark.parametrize("other", [np.complex128(1j), np.array([1j]), np.array(["a"])])
def test_operands_that_are_no_real_numbers(other):
    for call in (lambda: tensor(1) * other, lambda: other + tensor(1), lambda: tensor(1) > other):
        with pytest.raises(
            TypeError, match=r"unsupported operand|not support|of real numbers as operand"
        ):
            call()


def test_conversion_to_complex_numbers():
    with pytest.raises(TypeError, match="holds real numbers, not complex128"):
        tensor(1).astype(complex)


def test_failed_call_leaves_its_operands_usable(mode):
    a, b = tensor(2), tensor(3)
    with pytest.raises(ValueError, match="do not broadcast"):
        (a + b).numpy()
    (a * 2).backward()
    np.testing.assert_array_equal(a.grad.numpy(), [2, 2])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, axis: x.argmax(axis),
        ops.cumsum,
        ops.sort,
        ops.argsort,
        ops.split,
        lambda x, axis: ops.stack([x, x], axis),
        lambda x, axis: ops.concatenate([x, x], axis),
    ],
)
def test_functions_along_one_axis_refuse_several(function):
    with pytest.raises(ValueError, match=r"of shape .*expected one axis, got \(0, 1\)"):
        function(tensor(2, 3), (0, 1))
    with pytest.raises(TypeError, match=r"of shape .*axis: expected an integer or several, got"):
        function(tensor(2, 3), 1.0)
