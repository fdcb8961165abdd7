"""Indexing: NumPy's values, adjoints that add up, and indices that are refused."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices

import needle as ndl
from needle import Tensor

quick = settings(derandomize=True, deadline=None, max_examples=50)


def check(array, index):
    """Value and gradient of array[index]; each picked element gets an adjoint of its own."""
    x = Tensor(array)
    y = x[index]
    expected = np.asarray(array[index])
    np.testing.assert_array_equal(y.numpy(), expected)
    assert y.shape == expected.shape
    weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    y.backward(weights)
    adjoint = np.zeros_like(array)
    np.add.at(adjoint, index, weights)
    np.testing.assert_array_equal(x.grad.numpy(), adjoint)


def numbered(shape):
    return np.arange(float(np.prod(shape))).reshape(shape)


@st.composite
def arrays_and_basic_indices(draw):
    shape = draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    return numbered(shape), draw(basic_indices(shape, allow_newaxis=True))


@st.composite
def arrays_and_integer_indices(draw):
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    result = array_shapes(max_dims=2, min_side=0, max_side=4)
    return numbered(shape), draw(integer_array_indices(shape, result_shape=result))


@st.composite
def arrays_and_masks(draw):
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    axes = draw(st.integers(1, len(shape)))
    seed = draw(st.integers(0, 1000))
    return numbered(shape), np.random.default_rng(seed).random(shape[:axes]) < 0.5


@st.composite
def arrays_and_mixed_indices(draw):
    array = numbered((3, 4, 2))
    rows = draw(st.lists(st.integers(-3, 2), min_size=1, max_size=5))
    start, step = draw(st.integers(-4, 4)), draw(st.sampled_from([-2, -1, 1, 2]))
    rest = draw(st.sampled_from([(), (0,), (..., -1), (None,), ([0, 1] * len(rows),)]))
    columns = slice(start, None, step)
    if rest and isinstance(rest[0], list):
        rest = (rest[0][: len(rows)],)
    return array, (rows, columns, *rest)


@quick
@given(arrays_and_basic_indices())
def test_basic_indices(pair):
    check(*pair)


@quick
@given(arrays_and_integer_indices())
def test_integer_array_indices(pair):
    check(*pair)


@quick
@given(arrays_and_masks())
def test_boolean_masks(pair):
    check(*pair)


@quick
@given(arrays_and_mixed_indices())
def test_slices_and_lists_together(pair):
    check(*pair)


@pytest.mark.parametrize(
    "index",
    [
        [0, 0, 2, 0],
        ((0, 0, 2),),
        (range(2),),
        np.array([[0, 1], [1, 1]]),
        np.array(1),
        np.int64(-1),
        (np.array([2, 2], np.uint8), np.array([0, 0], np.int32)),
        [True, False, True],
        np.zeros(3, bool),
        np.zeros((0,), int),
        [],
        True,
        None,
        ...,
        (),
        (slice(None), [1, 1]),
        ([0, 0], None, [1, 1]),
        (np.array([True, False, True]), [1, 1]),
    ],
    ids=repr,
)
def test_forms_of_indices(index):
    check(numbered((3, 4)), index)


def test_one_hot_adjoints_pick_single_elements(mode):
    array, index = numbered((3, 2)), [0, 2, 0]
    for row in range(3):
        for column in range(2):
            x, adjoint = Tensor(array), np.zeros((3, 2))
            adjoint[row, column] = 1
            x[index].backward(adjoint)
            expected = np.zeros((3, 2))
            expected[index[row], column] = 1
            np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_indexing_is_differentiated_twice(mode):
    x = Tensor([1.0, 2.0, 3.0])
    (x[[0, 0, 2]] ** 3).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6, 0, 27])
    x.grad.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [12, 0, 18])


def test_tensors_are_indices(mode):
    x = Tensor(numbered((3, 4)))
    rows = Tensor([2, 0, 2])
    np.testing.assert_array_equal(x[rows].numpy(), numbered((3, 4))[[2, 0, 2]])
    np.testing.assert_array_equal(x[rows, rows].numpy(), [10, 0, 10])
    x[rows].backward()
    np.testing.assert_array_equal(x.grad.numpy()[:, 0], [1, 0, 2])
    x[x > 5].backward()
    np.testing.assert_array_equal(x.grad.numpy(), numbered((3, 4)) > 5)


def test_repeated_indices_of_another_library_add_up(strict_array):
    x = Tensor.make_const(strict_array(np.zeros(3)), requires_grad=True)
    index = Tensor.make_const(strict_array(np.array([0, 0, 2])))
    x[index].backward()
    data = x.grad.realize_cached_data()
    assert type(data) is strict_array
    np.testing.assert_array_equal(data._data, [2, 0, 1])


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 0), (5, 3, 2)])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize(
    "index",
    [
        [4, 0, -1, 0],
        np.array([[1, 1, 4], [-5, 1, 1]], np.int8),
        np.zeros((0, 2), int),
        np.array([2]),
        np.full(70_000, 3),
    ],
    ids=str,
)
def test_rows_add_up_as_by_add_at(shape, layout, index):
    table = np.zeros(shape, np.float32)
    adjoint = np.random.default_rng(0).normal(size=table[index].shape).astype(np.float32)
    expected = np.zeros_like(table)
    np.add.at(expected, index, adjoint)
    x = Tensor(table)
    # the adjoint as it is, in either layout of memory: Tensor(...) would copy it
    x[index].backward(Tensor.make_const(np.asarray(adjoint, order=layout)))
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_rows_and_columns_add_up_as_by_add_at():
    table = np.zeros((7, 300, 2))
    rows, columns = np.array([[-1], [3]]), np.array([5, 299, -1, 5], np.int16)
    adjoint = np.random.default_rng(0).normal(size=(2, 4, 2))
    expected = np.zeros_like(table)
    np.add.at(expected, (rows, columns), adjoint)
    x = Tensor(table)
    x[rows, columns].backward(adjoint)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_rows_are_added_along_one_axis(strict_array, monkeypatch):
    """On more axes np.add.at is several times slower."""
    axes = []
    passed_on = strict_array.__array_ufunc__

    def noting(self, ufunc, method, *inputs, **options):
        if method == "at":
            axes.append(inputs[0].ndim)
        return passed_on(self, ufunc, method, *inputs, **options)

    monkeypatch.setattr(strict_array, "__array_ufunc__", noting)
    index = Tensor.make_const(strict_array(np.array([2, 0, 2])))
    x = Tensor.make_const(strict_array(np.zeros((3, 2))), requires_grad=True)
    x[index].backward()
    np.testing.assert_array_equal(x.grad.realize_cached_data()._data, [[1, 1], [0, 0], [2, 2]])
    assert axes == [1]


def test_adjoint_of_rows_needs_no_memory_but_its_own():
    table = Tensor(np.zeros((1000, 500), np.float32))
    adjoint = Tensor(np.ones((3000, 500), np.float32))
    picked = table[np.arange(3000) % 1000]
    tracemalloc.start()
    picked.backward(adjoint, create_graph=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < table.grad.realize_cached_data().nbytes + 2e6
    np.testing.assert_array_equal(table.grad.numpy(), np.full((1000, 500), 3))


def test_rows_of_a_table_are_its_embedding(mode):
    table = Tensor(np.zeros((5, 2), np.float32))
    tokens = np.array([[1, 1, 4], [0, 1, 1]])
    picked = table[tokens]
    assert picked.shape == (2, 3, 2)
    picked.backward()
    np.testing.assert_array_equal(table.grad.numpy()[:, 0], [1, 4, 0, 0, 1])
    assert table.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (3, IndexError, r"GetItem of shape \(3, 4\): index 3 is out of bounds"),
        ([0, 5], IndexError, r"GetItem of shape \(3, 4\): index 5 is out of bounds"),
        ((0, 0, 0), IndexError, "too many indices"),
        (np.zeros(2, bool), IndexError, "boolean index"),
        (1.0, TypeError, "an index holds integers or booleans, got float64"),
        ([0.5], TypeError, "integers or booleans, got float64"),
        (np.array([1.0]), TypeError, r"got float64: use astype\('int64'\)"),
        (Tensor([1.0]), TypeError, "got float64"),
        ("row", TypeError, "integers or booleans, got"),
        ((0, "row"), TypeError, "integers or booleans, got"),
        ({0}, TypeError, "integers or booleans, got"),
        (([0, 1], [0, 1, 2]), IndexError, "could not be broadcast"),
    ],
    ids=repr,
)
def test_wrong_indices_are_refused(index, error, text):
    with pytest.raises(error, match=text):
        Tensor(numbered((3, 4)))[index]


def test_concatenate_splits_its_adjoint(mode):
    a, b = Tensor(numbered((2, 3))), Tensor(numbered((2, 1)))
    ndl.concatenate([a, b], 1).backward(numbered((2, 4)))
    np.testing.assert_array_equal(a.grad.numpy(), [[0, 1, 2], [4, 5, 6]])
    np.testing.assert_array_equal(b.grad.numpy(), [[3], [7]])


@pytest.mark.parametrize(
    "index",
    [
        (np.array([0, 0]), True),
        (np.array([0]), False, 0),
        (slice(0, 0), np.array([[0]]), ..., np.array([], int)),
        (np.array([0, 1]), ..., np.array([0, 1, 1])[:, None], np.array([0, 1])),
        (np.bool_(True), np.array([1])),
        (True, 0),
    ],
)
def test_lazy_shapes_follow_numpy(index):
    array = numbered((2, 2, 2))
    with ndl.lazy_mode():
        y = Tensor(array)[index]
        assert y.shape == array[index].shape
    np.testing.assert_array_equal(y.numpy(), array[index])
