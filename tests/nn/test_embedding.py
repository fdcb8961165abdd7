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
