"""max, min, sort and topk: the values of NumPy, and the pairs (values, indices) of PyTorch."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

torch = pytest.importorskip("torch")

ARRAY = np.random.default_rng(0).normal(size=(4, 5))
METHODS = ["max", "min", "sort"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dim", [0, -1])
def test_by_dim_the_result_is_pytorchs_pair(mode, method, dim):
    x, theirs = Tensor(ARRAY), torch.tensor(ARRAY)
    expected = getattr(theirs, method)(dim=dim)
    pair = getattr(x, method)(dim=dim)
    values, indices = pair
    for found in (values, pair[0], pair.values, getattr(x, method)(dim=dim)[-2]):
        np.testing.assert_array_equal(found.numpy(), expected.values.numpy())
        assert found.requires_grad
    for found in (indices, pair[1], pair.indices):
        np.testing.assert_array_equal(found.numpy(), expected.indices.numpy())
        assert (found.dtype, found.requires_grad) == (np.int64, False)


@pytest.mark.parametrize("method", METHODS)
def test_the_pair_is_also_the_tensor_of_values(mode, method):
    x = Tensor(ARRAY)
    values = getattr(x, method)(dim=1)
    plain = getattr(x, method)(axis=1)
    assert isinstance(values, Tensor)
    assert type(plain) is Tensor
    np.testing.assert_array_equal(values.numpy(), plain.numpy())
    assert type(values * 2) is type(values + values) is type(values.detach()) is Tensor
    (values * 2).sum().backward()
    ours = x.grad.numpy()
    (plain * 2).sum().backward()
    np.testing.assert_array_equal(ours, x.grad.numpy())


def test_numpys_users_index_the_maxima():
    x = Tensor(ARRAY)
    assert x.max(axis=1)[0].item() == x.max(axes=1)[0].item() == ARRAY.max(1)[0]
    assert [row.item() for row in x.max(axis=1)] == list(ARRAY.max(1))
    assert np.max(x, 1)[0].item() == ARRAY.max(1)[0]
    assert x.sort(axis=0)[0, 0].item() == np.sort(x, 0)[0, 0].item() == ARRAY[:, 0].min()


@pytest.mark.parametrize("method", METHODS)
def test_an_integer_index_after_an_axis_by_position_is_refused(method):
    for result in (getattr(Tensor(ARRAY), method)(1), getattr(ndl, method)(Tensor(ARRAY), 1)):
        for use in (lambda y: y[0], lambda y: y[np.int64(1)], list):
            with pytest.raises(TypeError, match=rf"{method}\(dim=.*PyTorch.*{method}\(axis=..."):
                use(result)
        plain = getattr(Tensor(ARRAY), method)(axis=1)
        np.testing.assert_array_equal(result.values.numpy(), plain.numpy())
        np.testing.assert_array_equal(result.values[0].numpy(), plain[0].numpy())
        np.testing.assert_array_equal(result[:, None].numpy(), plain[:, None].numpy())
        np.testing.assert_array_equal((result * 1)[0].numpy(), plain[0].numpy())
        assert result.indices.shape == plain.shape


def test_without_an_axis_the_result_is_a_number():
    x = Tensor(ARRAY)
    assert type(x.max()) is type(x.max((0, 1))) is Tensor
    assert x.max().item() == ARRAY.max()


def test_copies_are_tensors_of_values():
    result = Tensor(ARRAY, requires_grad=False).max(1)
    with pytest.raises(TypeError, match="ambiguous"):
        copy.deepcopy(result)[0]
    read = pickle.loads(pickle.dumps(result))
    assert read[0].item() == ARRAY.max(1)[0]
    with pytest.raises(AttributeError, match="no indices"):
        _ = read.indices


def test_keepdims_holds_for_the_indices():
    pair = Tensor(ARRAY).max(dim=1, keepdim=True)
    expected = torch.tensor(ARRAY).max(dim=1, keepdim=True)
    assert pair.values.shape == pair.indices.shape == (4, 1)
    np.testing.assert_array_equal(pair.indices.numpy(), expected.indices.numpy())


def test_the_greatest_of_two_tensors_is_maximum():
    x = Tensor([1.0])
    with pytest.raises(TypeError, match=r"needle.maximum\(a, b\)"):
        ndl.max(x, x)
    with pytest.raises(TypeError, match=r"needle.minimum\(a, b\)"):
        ndl.min(x, x)


def test_a_step_of_q_learning():
    q = Tensor(ARRAY)
    with ndl.no_grad():
        best = q.max(dim=1)[0]
    assert best.shape == (4,)
    chosen = ndl.gather(q, 1, q.max(dim=1, keepdim=True)[1])
    (chosen.squeeze(1) - 2 * best).sum().backward()
    np.testing.assert_array_equal(q.grad.numpy(), ARRAY.max(1, keepdims=True) == ARRAY)


# --- against PyTorch, with both derivatives

ORDERED = {
    "sort": lambda lib, x: lib.sort(x, dim=0)[0],
    "sort descending": lambda lib, x: lib.sort(x, dim=1, descending=True)[0],
    "topk": lambda lib, x: lib.topk(x, 3)[0],
    "topk smallest": lambda lib, x: lib.topk(x, 2, dim=0, largest=False).values,
    "topk indices": lambda lib, x: x * lib.topk(x, 5).indices,
    "argsort": lambda lib, x: x * lib.argsort(x, dim=1),
    "argsort descending": lambda lib, x: x * lib.argsort(x, dim=1, descending=True),
    "argmin": lambda lib, x: x * lib.argmin(x, dim=0),
    "argmin of all": lambda lib, x: x * lib.argmin(x),
    "cumprod": lambda lib, x: lib.cumprod(x, dim=1),
    "cumprod with zeros": lambda lib, x: lib.cumprod(x * (x > -0.5), dim=0),
    "logcumsumexp": lambda lib, x: lib.logcumsumexp(x * 100, dim=1),
    "unique": lambda lib, x: x * lib.unique(x.detach()).sum(),
    "any": lambda lib, x: x * lib.any(x > 1.2, dim=1, keepdim=True),
    "all": lambda lib, x: x * lib.all(x > -1.5, dim=0),
    "isfinite": lambda lib, x: x * lib.isfinite(x),
    "round": lambda lib, x: x * lib.round(x * 10),
    "floor": lambda lib, x: x * lib.floor(x) + lib.ceil(x * 3) * x,
}


@pytest.mark.parametrize("name", ORDERED)
def test_values_and_derivatives_are_pytorchs(mode, name):
    function = ORDERED[name]
    ours, theirs = Tensor(ARRAY), torch.tensor(ARRAY, requires_grad=True)
    y, expected = function(ndl, ours), function(torch, theirs)
    close(y, expected)
    weights = np.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
    first = ndl.grad(lambda x: (function(ndl, x) ** 2 * weights).sum())
    objective = (expected**2 * torch.tensor(weights)).sum()
    (slope,) = torch.autograd.grad(objective, theirs, create_graph=True)
    close(first(ours), slope)
    (curvature,) = torch.autograd.grad((slope**2).sum(), theirs)
    close(ndl.grad(lambda x: (first(x) ** 2).sum())(ours), curvature)


def close(ours, theirs):
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_unique_gives_what_numpy_gives():
    x = Tensor([3, 1, 3, 2])
    values, inverse, counts = ndl.unique(x, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy(), [1, 2, 3])
    np.testing.assert_array_equal(values.numpy()[inverse.numpy()], x.numpy())
    np.testing.assert_array_equal(counts.numpy(), [1, 1, 2])
    with pytest.raises(TypeError, match="positional"):  # PyTorch's second argument is `sorted`
        ndl.unique(x, True)


def test_topk_of_too_many_is_refused():
    with pytest.raises(ValueError, match="topk: k=6 of 5 elements along axis 1"):
        ndl.topk(Tensor(ARRAY), 6)


def test_results_of_max_and_min_are_explained():
    for method in (Tensor.max, Tensor.min, ndl.max):
        assert "dim=1)` is the pair (values, indices), as in PyTorch" in method.__doc__
    with pytest.raises(TypeError, match=r"sort\(axis\)\[1\] is ambiguous.*picks one element"):
        Tensor([3.0, 1.0]).sort(0)[1]
    with pytest.raises(TypeError, match=r"max\(axis\)\[0\] is ambiguous.*picks one row"):
        Tensor(np.ones((2, 3, 4))).max(0)[0]
