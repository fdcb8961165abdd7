"""Training and saving on strict arrays, and how often a step reads from the device."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    RMSprop,
    clip_grad_norm_,
    clip_grad_value_,
)

OPTIMIZERS = {
    "sgd": lambda params: SGD(params, lr=0.1),
    "momentum": lambda params: SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda params: SGD(params, 0.1, 0.9, dampening=0, nesterov=True),
    "adam": lambda params: Adam(params, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda params: Adam(params, lr=0.1, amsgrad=True, maximize=True),
    "adamw": lambda params: AdamW(params, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda params: RMSprop(params, 0.1, momentum=0.5, centered=True, weight_decay=0.1),
    "adagrad": lambda params: Adagrad(params, 0.1, initial_accumulator_value=0.1, lr_decay=0.1),
    "adadelta": lambda params: Adadelta(params, rho=0.8, weight_decay=0.1),
    "lion": lambda params: Lion(params, lr=0.1, weight_decay=0.1),
}


def network(device):
    return nn.Sequential(
        nn.Linear(5, 8, bias=False, device=device),
        nn.BatchNorm1d(8, device=device),
        nn.ReLU(),
        nn.Residual(nn.Sequential(nn.Linear(8, 8, device=device), nn.Dropout(0.2))),
        nn.LayerNorm1d(8, device=device),
        nn.Linear(8, 3, device=device),
    )


def batches(device, count=3):
    rng = np.random.default_rng(0)
    for _ in range(count):
        x, y = np.asarray(rng.normal(size=(6, 5)), "float32"), rng.integers(0, 3, size=6)
        yield Tensor(x, device=device), Tensor(y, device=device, requires_grad=False)


def train(model, optimizer, device, clip=lambda optimizer: None):
    for x, y in batches(device):
        optimizer.reset_grad()
        nn.SoftmaxLoss()(model(x), y).backward(create_graph=False)
        clip(optimizer)
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training(name, check_both):
    def run(device):
        model = network(device)
        train(model, OPTIMIZERS[name](model.parameters()), device)
        return [*model.parameters(), *model.buffers()]

    check_both(run, 1e-4)


CLIPPING = {
    "norm": lambda params: clip_grad_norm_(params, 0.01),
    "norm of ones": lambda params: clip_grad_norm_(params, 0.01, norm_type=1),
    "largest": lambda params: clip_grad_norm_(params, 0.01, norm_type="inf"),
    "checked": lambda params: clip_grad_norm_(params, 0.01, error_if_nonfinite=True),
    "value": lambda params: clip_grad_value_(params, 0.001),
}


@pytest.mark.parametrize("name", CLIPPING)
def test_clipping(name, check_both, strict_array):
    def run(device):
        model = network(device)
        x, y = next(batches(device))
        nn.CrossEntropyLoss()(model(x), y).backward()
        before = strict_array.reads
        CLIPPING[name](model.parameters())
        assert strict_array.reads - before <= (name != "value")
        return [parameter.grad for parameter in model.parameters()]

    check_both(run)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_reads_one_number_to_check_labels_and_one_to_clip(name, strict_array, monkeypatch):
    np.random.seed(0)
    model = network("strict")
    optimizer = OPTIMIZERS[name](model.parameters())
    read = []
    get = strict_array.get
    monkeypatch.setattr(strict_array, "get", lambda self: read.append(self.size) or get(self))
    steps = batches("strict", 4)

    def step(clip):
        read.clear()
        x, y = next(steps)
        optimizer.reset_grad()
        predicted = model(x)
        assert read == []
        loss = nn.SoftmaxLoss()(predicted, y)
        labels = len(read)
        assert labels == 1
        loss.backward(create_graph=False)
        assert len(read) == labels
        if clip:
            optimizer.clip_grad_norm()
        optimizer.step()
        assert len(read) - labels == clip
        assert max(read, default=0) <= max(2, len(model.parameters()) * clip)

    for clip in (False, True, False):
        step(clip)


def test_states_travel_between_devices(tmp_path, strict_device):
    pytest.importorskip("safetensors")
    model = network("strict")
    optimizer = Adam(model.parameters(), lr=0.1)
    train(model, optimizer, "strict")
    path = tmp_path / "model.safetensors"
    ndl.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    saved = ndl.load(path)
    for device in ("cpu", "strict"):
        restored = network(device)
        other = Adam(restored.parameters(), lr=0.1)
        restored.load_state_dict(saved["model"])
        other.load_state_dict(saved["optimizer"])
        np.random.seed(1)
        train(restored, other, device)
        if device == "cpu":
            expected = [parameter.numpy() for parameter in restored.parameters()]
    for parameter, array in zip(restored.parameters(), expected, strict=True):
        assert parameter.device == strict_device
        np.testing.assert_allclose(parameter.numpy(), array, 1e-4, 1e-4)


def test_states_load_from_the_device_itself(strict_device):
    first, second, third = network("strict"), network("strict"), network("cpu")
    second.load_state_dict(first.state_dict())
    third.load_state_dict(first.state_dict())
    for one, two, three in zip(*[m.parameters() for m in (first, second, third)], strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
        np.testing.assert_array_equal(one.numpy(), three.numpy())
        assert two.device == strict_device
        assert three.device == ndl.cpu()
