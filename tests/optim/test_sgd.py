import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD


def test_plain_step_follows_the_gradient(make_params, give_gradients):
    params = make_params()
    before = [param.numpy() for param in params]
    gradients = give_gradients(params)
    SGD(params, lr=0.1).step()
    for param, start, gradient in zip(params, before, gradients, strict=True):
        np.testing.assert_allclose(param.numpy(), start - np.float32(0.1) * gradient, rtol=1e-6)


def test_the_first_gradient_of_the_default_rule_counts_by_its_share():
    # u = 0.9·0 + 0.1·1 = 0.1, then 0.9·0.1 + 0.1·1 = 0.19
    weight = ndl.Tensor([1.0])
    optimizer = SGD([weight], lr=1.0, momentum=0.9)
    for expected in (0.9, 0.71):
        weight.grad = ndl.Tensor([1.0])
        optimizer.step()
        assert weight.item() == pytest.approx(expected, rel=1e-12)


def test_momentum_and_weight_decay_by_the_course_formula(make_params, give_gradients):
    lr, beta, decay = 0.05, 0.8, 0.01
    params = make_params(dtype="float64")
    theta = [param.numpy() for param in params]
    velocity = [np.zeros_like(values) for values in theta]
    optimizer = SGD(params, lr, beta, decay)
    for step in range(50):
        gradients = give_gradients(params, seed=step)
        optimizer.step()
        for i, gradient in enumerate(gradients):
            velocity[i] = beta * velocity[i] + (1 - beta) * (gradient + decay * theta[i])
            theta[i] = theta[i] - lr * velocity[i]
            np.testing.assert_allclose(params[i].numpy(), theta[i], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0, "weight_decay": 0.05},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0, "nesterov": True},
        {"lr": 0.05, "momentum": 0.7, "dampening": 0, "nesterov": True, "weight_decay": 0.05},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.9, "weight_decay": 0.05},
    ],
)
def test_follows_torch(follow_torch, settings, dtype):
    torch = pytest.importorskip("torch")
    follow_torch(
        lambda params: SGD(params, **settings),
        lambda params: torch.optim.SGD(params, **settings),
        steps=50,
        rtol=1e-6,
        dtype=dtype,
    )


def test_default_nesterov_looks_ahead_by_the_share_of_the_gradient():
    # u = 0.5; θ = 0 - (0.5·0.5 + 0.5·1)
    weight = ndl.Tensor([0.0])
    weight.grad = ndl.Tensor([1.0])
    SGD([weight], lr=1.0, momentum=0.5, nesterov=True).step()
    assert weight.item() == pytest.approx(-0.75)


def test_trains_through_backward_like_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x, target = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    weight = ndl.Tensor(rng.normal(size=(4, 2)))
    twin = torch.nn.Parameter(torch.from_numpy(weight.numpy()))
    settings = {"lr": 0.01, "momentum": 0.9, "dampening": 0, "weight_decay": 0.01}
    optimizer, twin_optimizer = SGD([weight], **settings), torch.optim.SGD([twin], **settings)
    for _ in range(50):
        optimizer.zero_grad()
        ((ndl.Tensor(x) @ weight - ndl.Tensor(target)) ** 2).sum().backward(create_graph=False)
        optimizer.step()
        twin_optimizer.zero_grad()
        ((torch.from_numpy(x) @ twin - torch.from_numpy(target)) ** 2).sum().backward()
        twin_optimizer.step()
    np.testing.assert_allclose(weight.numpy(), twin.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -0.1),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("momentum", -0.9),
        ("weight_decay", -1e-4),
        ("weight_decay", float("nan")),
    ],
)
def test_impossible_settings_are_refused_by_name(make_params, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .*got {value}"):
        SGD(make_params(), **{name: value})


@pytest.mark.parametrize(
    "settings", [{"nesterov": True}, {"nesterov": True, "momentum": 0.9, "dampening": 0.5}]
)
def test_nesterov_needs_momentum_and_no_dampening(make_params, settings):
    with pytest.raises(ValueError, match="nesterov"):
        SGD(make_params(), **settings)
