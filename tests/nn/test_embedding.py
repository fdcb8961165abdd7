"""Embedding: rows by index, gradients that add up, and indices that name no row."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.testing import gradcheck


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0,)])
def test_embedding_is_torchs(same_module, shape, dtype) -> None:
    torch = pytest.importorskip("torch")
    indices = np.asarray(np.random.RandomState(0).randint(7, size=shape))
    theirs = torch.nn.Embedding(7, 3, dtype=getattr(torch, dtype))
    same_module(nn.Embedding(7, 3, dtype=dtype), theirs, indices)


def test_weight_is_normal() -> None:
    np.random.seed(4)
    layer = nn.Embedding(1000, 50)
    np.random.seed(4)
    np.testing.assert_array_equal(layer.weight.numpy(), np.random.randn(1000, 50).astype("f"))
    assert layer.weight.numpy().std() == pytest.approx(1, abs=0.01)


def test_gradients_of_a_repeated_index_add_up() -> None:
    layer = nn.Embedding(3, 2)
    layer(ndl.Tensor([1, 1, 0, 1])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[1, 1], [3, 3], [0, 0]])


def test_floats_may_hold_indices() -> None:
    layer = nn.Embedding(5, 2)
    indices = [[0, 4], [2, 2]]
    expected = layer(ndl.Tensor(indices)).numpy()
    y = layer(ndl.Tensor(indices, dtype="float32"))
    np.testing.assert_array_equal(y.numpy(), expected)
    y.sum().backward()
    assert layer.weight.grad.numpy().sum() == 8


def test_second_derivative() -> None:
    indices = ndl.Tensor([2, 0, 2])
    weight = ndl.Tensor(np.random.RandomState(0).randn(3, 2))
    assert gradcheck(lambda w: nn.functional.embedding(indices, w) ** 3, weight, order=2)


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_that_names_no_row(index) -> None:
    with pytest.raises(ValueError, match=f"Embedding expected indices from 0 to 4, got .*{index}"):
        nn.Embedding(5, 2)(ndl.Tensor([2, index]))


@pytest.mark.parametrize("indices", [[0.5], [float("nan")], [float("inf")], [True]])
def test_indices_that_are_no_whole_numbers(indices) -> None:
    with pytest.raises(TypeError, match="Embedding expected whole numbers, got"):
        nn.Embedding(5, 2)(ndl.Tensor(indices))


# --- PyTorch's settings


@pytest.mark.parametrize("options", [
    {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}, {"max_norm": 1.0},
    {"max_norm": 1.5, "norm_type": 1.0, "padding_idx": 1, "scale_grad_by_freq": True},
])  # fmt: skip
def test_settings_are_torchs(same_module, options) -> None:
    torch = pytest.importorskip("torch")
    ours = nn.Embedding(5, 3, dtype="float64", **options)
    theirs = torch.nn.Embedding(5, 3, dtype=torch.float64, **options)
    indices = np.array([[2, 1, 2], [4, 4, 4]])
    same_module(ours, theirs, indices)
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-6)
    assert ours.padding_idx == theirs.padding_idx


def test_the_padding_row_is_zero_at_first() -> None:
    np.random.seed(4)
    layer = nn.Embedding(5, 3, padding_idx=-2)
    np.random.seed(4)
    expected = np.random.randn(5, 3).astype("f")
    expected[3] = 0
    np.testing.assert_array_equal(layer.weight.numpy(), expected)
    layer.reset_parameters()
    assert (layer.weight.numpy()[3] == 0).all()
    assert repr(layer).startswith("Embedding(5, 3, padding_idx=3)")


@pytest.mark.parametrize("options", [{"padding_idx": 2}, {"scale_grad_by_freq": True}])
def test_gradients_of_gradients_with_settings(options) -> None:
    torch = pytest.importorskip("torch")
    array, indices, factors = np.random.randn(4, 3), np.array([2, 0, 0]), np.random.randn(3, 3)
    mine, other = ndl.Tensor(array), torch.tensor(array, requires_grad=True)
    y = nn.functional.embedding(ndl.Tensor(indices), mine, **options)
    (y**3 * ndl.Tensor(factors)).sum().backward()
    gradient = mine.grad
    expected = torch.nn.functional.embedding(torch.tensor(indices), other, **options)
    (expected**3 * torch.tensor(factors)).sum().backward()
    np.testing.assert_allclose(gradient.numpy(), other.grad.numpy(), rtol=1e-12)
    assert gradient.requires_grad


def test_from_pretrained() -> None:
    rows = ndl.Tensor(np.random.randn(4, 3))
    for kind in (nn.Embedding, nn.EmbeddingBag):
        layer = kind.from_pretrained(rows, padding_idx=-1)
        assert (layer.num_embeddings, layer.embedding_dim, layer.padding_idx) == (4, 3, 3)
        assert not layer.weight.requires_grad
        np.testing.assert_array_equal(layer.weight.numpy(), rows.numpy())
    assert nn.Embedding.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"expected a matrix, got \(3,\)"):
        nn.Embedding.from_pretrained(rows[0])
    with pytest.raises(ValueError, match="padding_idx 4 names none of 4 rows"):
        nn.Embedding.from_pretrained(rows, padding_idx=4)


def test_the_error_says_where_an_index_is() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 4, got 9 at \(1, 0\) and 1 more"):
        nn.Embedding(5, 2)(ndl.Tensor([[1, 2], [9, -1]]))


# --- bags

BAGS = [
    {"mode": "sum"}, {"mode": "mean"}, {"mode": "max"},
    {"mode": "sum", "padding_idx": 2}, {"mode": "mean", "padding_idx": 2},
    {"mode": "max", "padding_idx": -3},
    {"mode": "sum", "max_norm": 1.0},
]  # fmt: skip


@pytest.mark.parametrize("options", BAGS, ids=str)
def test_bags_are_torchs(same_module, options) -> None:
    torch = pytest.importorskip("torch")
    indices = np.array([[0, 2, 4], [2, 2, 2], [1, 0, 3]])
    for last in (False, True):
        ours = nn.EmbeddingBag(5, 3, dtype="float64", include_last_offset=last, **options)
        theirs = torch.nn.EmbeddingBag(
            5, 3, dtype=torch.float64, include_last_offset=last, **options
        )
        if not last:
            same_module(ours, theirs, indices)
            ours.zero_grad()
            theirs.zero_grad()
        offsets = np.array([0, 2, 2, 6] + [9] * last)  # the second is empty
        same_module(ours, theirs, indices.reshape(-1), offsets)


def test_gradients_of_bags_are_divided_by_counts() -> None:
    # PyTorch's divides by the counts of other rows
    indices, gradients = ndl.Tensor([[0, 2, 4], [2, 2, 2]]), []
    for scaled in (False, True):
        weight = ndl.Tensor(np.random.RandomState(0).randn(5, 3))
        bag = nn.functional.embedding_bag(indices, weight, scale_grad_by_freq=scaled)
        (bag**2).sum().backward()
        gradients.append(weight.grad.numpy())
    counts = np.array([1, 1, 4, 1, 1])[:, None]
    np.testing.assert_allclose(gradients[1], gradients[0] / counts)


@pytest.mark.parametrize("is_flat", [False, True])
def test_weighted_bags_are_torchs(same_as_torch, is_flat) -> None:
    torch = pytest.importorskip("torch")
    indices = np.array([[0, 2, 4], [2, 2, 1]])
    offsets = np.array([0, 1]) if is_flat else None
    indices = indices.reshape(-1) if is_flat else indices

    def function(library, make):
        def run(weight, factors):
            return library.embedding_bag(
                make(indices),
                weight,
                None if offsets is None else make(offsets),
                mode="sum",
                per_sample_weights=factors,
            )

        return run

    torchs = function(torch.nn.functional, torch.tensor)
    arrays = np.random.randn(5, 3), np.random.randn(*indices.shape)
    same_as_torch(function(nn.functional, ndl.Tensor), torchs, *arrays)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_second_derivatives_of_bags(mode) -> None:
    indices, offsets = ndl.Tensor([2, 0, 2, 1]), ndl.Tensor([0, 0, 3])
    bag = nn.functional.embedding_bag
    assert gradcheck(
        lambda w: bag(indices, w, offsets, mode=mode) ** 3,
        ndl.Tensor(np.random.RandomState(0).randn(3, 2)),
        order=2,
    )


def test_bags_of_nothing_are_zero() -> None:
    layer = nn.EmbeddingBag(5, 3)
    for indices, offsets in ((np.zeros((2, 0), int), None), (np.zeros(0, int), [0, 0])):
        y = layer(ndl.Tensor(indices), offsets)
        np.testing.assert_array_equal(y.numpy(), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("indices", "offsets", "options", "text"),
    [
        ([0, 1], None, {}, r"\(n,\) and offsets, got \(2,\) without offsets"),
        ([[0, 1]], [0], {}, r"got \(1, 2\) and offsets"),
        ([0, 1], [1], {}, r"the first 0, got \[1\]"),
        ([0, 1], [0, 3], {}, r"\[0 3\] do not go up within the 2 indices"),
        ([0, 1], [0, 2, 1], {}, "do not go up"),
        ([[0, 7]], None, {}, r"got 7 at \(0, 1\)"),
        ([[0, 1]], None, {"mode": "mean", "per_sample_weights": 1}, "with mode 'sum', not 'mean'"),
        ([[0, 1]], None, {"mode": "sum", "per_sample_weights": 1}, r"of shape \(1, 2\), got \(\)"),
        ([[0, 1]], None, {"mode": "min"}, "mode must be 'mean', 'sum' or 'max', got 'min'"),
    ],
)
def test_bags_that_do_not_fit(indices, offsets, options, text) -> None:
    options = {name: ndl.Tensor(1.0) if each == 1 else each for name, each in options.items()}
    with pytest.raises(ValueError, match=text):
        nn.functional.embedding_bag(ndl.Tensor(indices), ndl.init.ones(5, 2), offsets, **options)


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_gradients_are_never_sparse(layer) -> None:
    assert layer(3, 2, sparse=False).weight.shape == (3, 2)
    with pytest.raises(ValueError, match="no sparse gradients"):
        layer(3, 2, sparse=True)
