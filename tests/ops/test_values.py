"""What single ops give at their edges: ties, limits, infinities, no elements at all."""

import itertools
import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, ops
from needle.ops.sums import sum_over


def gradient(function, array, weights=None):
    x = Tensor(array)
    function(x).backward(weights)
    return x.grad.numpy()


# --- ties and corners


def test_ties_of_max_and_min_share_equally(mode):
    array = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    weights = np.array([6.0, 60.0])
    largest = gradient(lambda x: x.max(1), array, weights)
    np.testing.assert_allclose(largest, [[0, 3, 3], [20, 20, 20]])
    smallest = gradient(lambda x: x.min(1), array, weights)
    np.testing.assert_allclose(smallest, [[6, 0, 0], [20, 20, 20]])
    over_all = gradient(lambda x: x.max(), array)
    np.testing.assert_allclose(over_all, [[0, 0.5, 0.5], [0, 0, 0]])


def test_ties_of_integers_share_equally():
    np.testing.assert_array_equal(gradient(lambda x: x.max(), [3, 1, 3]), [0.5, 0, 0.5])


@pytest.mark.parametrize("function", [ndl.maximum, ndl.minimum])
def test_ties_of_maximum_and_minimum_share_equally(mode, function):
    a, b = Tensor([1.0, 2.0, 4.0]), Tensor([1.0, 3.0, 0.0])
    function(a, b).backward(Tensor([10.0, 10.0, 10.0]))
    wins = [5, 0, 10] if function is ndl.maximum else [5, 10, 0]
    np.testing.assert_array_equal(a.grad.numpy(), wins)
    np.testing.assert_array_equal(b.grad.numpy(), np.subtract(10, wins))


def test_abs_has_derivative_zero_at_zero(mode):
    np.testing.assert_array_equal(gradient(abs, [-2.0, 0.0, 3.0]), [-1, 0, 1])


def test_clip_passes_gradient_inside_and_at_its_limits(mode):
    array = [-2.0, -1.0, 0.0, 1.0, 2.0]
    np.testing.assert_array_equal(gradient(lambda x: x.clip(-1, 1), array), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(gradient(lambda x: x.clip(high=0), array), [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(Tensor(array).clip().numpy(), array)


def test_maximum_with_a_number_is_relu(mode):
    np.testing.assert_array_equal(gradient(lambda x: ndl.maximum(x, 0), [-1.0, 2.0]), [0, 1])


def test_argmax_is_the_first_of_equals():
    x = Tensor([[1.0, 3.0, 3.0], [5.0, 2.0, 5.0]])
    np.testing.assert_array_equal(x.argmax(1).numpy(), [1, 0])
    assert x.argmax().item() == 3
    assert x.argmax(0, keepdims=True).shape == (1, 3)
    assert x.argmax().dtype == np.int64


# --- where


def test_where_takes_numbers_and_arrays(mode):
    x = Tensor([-1.0, 2.0], dtype="float32")
    chosen = ndl.where(x > 0, x, 0)
    assert chosen.dtype == np.float32
    np.testing.assert_array_equal(chosen.numpy(), [0, 2])
    np.testing.assert_array_equal(ndl.where(x > 0, 1, 2).numpy(), [2, 1])
    np.testing.assert_array_equal(ndl.where(x > 0, np.ones(2), x).numpy(), [-1, 1])


def test_where_keeps_what_is_not_chosen_out_of_the_gradient(mode):
    x = Tensor([0.0, 4.0])
    safe = ndl.where(x > 0, x, 1)
    ndl.where(x > 0, safe.log(), 0).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0.25])


def test_condition_of_where_is_an_array_or_a_tensor():
    mask = np.array([True, False])
    np.testing.assert_array_equal(ndl.where(mask, Tensor([1.0, 2.0]), 0).numpy(), [1, 0])
    for condition, kind in ((Tensor([1.0, 0.0]), "float64"), (True, "bool"), ([True], "list")):
        with pytest.raises(TypeError, match=f"where expected a tensor of booleans, got {kind}"):
            ndl.where(condition, 1, 2)


# --- large, small and infinite numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_tanh_saturate_without_overflow(mode, dtype):
    x = Tensor([-np.inf, -1e4, 0.0, 1e4, np.inf], dtype=dtype)
    np.testing.assert_array_equal(ndl.sigmoid(x).numpy(), [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(ndl.tanh(x).numpy(), [-1, -1, 0, 1, 1])
    ndl.sigmoid(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0, 0.25, 0, 0])


def test_sigmoid_of_small_integers():
    pixels = Tensor(np.array([0, 1, 255], np.uint8))
    np.testing.assert_allclose(ndl.sigmoid(pixels).numpy(), [0.5, 1 / (1 + np.exp(-1)), 1])


def test_softmax_of_a_masked_row(mode):
    x = Tensor([[0.0, -np.inf, 0.0], [-np.inf, -np.inf, -np.inf]])
    np.testing.assert_array_equal(ndl.softmax(x).numpy(), [[0.5, 0, 0.5], [0, 0, 0]])
    ndl.softmax(x).backward(Tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[-0.5, 0, 0.5], [0, 0, 0]])
    logarithms = ndl.logsoftmax(x)
    np.testing.assert_allclose(
        logarithms.numpy(), [[-np.log(2), -np.inf, -np.log(2)], [-np.inf] * 3]
    )
    logarithms.backward(Tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(x.grad.numpy(), [[-2, 2, 0], [1, 2, 3]])


def test_softmax_and_logsoftmax_work_along_the_last_axis_by_default():
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3)))
    np.testing.assert_allclose(ndl.softmax(x).numpy().sum(1), 1)
    np.testing.assert_allclose(ndl.logsoftmax(x).exp().numpy().sum(1), 1)


