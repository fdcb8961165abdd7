"""Tensor as users meet it: making one, looking at it, comparing it, replacing its data."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

# --- making tensors


@pytest.mark.parametrize(
    ("source", "dtype"),
    [
        ([1.0, 2.0], np.float64),
        ([1, 2], np.int64),
        ([True, False], bool),
        (3.5, np.float64),
        (np.float32(3), np.float32),
        (np.zeros(2, np.float32), np.float32),
        (np.zeros((0, 3)), np.float64),
        ([[1, 2.5]], np.float64),
    ],
)
def test_dtype_is_numpys_choice(source, dtype):
    x = Tensor(source)
    assert x.dtype == dtype
    assert x.shape == np.shape(source)
    np.testing.assert_array_equal(x.numpy(), source)


def test_dtype_and_requires_grad_can_be_chosen():
    x = Tensor([1, 2], dtype="float32", requires_grad=False, device=ndl.cpu())
    assert x.dtype == np.float32
    assert not x.requires_grad
    assert Tensor([1.0]).requires_grad
    assert x.device is ndl.cpu()


def test_tensor_of_a_tensor_is_a_leaf_of_its_own():
    x = Tensor([1.0]) * 2
    y = Tensor(x, dtype="float32")
    assert y.is_leaf()
    assert y.requires_grad
    assert (y.dtype, y.item()) == (np.float32, 2)


@pytest.mark.parametrize("source", ["text", None, [1j], np.array(["a"]), object()])
def test_only_real_numbers_make_a_tensor(source):
    with pytest.raises(TypeError, match="Tensor holds real numbers, got dtype"):
        Tensor(source)


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="could not make one array"):
        Tensor([[1, 2], [3]])


# --- looking at them


def test_shape_dtype_ndim_size_len():
    x = Tensor(np.zeros((2, 3, 4), np.float32))
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((2, 3, 4), np.float32, 3, 24, 2)
    assert x.mT.shape == (2, 4, 3)


def test_iteration_goes_over_the_first_axis_and_is_differentiable():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * second).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[3, 4], [1, 2]])
    assert list(Tensor(np.zeros((0, 2)))) == []


def test_tensor_without_axes_has_no_length_and_no_iteration():
    for look in (len, iter, list):
        with pytest.raises(TypeError, match="without axes"):
            look(Tensor(1.0))


@pytest.mark.parametrize(
    ("source", "kind"), [(2.5, float), ([[3]], int), (True, bool), (np.float32(1), float)]
)
def test_item_is_a_python_number(source, kind):
    item = Tensor(source).item()
    assert type(item) is kind
    assert item == np.asarray(source).item()


@pytest.mark.parametrize("shape", [(2,), (0,), (2, 2)])
def test_item_needs_one_element(shape):
    text = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"one element, got shape {text}"):
        Tensor(np.zeros(shape)).item()


def test_numbers_and_truth():
    assert float(Tensor([2.5])) == 2.5
    assert int(Tensor(3)) == 3
    assert Tensor([1.0])
    assert not Tensor([[0.0]])
    for shape in ((2,), (0,)):
        with pytest.raises(ValueError, match="neither true nor false"):
            bool(Tensor(np.zeros(shape)))


def test_repr_shows_values_dtype_and_requires_grad():
    assert repr(Tensor([1.5, 2.0])) == "needle.Tensor([1.5 2. ], dtype=float64, requires_grad=True)"
    constant = repr(Tensor([[1], [2]], requires_grad=False))
    assert constant == (
        "needle.Tensor([[1]\n               [2]], dtype=int64, requires_grad=False)"
    )
    assert str(Tensor([1.5])) == "[1.5]"
    assert "2." in repr(Tensor([1.0]) * 2)


def test_numpy_takes_tensors():
    x = Tensor([1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(x), [1, 2])
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    assert np.array(x) is not np.array(x)
    np.testing.assert_array_equal(np.stack([x, x]), [[1, 2], [1, 2]])


# --- NumPy on the left


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (lambda a, t: a * t, [3, 8]),
        (lambda a, t: a + t, [4, 6]),
        (lambda a, t: a - t, [2, 2]),
        (lambda a, t: a / t, [3, 2]),
        (lambda a, t: a**t, [3, 16]),
        (lambda a, t: a @ t, 11),
        (lambda a, t: a > t, [True, True]),
        (lambda a, t: a == t, [False, False]),
    ],
)
def test_arrays_on_the_left_defer_to_tensors(operator, expected):
    array, tensor = np.array([3.0, 4.0]), Tensor([1.0, 2.0])
    result = operator(array, tensor)
    assert isinstance(result, Tensor)
    np.testing.assert_array_equal(result.numpy(), expected)


def test_gradient_flows_past_arrays():
    x = Tensor([1.0, 2.0])
    (np.array([10.0, 20.0]) * x + np.array([1.0, 1.0])).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [10, 20])


@pytest.mark.parametrize("scalar", [np.float32(2), np.float64(2), np.int64(2), np.uint8(2)])
def test_numpy_scalars_on_either_side(scalar):
    x = Tensor([3.0], dtype="float32")
    pairs = [
        (scalar * x, 6),
        (scalar + x, 5),
        (scalar - x, -1),
        (x - scalar, 1),
        (scalar / x, np.float32(2 / 3)),
        (x / scalar, 1.5),
        (scalar**x, 8),
        (x**scalar, 9),
    ]
    for value, expected in pairs:
        assert isinstance(value, Tensor)
        assert value.dtype == np.float32
        assert value.item() == expected
    assert (scalar < x).item() is True


@pytest.mark.parametrize("other", ["1", None, [1.0], object(), 1j])
def test_arithmetic_with_other_things_is_refused(other):
    x = Tensor([1.0])
    for operator in (lambda: x + other, lambda: other * x, lambda: x @ other, lambda: x < other):
        with pytest.raises(
            TypeError, match=r"unsupported operand|not supported between|multiply sequence"
        ):
            operator()


# --- comparison and identity


def test_comparisons_are_boolean_tensors_without_gradient():
    x, y = Tensor([1.0, 2.0, 3.0]), Tensor([2.0, 2.0, 2.0])
    found = {
        "<": x < y,
        "<=": x <= y,
        "==": x == y,
        "!=": x != y,
        ">=": x >= y,
        ">": x > y,
    }
    expected = {
        "<": [True, False, False],
        "<=": [True, True, False],
        "==": [False, True, False],
        "!=": [True, False, True],
        ">=": [False, True, True],
        ">": [False, False, True],
    }
    for sign, value in found.items():
        assert value.dtype == bool
        assert not value.requires_grad
        np.testing.assert_array_equal(value.numpy(), expected[sign])
    np.testing.assert_array_equal((x > 2).numpy(), [False, False, True])


def test_trap_tensors_hash_by_identity():
    a, b = Tensor([1.0]), Tensor([1.0])
    table = {a: "a", b: "b"}
    assert (table[a], table[b]) == ("a", "b")
    assert len({a, b, a}) == 2
    assert hash(a) != hash(b)


def test_comparing_with_something_else_is_false():
    x = Tensor([1.0])
    assert (x == None) is False  # noqa: E711 - what users write
    assert (x != "text") is True


# --- data


def test_data_is_replaced_and_the_tensor_stays_the_same():
    x = Tensor([1.0, 2.0])
    users = {x: "kept"}
    x.data = Tensor([3.0, 4.0])
    np.testing.assert_array_equal(x.numpy(), [3, 4])
    assert users[x] == "kept"
    assert x.requires_grad


def test_data_and_detach_stand_outside_the_graph():
    x = Tensor([1.0])
    y = x * 2
    for outside in (y.data, y.detach()):
        assert outside.is_leaf()
        assert not outside.requires_grad
        assert outside.item() == 2


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (Tensor([1.0, 2.0], dtype="float32"), ValueError, r"float64 .*\(2,\).*float32.*astype"),
        (Tensor([1.0, 2.0, 3.0]), ValueError, r"\(2,\) cannot be replaced by float64 .*\(3,\)"),
        (Tensor([[1.0], [2.0]]), ValueError, r"\(2, 1\)"),
        (np.array([1.0, 2.0]), TypeError, "data takes a Tensor, got ndarray"),
    ],
)
def test_data_of_another_kind_is_refused(value, error, text):
    x = Tensor([1.0, 2.0])
    with pytest.raises(error, match=text):
        x.data = value
    np.testing.assert_array_equal(x.numpy(), [1, 2])


# --- copies


def test_copies_are_independent_leaves():
    x = Tensor([1.0, 2.0])
    (x * x).backward()
    twin = copy.deepcopy(x)
    twin.realize_cached_data()[0] = 9
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    assert twin.requires_grad
    np.testing.assert_array_equal(twin.grad.numpy(), [2, 4])
    stored = pickle.loads(pickle.dumps(Tensor([3.0], requires_grad=False)))
    assert (stored.item(), stored.requires_grad) == (3, False)
