"""Moving tensors and models: between the CPU and the device of strict arrays."""

import pickle

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn


def test_tensors_live_where_their_arrays_do(strict_array, strict_device):
    array = np.array([1.0, 2.0])
    for x in (
        Tensor(array, device="strict"),
        Tensor([1.0, 2.0], device=strict_device),
        Tensor(strict_array(array)),
        Tensor(Tensor(array), device="strict"),
        Tensor.make_const(strict_array(array)),
        Tensor(array).to("strict"),
    ):
        assert x.device == strict_device
        np.testing.assert_array_equal(x.numpy(), array)
        assert (x * x + 1).device == strict_device
        assert Tensor(x).device == strict_device
        assert Tensor(x, device="cpu").device == ndl.cpu()


@pytest.mark.parametrize(
    ("where", "device", "dtype"),
    [
        (("strict",), "strict()", "float64"),
        (("float32",), "cpu()", "float32"),
        (("strict", "float32"), "strict()", "float32"),
        ((np.float32, ndl.cpu()), "cpu()", "float32"),
        ((int,), "cpu()", "int64"),
    ],
)
def test_to_takes_a_device_a_dtype_or_both(where, device, dtype):
    x = Tensor([1.0, 2.0])
    moved = x.to(*where)
    assert (str(moved.device), moved.dtype) == (device, dtype)
    assert moved.requires_grad == (dtype != "int64")
    assert moved.to(*where) is moved
    assert x.to(device="strict", dtype="float32").dtype == np.float32


@pytest.mark.parametrize("unknown", ["gpu", "flot32", 3.0])
def test_to_names_what_it_does_not_know(unknown):
    with pytest.raises(TypeError, match=f"got {unknown!r}.*'cpu', 'cuda'"):
        Tensor([1.0]).to(unknown)


def test_gradients_travel_back(mode, strict_device):
    x = Tensor([1.0, 2.0])
    there = x.to("strict", "float32")
    y = (there * there * there).sum().to("cpu")
    y.backward()
    assert y.device == x.grad.device == ndl.cpu()
    np.testing.assert_allclose(x.grad.numpy(), [3, 12])
    x.grad.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [6, 12])


def test_tangents_travel_along(strict_device):
    x, direction = Tensor([1.0, 2.0]), Tensor([1.0, 0.5])
    value, tangent = ndl.jvp(lambda x: (x.to("strict") ** 2).cpu(), (x,), (direction,))
    np.testing.assert_allclose(value.numpy(), [1, 4])
    np.testing.assert_allclose(tangent.numpy(), [2, 2])


def test_a_lazy_tensor_knows_its_device_before_it_is_computed(strict_device):
    x = Tensor([1.0, 2.0], device="strict")
    with ndl.lazy_mode():
        here = Tensor([1.0]) + 1
        there = x * 2 + 1
        for value, device in ((here, "cpu()"), (there, "strict()"), (there.cpu(), "cpu()")):
            assert str((value + 1).device) == device
            assert value.cached_data is None
        for _ in range(100_000):
            there = there + 1
        assert there.device == strict_device


def test_operands_of_two_devices_are_told():
    with pytest.raises((TypeError, ValueError), match=r"cpu\(\) and strict\(\).*x.to\(device\)"):
        Tensor([1.0]) + Tensor([1.0], device="strict")


def test_numbers_and_arrays_join_the_tensor(strict_device):
    x = Tensor([1.0, 2.0], device="strict")
    for value in (x > 1, ndl.maximum(x, 1.5), x * np.array([1.0, 2.0]), 2.0**x, np.float32(2) * x):
        assert value.device == strict_device


def network() -> nn.Sequential:
    np.random.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_a_model_moves_with_its_buffers_and_gradients(strict_device):
    model, x = network(), ndl.init.randn(5, 3)
    tensors = [*model.parameters(), *model.buffers()]
    model(x).sum().backward()
    expected = [p.grad.numpy() for p in model.parameters()]
    assert model.to("strict") is model
    for before, after in zip(tensors, [*model.parameters(), *model.buffers()], strict=True):
        assert after is before
        assert after.device == strict_device
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert parameter.grad.device == strict_device
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)
    assert model(x.to("strict")).device == strict_device
    assert model.cpu()(x).device == ndl.cpu()


def test_a_model_that_cannot_move_stays_as_it_is(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = network()
    for move in (model.cuda, lambda: model.to("cuda"), Tensor([1.0]).cuda):
        with pytest.raises(RuntimeError, match="CuPy is not installed"):
            move()
    assert {tensor.device for tensor in (*model.parameters(), *model.buffers())} == {ndl.cpu()}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ndl.init.zeros(2, device="cuda"),
        lambda: ndl.init.rand(2, device="cuda"),
        lambda: Tensor([1.0], device="cuda"),
        lambda: nn.Linear(2, 1, device="cuda"),
    ],
)
def test_creating_on_cuda_says_what_is_missing(make, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="CuPy is not installed"):
        make()


def test_layers_are_made_on_a_device(strict_device):
    for layer in (
        nn.Linear(2, 3, device="strict"),
        nn.BatchNorm1d(2, device="strict"),
        nn.LayerNorm1d(2, device="strict"),
        nn.Embedding(3, 2, device="strict"),
        nn.Bilinear(2, 2, 2, device="strict"),
        nn.GroupNorm(1, 2, device="strict"),
        nn.RMSNorm(2, device="strict"),
    ):
        assert {tensor.device for tensor in (*layer.parameters(), *layer.buffers())} == {
            strict_device
        }


def test_pickles_copies_and_text_of_tensors_elsewhere(strict_device):
    x = Tensor([1.0, 2.0], device="strict")
    assert repr(x) == repr(Tensor([1.0, 2.0]))
    assert str(x) == "[1. 2.]"
    assert x.sum().item() == float(x.sum()) == 3.0
    assert bool(x[0] == 1)
    assert pickle.loads(pickle.dumps(x)).device == strict_device
    values = x.numpy()
    values[0] = 7
    assert x[0].item() == 1
    np.testing.assert_array_equal(np.asarray(x, dtype="float32"), np.float32([1, 2]))