# --- no elements


def test_sums_of_nothing(mode):
    empty = Tensor(np.zeros((2, 0)))
    np.testing.assert_array_equal(empty.sum(1).numpy(), [0, 0])
    np.testing.assert_array_equal(empty.logsumexp(1).numpy(), [-np.inf, -np.inf])
    empty.logsumexp(1).backward()
    assert empty.grad.shape == (2, 0)


@pytest.mark.parametrize("function", [ndl.max, ndl.min])
def test_extremum_of_nothing_is_refused(function):
    with pytest.raises(ValueError, match=r"shape \(2, 0\).*zero-size"):
        function(Tensor(np.zeros((2, 0))), 1)


def test_products_of_nothing_are_zero(mode):
    a, b = Tensor(np.zeros((2, 0))), Tensor(np.zeros((0, 3)))
    product = a @ b
    np.testing.assert_array_equal(product.numpy(), np.zeros((2, 3)))
    product.backward()
    assert (a.grad.shape, b.grad.shape) == ((2, 0), (0, 3))


# --- forms of arguments


@pytest.mark.parametrize("axes", [1, -1, (1,), [1], np.int64(1), (np.int64(-1),)])
def test_axes_are_given_in_any_form(axes):
    x = Tensor([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_array_equal(x.sum(axes).numpy(), [3, 8])
    np.testing.assert_array_equal(ndl.flip(x, axes).numpy(), [[2, 1], [5, 3]])
    assert ndl.expand_dims(x, axes).ndim == 3
    assert x.max(axes, keepdims=True).shape == (2, 1)


@pytest.mark.parametrize(
    "shape", [(3, 2), [3, 2], (3, -1), (np.int64(3), np.int64(2)), np.array([3, 2])]
)
def test_shapes_are_given_in_any_form(shape):
    x = Tensor(np.arange(6.0))
    assert x.reshape(shape).shape == (3, 2)
    assert x.reshape(*shape).shape == (3, 2)


@pytest.mark.parametrize("length", [6, -1, np.int64(6)])
def test_shape_of_one_axis_is_a_number(length):
    x = Tensor(np.zeros((3, 2)))
    assert x.reshape(length).shape == (6,)
    assert ndl.reshape(x, length).shape == (6,)
    assert Tensor(1.0).broadcast_to(abs(length)).shape == (abs(length),)


def test_transpose_swaps_two_axes():
    x = Tensor(np.zeros((2, 3, 4)))
    assert x.transpose().shape == (2, 4, 3)
    assert x.transpose((0, 1)).shape == (3, 2, 4)
    assert x.transpose((-1, 0)).shape == (4, 3, 2)
    assert x.transpose(-1, 0).shape == (4, 3, 2)
    assert x.transpose(axes=(-1, 0)).shape == (4, 3, 2)
    assert x.permute((2, 0, 1)).shape == (4, 2, 3)
    assert x.mT.shape == (2, 4, 3)


def test_methods_are_the_functions():
    x = Tensor([[0.5, 0.25]])
    for name in ("abs", "cos", "exp", "log", "relu", "sigmoid", "sin", "sqrt", "tanh", "argmax"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(ops, name)(x).numpy())
    for name in ("max", "min", "mean", "var", "logsumexp", "flip", "squeeze", "transpose"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(ops, name)(x).numpy())
    for name in ("prod", "cumsum", "std", "flatten"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(ops, name)(x).numpy())
    np.testing.assert_array_equal(x.sum().numpy(), ops.summation(x).numpy())
    np.testing.assert_array_equal(x.matmul(x.T).numpy(), [[0.3125]])
    assert x.expand_dims(0).shape == (1, 1, 2)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 2), (0, 3, 2), (2, 0), (4,), (2, 5000)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_over_all_sets_of_axes(shape, order):
    array = np.array(np.random.RandomState(0).randn(*shape), order=order)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            total = sum_over(array, axes)
            assert not np.may_share_memory(total, array)
            np.testing.assert_allclose(total, array.sum(axes, keepdims=True), atol=1e-11)
            np.testing.assert_allclose(
                ops.summation(Tensor(array), axes).numpy(), array.sum(axes), atol=1e-11
            )


def test_long_sums_of_single_precision_round_like_numpys():
    array = np.random.RandomState(0).rand(3, 1_000_000).astype("float32")
    total = Tensor(array).sum((1,)).numpy()
    np.testing.assert_allclose(total, array.sum(1, dtype="float64"), rtol=3e-7)


def test_several_numbers_come_as_a_tuple_or_one_by_one():
    x = Tensor(np.arange(6.0).reshape(1, 2, 3))
    for name, numbers in (
        ("reshape", (3, 2)),
        ("view", (3, -1)),
        ("permute", (2, 0, 1)),
        ("transpose", (0, 2)),
        ("broadcast_to", (4, 2, 3)),
    ):
        method = getattr(x, name)
        np.testing.assert_array_equal(method(*numbers).numpy(), method(numbers).numpy())


def test_names_of_pytorch():
    x = Tensor([[0.5, -2.0, 3.0]])
    np.testing.assert_array_equal(x.clamp(0, 1).numpy(), [[0.5, 0, 1]])
    np.testing.assert_array_equal(x.clamp(min=0).numpy(), [[0.5, 0, 3]])
    np.testing.assert_array_equal(x.clamp(max=1).numpy(), [[0.5, -2, 1]])
    np.testing.assert_array_equal(x.pow(2).numpy(), [[0.25, 4, 9]])
    assert x.unsqueeze(-1).shape == (1, 3, 1)
    assert x.view(3).shape == x.flatten().shape == (3,)


# --- dtypes


def test_astype_converts_and_integers_stop_gradients():
    x = Tensor([1.5, 2.5], dtype="float32")
    assert x.astype("float64").dtype == np.float64
    assert not x.astype("int32").requires_grad
    assert not x.astype(bool).requires_grad
    x.astype("float64").backward()
    assert x.grad.dtype == np.float32


def test_division_and_mean_of_integers_are_floats():
    x = Tensor([1, 2])
    assert (x / 2).dtype == np.float64
    assert (x / x).dtype == np.float64
    assert x.mean().item() == 1.5
    assert x.var().item() == 0.25
    assert x.sum().dtype == np.int64


def test_mean_of_booleans_counts():
    assert (Tensor([1.0, 2.0, 3.0]) > 1.5).mean().item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_float_stays_what_it_is(dtype):
    x = Tensor([0.5, 0.25], dtype=dtype)
    for value in (x.mean(), x.var(), x.softmax(), x.logsumexp(), ndl.sigmoid(x), x**0.5, 1 - x):
        assert value.dtype == dtype


def test_log_softmax_is_over_the_last_axis_by_default() -> None:
    x = Tensor(np.random.RandomState(0).randn(2, 3))
    np.testing.assert_allclose(np.exp(ops.LogSoftmax()(x).numpy()).sum(axis=1), 1)
    np.testing.assert_allclose(ops.Softmax()(x).numpy().sum(axis=1), 1)


def test_sums_over_many_rows_keep_no_memory():
    a = np.ones((1_000_000, 1), "float32")
    tracemalloc.start()
    try:
        total = ndl.summation(Tensor(a, requires_grad=False), 0)
        assert tracemalloc.get_traced_memory()[1] > 3_000_000  # ones as long as the axis
        del a
        assert total.numpy() == 1_000_000
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
