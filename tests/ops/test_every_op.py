"""What holds for every op, run from the table in conftest.py."""

import inspect

import numdifftools
import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.autograd import Op, find_topo_sort
from needle.ops import facts, kinds


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def values(case):
    """What a case's function gives for Tensors, as a list."""
    value = case.function(*[Tensor(array) for array in case.arrays()])
    return list(value) if isinstance(value, tuple) else [value]


# --- the table


def test_every_public_op_is_in_the_table(all_cases):
    public = {
        item
        for item in (getattr(ops, name) for name in ops.__all__)
        if inspect.isclass(item) and issubclass(item, Op) and hasattr(item, "compute")
    }
    run = set()
    for case in all_cases:
        with ndl.lazy_mode():  # which keeps the ops of constants, too
            run |= {type(node.op) for node in find_topo_sort(values(case))}
    assert len(public) > 40
    assert sorted(op.__name__ for op in public - run) == []


def test_every_public_function_is_in_the_table(all_cases):
    functions = {
        name
        for name in ops.__all__
        if inspect.isfunction(getattr(ops, name))
        and name not in (*kinds.__all__, *facts.__all__, "multinomial")
    }
    assert functions - {case.name.split()[0] for case in all_cases} == set()


def test_every_op_states_its_formulas(all_cases):
    for name in ops.__all__:
        item = getattr(ops, name)
        assert (item.__doc__ or "").strip(), name
        if inspect.isclass(item) and issubclass(item, Op) and hasattr(item, "compute"):
            assert "djoint" in item.__doc__ or "o gradient" in item.__doc__, name


# --- values


def test_value_is_numpys(case, mode):
    arrays = case.arrays()
    outputs = case.outputs([Tensor(array) for array in arrays])
    for output, expected in zip(outputs, case.expected(arrays), strict=True):
        assert output.shape == expected.shape
        assert output.dtype == expected.dtype
        close(output.numpy(), expected, 1e-12)


def test_lazy_values_wait(all_cases):
    with ndl.lazy_mode():
        hasty = {
            case.name
            for case in all_cases
            if any(value.cached_data is not None for value in values(case))
        }
    assert hasty == set()


# --- derivatives


def test_first_derivative_is_that_of_differences(smooth_case, mode, numeric_gradient):
    arrays = smooth_case.arrays()
    expected = numeric_gradient(smooth_case.expected_objective, arrays)
    for gradient, numeric in zip(smooth_case.gradients(arrays), expected, strict=True):
        assert gradient.shape == numeric.shape
        close(gradient, numeric)


def test_second_derivative_is_that_of_differences_of_the_first(
    smooth_case, mode, gradient_of, derivative_at_zero
):
    arrays = smooth_case.arrays()
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=array.shape) for array in arrays]
    inputs = [Tensor(array) for array in arrays]
    smooth_case.objective(inputs).backward()
    terms = [
        (x.grad * direction).sum()
        for x, direction in zip(inputs, directions, strict=True)
        if x.grad is not None
    ]
    sum(terms[1:], start=terms[0]).backward()

    def moved(step):
        moves = [array + step * way for array, way in zip(arrays, directions, strict=True)]
        return np.concatenate([gradient.ravel() for gradient in smooth_case.gradients(moves)])

    second = np.concatenate([gradient_of(x).ravel() for x in inputs])
    close(second, derivative_at_zero(moved))


@pytest.mark.parametrize(
    "name", ["logsumexp over -1", "matmul", "power", "sigmoid", "softmax over None", "var over 0"]
)
def test_derivatives_are_those_of_numdifftools(name, all_cases):
    case = next(case for case in all_cases if case.name == name)
    arrays = case.arrays()
    sizes = [array.size for array in arrays]

    def unpack(flat):
        pieces = np.split(flat, np.cumsum(sizes)[:-1])
        return [piece.reshape(array.shape) for piece, array in zip(pieces, arrays, strict=True)]

    def objective(flat):
        return case.expected_objective(*unpack(flat))

    def gradient(flat):
        return np.concatenate([part.ravel() for part in case.gradients(unpack(flat))])

    point = np.concatenate([array.ravel() for array in arrays])
    close(gradient(point), numdifftools.Gradient(objective)(point), 1e-8)

    inputs = [Tensor(array) for array in arrays]
    case.objective(inputs).backward()
    first = [x.grad for x in inputs]
    element = first[0].reshape((-1,))[0]
    element.backward()
    row = np.concatenate([x.grad.numpy().ravel() for x in inputs])
    close(row, numdifftools.Jacobian(gradient)(point)[0], 1e-7)


