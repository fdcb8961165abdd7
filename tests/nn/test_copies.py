"""Copies and pickles of models and tensors."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle import nn


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


def model() -> nn.Sequential:
    """With buffers, dropout, a shared layer and a list in an attribute."""
    layer = nn.Linear(3, 3)
    result = nn.Sequential(layer, nn.BatchNorm1d(3), nn.Dropout(0.5), layer)
    result.extra = [nn.Parameter(np.ones(2))]
    return result.eval()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_of_a_model_is_equal_and_independent(duplicate) -> None:
    original = model()
    twin = duplicate(original)
    x = ndl.init.randn(4, 3)
    np.testing.assert_array_equal(twin(x).numpy(), original(x).numpy())
    assert [name for name, _ in twin.named_parameters()] == [
        name for name, _ in original.named_parameters()
    ]
    assert twin[0] is twin[3]  # what was shared is shared
    assert not twin.training
    for mine, other in zip(twin.parameters(), original.parameters(), strict=True):
        assert type(mine) is nn.Parameter
        assert mine is not other
        assert mine.requires_grad
        mine.realize_cached_data()[...] = 7
        assert (other.numpy() != 7).all()


def test_a_trained_model_can_be_copied() -> None:
    original = model().train()
    original(ndl.init.randn(4, 3)).sum().backward()  # gradients with a graph of their own
    twin = copy.deepcopy(original)
    weight, other = original[0].weight, twin[0].weight
    assert other.grad is not weight.grad
    assert other.grad.is_leaf()
    np.testing.assert_array_equal(other.grad.numpy(), weight.grad.numpy())
    assert pickled(original)[0].weight.grad is None


def test_copies_keep_frozen_parameters_frozen() -> None:
    original = model().requires_grad_(False)
    for twin in (copy.deepcopy(original), pickled(original)):
        assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_hooks_stay_with_copies_of_modules_not_of_tensors() -> None:
    layer, calls = nn.ReLU(), []
    layer.register_forward_hook(lambda *_: calls.append("module"))
    copy.deepcopy(layer)(ndl.Tensor([1.0]))
    assert calls == ["module"]
    x = ndl.Tensor([1.0])
    x.register_hook(lambda _: calls.append("tensor"))
    (copy.deepcopy(x) * 2).backward()
    assert calls == ["module"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_a_copy_of_a_tensor(dtype) -> None:
    x = ndl.Tensor([[0, 1], [1, 0]], dtype=dtype, requires_grad=False)
    for twin in (copy.deepcopy(x), pickled(x)):
        assert (twin.dtype, twin.requires_grad) == (x.dtype, False)
        np.testing.assert_array_equal(twin.numpy(), x.numpy())
        twin.realize_cached_data()[...] = 1
    assert x.numpy().sum() == 2


def test_one_tensor_in_two_places_is_copied_once() -> None:
    x = ndl.Tensor([1.0])
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first is not x


def test_a_tensor_inside_a_graph_is_not_copied() -> None:
    y = ndl.Tensor([1.0]) * 2
    with pytest.raises(RuntimeError, match=r"MulScalar .* only leaves .* copy tensor\.detach\(\)"):
        copy.deepcopy(y)
    assert copy.deepcopy(y.detach()).item() == 2
    twin = pickled(y)  # its value can be stored
    assert twin.item() == 2
    assert twin.is_leaf()
