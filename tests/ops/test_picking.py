"""Picking and replacing elements: x.at, x[i] = v, gather and its relatives."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.autograd import modes

torch = pytest.importorskip("torch")

ARRAY = np.random.default_rng(0).normal(size=(3, 4))
OTHER = np.random.default_rng(1).normal(size=(3, 4))
INDICES = {
    "a row": 1,
    "slices": (slice(None), slice(1, 3)),
    "rows": ([2, 0],),
    "pairs": ([0, 1, 2], [3, 0, 1]),
    "a mask": ARRAY > 0,
    "an element": (1, -1),
    "a column of rows": ([2, 0], 1),
}


def replaced(index, value):
    result = ARRAY.copy()
    result[index] = value
    return result


@pytest.mark.parametrize("name", INDICES)
def test_at_set(mode, name, check_derivatives):
    index = INDICES[name]
    x = Tensor(ARRAY)
    value = OTHER[index] * 2
    np.testing.assert_array_equal(x.at[index].set(value).numpy(), replaced(index, value))
    np.testing.assert_array_equal(x.at[index].set(5).numpy(), replaced(index, 5))
    np.testing.assert_array_equal(x.numpy(), ARRAY)
    np.testing.assert_array_equal(x.at[index].get().numpy(), ARRAY[index])
    if mode == "eager":
        check_derivatives(lambda a, b: a.at[index].set(b[index] * b[index]), ARRAY, OTHER)


@pytest.mark.parametrize("name", INDICES)
def test_other_changes_at_an_index(name, check_derivatives):
    index, x = INDICES[name], Tensor(np.abs(ARRAY) + 1)
    part, value = x.numpy()[index], np.abs(OTHER[index]) + 1
    for method, expected in {
        "add": part + value, "subtract": part - value, "multiply": part * value,
        "divide": part / value, "power": part**value, "min": np.minimum(part, value),
        "max": np.maximum(part, value),
    }.items():  # fmt: skip
        result = getattr(x.at[index], method)(value)
        np.testing.assert_allclose(result.numpy()[index], expected, rtol=1e-12)
        assert (result.numpy() != x.numpy()).sum() <= np.size(part)
    squared = x.at[index].apply(lambda y: y * y).numpy()
    np.testing.assert_allclose(squared[index], part**2)
    check_derivatives(lambda a, b: a.at[index].multiply(b[index]), ARRAY, OTHER)


def test_repeated_indices(check_derivatives):
    x = Tensor([1.0, 2.0])
    np.testing.assert_array_equal(x.at[[0, 0]].add(Tensor([1.0, 10.0])).numpy(), [12, 2])
    np.testing.assert_array_equal(x.at[[0, 0]].subtract(1.0).numpy(), [-1, 2])
    value = Tensor([5.0, 6.0])
    y = x.at[[0, 0]].set(value)
    np.testing.assert_array_equal(y.numpy(), [6, 2])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0, 1])
    np.testing.assert_array_equal(value.grad.numpy(), [0, 1])
    rows = [2, 0, 2]
    check_derivatives(lambda a, b: a.at[rows].set(b), ARRAY, OTHER)
    check_derivatives(lambda a, b: a.at[rows].add(b), ARRAY, OTHER)
    with pytest.raises(ValueError, match="names an element several times"):
        x.at[[0, 0]].multiply(2.0)


def test_values_are_cast_and_broadcast():
    x = Tensor(ARRAY, dtype="float32")
    y = x.at[0].set(np.arange(4))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy()[0], np.arange(4))
    assert x.at[:2].set(Tensor(np.ones((1, 1, 4)))).numpy()[:2].sum() == 8
    with pytest.raises(TypeError, match="of a tensor of int64 cannot take float64: use astype"):
        Tensor([1, 2]).at[0].set(2.5)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        x.at[0].set(np.ones(3))
    with pytest.raises(IndexError):
        x.at[7].set(1.0)


def test_forward_mode_and_lazy_graphs_see_assignments():
    x, way = Tensor(ARRAY), Tensor(OTHER)
    for index in (1, [0, 2]):
        _, tangent = ndl.jvp(lambda a, i=index: a.at[i].set(a[i] * 2), (x,), (way,))
        expected = OTHER.copy()
        expected[index] *= 2
        np.testing.assert_allclose(tangent.numpy(), expected)
        _, tangent = ndl.jvp(lambda a, i=index: a.at[i].set(0.0), (x,), (way,))
        expected[index] = 0
        np.testing.assert_allclose(tangent.numpy(), expected)
    with ndl.lazy_mode():
        y = x.at[0].set(x[1])
        assert (y.shape, y.cached_data) == ((3, 4), None)


# --- x[i] = v


@pytest.mark.parametrize("name", INDICES)
def test_assignment_under_no_grad_is_in_place(name):
    index = INDICES[name]
    x = Tensor(ARRAY)
    array = x.cached_data
    with ndl.no_grad():
        x[index] = OTHER[index]
    np.testing.assert_array_equal(x.numpy(), replaced(index, OTHER[index]))
    assert x.cached_data is array
    assert x.requires_grad
    with ndl.no_grad():
        x[index] = 7
    np.testing.assert_array_equal(x.numpy()[index], np.full(np.shape(ARRAY[index]), 7))


def test_assignment_while_a_graph_is_recorded_is_refused():
    x, constant = Tensor([1.0, 2.0]), Tensor([1.0, 2.0], requires_grad=False)
    for target, value in ((x, 5.0), (constant, x[0]), (x + 1, 5.0)):
        with pytest.raises(RuntimeError, match=r"x = x\.at\[index\]\.set\(value\).*no_grad"):
            target[0] = value
    constant[0] = 5.0  # no graph to be missing from
    np.testing.assert_array_equal(constant.numpy(), [5, 2])
    with pytest.raises(RuntimeError, match=r"x\.at"):
        ndl.grad(lambda a: a.__setitem__(0, a[1]))(x)


def test_observers_see_the_whole_assignment():
    x, seen = Tensor(ARRAY), []

    def observe(value, op, inputs):
        seen.append((type(op).__name__, inputs))

    with modes.override(modes.observers, (observe,)), ndl.no_grad():
        x[0] = 1.0
    name, inputs = seen[-1]
    assert name == "Assign"
    assert inputs[0] is x
    np.testing.assert_array_equal(x.numpy()[0], np.ones(4))


def test_augmented_assignment_of_an_element():
    x = Tensor([1.0, 2.0])
    with ndl.no_grad():
        x[0] += 5.0
        x[[1]] *= 3
    np.testing.assert_array_equal(x.numpy(), [6, 6])


# --- against PyTorch

ROWS = np.array([[0, 2, 1], [1, 1, 0]])
CASES = {
    "gather": lambda lib, x, i: lib.gather(x, 1, i),
    "gather along 0": lambda lib, x, i: lib.gather(x, 0, i),
    "take_along": lambda lib, x, i: x[:2, :3] * i,
    "index_select": lambda lib, x, i: lib.index_select(x, 1, i[0]),
    "index_select by keyword": lambda lib, x, i: lib.index_select(x, dim=0, index=i[1]),
    "scatter_add": lambda lib, x, i: lib.scatter_add(x, 1, i, x[:2, :3] ** 2),
    "scatter_add of a larger one": lambda lib, x, i: lib.scatter_add(x, 0, i, x.detach()) * x,
    "method": lambda lib, x, i: x.gather(1, i) + x.scatter_add(0, i, x[:2, :3])[:2, :3],
    "masked_fill": lambda lib, x, i: x.masked_fill(x > 0, -2.0) ** 2,
    "masked_fill of a row": lambda lib, x, i: x.masked_fill((x > 0)[0], 0.0) ** 2,
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_pytorchs(mode, name):
    function = CASES[name]
    ours, theirs = Tensor(ARRAY), torch.tensor(ARRAY, requires_grad=True)
    indices = Tensor(ROWS, requires_grad=False), torch.tensor(ROWS)
    y, expected = function(ndl, ours, indices[0]), function(torch, theirs, indices[1])
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy())
    first = ndl.grad(lambda x: (function(ndl, x, indices[0]) ** 3).sum())
    (slope,) = torch.autograd.grad((expected**3).sum(), theirs, create_graph=True)
    np.testing.assert_allclose(first(ours).numpy(), slope.detach().numpy())
    (curvature,) = torch.autograd.grad((slope**2).sum(), theirs)
    second = ndl.grad(lambda x: (first(x) ** 2).sum())(ours)
    np.testing.assert_allclose(second.numpy(), curvature.numpy())


def test_take_along_axis_broadcasts_as_in_numpy():
    x, order = Tensor(ARRAY), np.array([[2, 0]])
    np.testing.assert_array_equal(
        ndl.take_along_axis(x, order, 1).numpy(), np.take_along_axis(ARRAY, order, 1)
    )
    flat = ndl.take_along_axis(x, np.array([5, 1]), None)
    np.testing.assert_array_equal(flat.numpy(), ARRAY.reshape(-1)[[5, 1]])


def test_wrong_indices_are_explained():
    x = Tensor(ARRAY)
    with pytest.raises(ValueError, match=r"gather: .* got \(2,\) for \(3, 4\)"):
        ndl.gather(x, 1, Tensor([0, 1]))
    with pytest.raises(TypeError, match="an index holds integers or booleans, got float64"):
        ndl.gather(x, 1, Tensor([[0.0]]))
    with pytest.raises(IndexError):
        ndl.gather(x, 1, Tensor([[4]]))