def test_op_without_derivative_passes_no_gradient(constant_case, mode):
    for output in constant_case.outputs([Tensor(array) for array in constant_case.arrays()]):
        assert not output.requires_grad


def test_results_of_constants_are_constants(all_cases):
    for case in all_cases:
        inputs = [Tensor(array, requires_grad=False) for array in case.arrays()]
        for value in case.outputs(inputs):
            assert (value.requires_grad, value.op, value.inputs) == (False, None, ()), case.name


# --- memory layouts

LAYOUTS = {
    "transposed": lambda a: np.array(a, order="F"),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "reversed": lambda a: np.flip(np.flip(a).copy())[...],
}


def test_layout_of_memory_makes_no_difference(case, gradient_of):
    arrays, outputs = case.arrays(), case.expected(case.arrays())
    gradients = case.gradients(arrays) if case.differentiable else []
    for name, laid_out in LAYOUTS.items():
        views = [laid_out(array) for array in arrays]
        inputs = [Tensor.make_const(view, requires_grad=True) for view in views]
        for output, expected in zip(case.outputs(inputs), outputs, strict=True):
            np.testing.assert_allclose(output.numpy(), expected, 1e-12, 1e-12, err_msg=name)
        if gradients:
            case.objective(inputs).backward()
        for x, expected in zip(inputs, gradients, strict=False):
            np.testing.assert_allclose(gradient_of(x), expected, 1e-12, 1e-12, err_msg=name)
        for view, array in zip(views, arrays, strict=True):
            np.testing.assert_array_equal(view, array, err_msg="an operand was written to")


# --- dtypes


def test_float32_stays_float32(case):
    arrays = case.arrays(np.float32)
    for output, expected in zip(
        case.outputs([Tensor(array) for array in arrays]), case.expected(arrays), strict=True
    ):
        assert output.dtype == (np.float32 if case.differentiable else expected.dtype)
        close(output.numpy(), expected, 1e-5)


def test_float32_stays_float32_all_the_way_back(smooth_case):
    with ndl.lazy_mode():  # which keeps every step of the gradient, to be looked at
        inputs = [Tensor(array) for array in smooth_case.arrays(np.float32)]
        for output in smooth_case.outputs(inputs):
            (output * output).backward()
            gradients = [x.grad for x in inputs if x.grad is not None]
            steps = [node for node in find_topo_sort(gradients) if isinstance(node, Tensor)]
            widened = {type(node.op).__name__ for node in steps if node.dtype == np.float64}
            assert widened == set()
            assert {gradient.dtype for gradient in gradients} == {np.dtype(np.float32)}


def test_integers_give_what_numpy_gives(integer_case):
    arrays = integer_case.arrays(np.int64)
    outputs = integer_case.outputs([Tensor(array) for array in arrays])
    for output, expected in zip(outputs, integer_case.expected(arrays), strict=True):
        assert output.dtype == expected.dtype
        close(output.numpy(), expected, 1e-12)


def test_integers_get_the_gradient_that_floats_get(integer_case, gradient_of):
    arrays = integer_case.arrays(np.int64)
    floats = [Tensor(array, dtype=np.float64) for array in arrays]
    integers = [Tensor(array) for array in arrays]
    for from_floats, from_integers in zip(
        integer_case.outputs(floats), integer_case.outputs(integers), strict=True
    ):
        assert from_floats.requires_grad == from_integers.requires_grad
        if from_integers.requires_grad:
            from_floats.backward()
            from_integers.backward()
            for x, n in zip(floats, integers, strict=True):
                close(gradient_of(n), gradient_of(x), 1e-12)


# --- arrays of other libraries


def test_arrays_of_another_library_stay_what_they_are(case, mode, strict_array, explained_nones):
    arrays = case.arrays()
    inputs = [Tensor.make_const(strict_array(array), requires_grad=True) for array in arrays]
    outputs = case.outputs(inputs)
    for output, expected in zip(outputs, case.expected(arrays), strict=True):
        data = output.realize_cached_data()
        assert type(data) is strict_array
        close(data._data, expected, 1e-12)
    if not case.differentiable:
        return
    squares = [(output * output).sum() for output in outputs]
    sum(squares[1:], start=squares[0]).backward()
    plain = [Tensor(array) for array in arrays]
    squares = [(output * output).sum() for output in case.outputs(plain)]
    sum(squares[1:], start=squares[0]).backward()
    reached = {id(node) for node in find_topo_sort(outputs)}  # none beyond argmax and its kind
    for x, expected in zip(inputs, plain, strict=True):
        assert (x.grad is None) == (id(x) not in reached)
        if x.grad is not None:
            data = x.grad.realize_cached_data()
            assert type(data) is strict_array
            close(data._data, expected.grad.numpy(), 1e-12)
