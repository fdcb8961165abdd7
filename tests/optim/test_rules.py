"""The rules of all optimizers but SGD, which has its own file."""

import inspect

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, RMSprop

RULES = {
    "sgd_maximize": (SGD, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "adam": (Adam, {"lr": 0.01}),
    "adam_betas": (Adam, {"lr": 0.01, "betas": (0.7, 0.9), "eps": 1e-3}),
    "adam_beta_0": (Adam, {"lr": 0.01, "betas": (0.0, 0.5)}),
    "adam_decay": (Adam, {"lr": 0.01, "weight_decay": 0.1}),
    "amsgrad": (Adam, {"lr": 0.01, "betas": (0.9, 0.5), "amsgrad": True}),
    "adam_maximize": (Adam, {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    "adamw": (AdamW, {}),
    "adamw_decay": (AdamW, {"lr": 0.01, "weight_decay": 0.5, "amsgrad": True}),
    "adamw_maximize": (AdamW, {"lr": 0.01, "weight_decay": 0.5, "maximize": True}),
    "rmsprop": (RMSprop, {}),
    "rmsprop_decay": (RMSprop, {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop_momentum": (RMSprop, {"momentum": 0.9}),
    "rmsprop_centered": (RMSprop, {"centered": True, "momentum": 0.5, "maximize": True}),
    "adagrad": (Adagrad, {}),
    "adagrad_decay": (Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    "adagrad_start": (Adagrad, {"initial_accumulator_value": 2.0, "eps": 0.1, "maximize": True}),
    "adadelta": (Adadelta, {}),
    "adadelta_decay": (Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    "adadelta_rho_0": (Adadelta, {"rho": 0.0}),
    "adadelta_maximize": (Adadelta, {"maximize": True}),
}


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("rule", RULES)
def test_follows_torch(follow_torch, rule, dtype, rtol):
    torch = pytest.importorskip("torch")
    optimizer, settings = RULES[rule]
    follow_torch(
        lambda params: optimizer(params, **settings),
        lambda params: getattr(torch.optim, optimizer.__name__)(params, **settings),
        steps=100,
        rtol=rtol,
        dtype=dtype,
    )


@pytest.mark.parametrize("rule", ["adam_decay", "adamw", "rmsprop_momentum", "adagrad_decay"])
def test_each_parameter_counts_its_own_steps_like_torch(follow_torch, rule):
    torch = pytest.importorskip("torch")
    optimizer, settings = RULES[rule]
    follow_torch(
        lambda params: optimizer(params, **settings),
        lambda params: getattr(torch.optim, optimizer.__name__)(params, **settings),
        steps=20,
        rtol=1e-10,
        dtype="float64",
        lacks=lambda step, position: position == 1 or (step < 5 and position == 2) or step == 9,
    )


def test_a_learning_rate_changed_in_the_groups_like_torch(follow_torch):
    torch = pytest.importorskip("torch")

    def change(step, optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 + step % 3)
            group["betas"] = (0.9 - step / 100, 0.99)

    follow_torch(
        lambda params: Adam(params),
        lambda params: torch.optim.Adam(params),
        steps=20,
        rtol=1e-10,
        dtype="float64",
        change=change,
    )


@pytest.mark.parametrize(("decay", "maximize"), [(0.0, False), (0.3, False), (0.3, True)])
def test_lion_by_its_formula(make_params, give_gradients, decay, maximize):
    lr, beta1, beta2 = 0.01, 0.8, 0.95
    params = make_params(dtype="float64")
    theta = [param.numpy() for param in params]
    mean = [np.zeros_like(values) for values in theta]
    betas = (beta1, beta2)
    optimizer = Lion(params, lr, betas=betas, weight_decay=decay, maximize=maximize)
    for step in range(100):
        gradients = give_gradients(params, seed=step)
        optimizer.step()
        for i, gradient in enumerate(-g if maximize else g for g in gradients):
            direction = np.sign(beta1 * mean[i] + (1 - beta1) * gradient)
            theta[i] = theta[i] - lr * (direction + decay * theta[i])
            mean[i] = beta2 * mean[i] + (1 - beta2) * gradient
            np.testing.assert_allclose(params[i].numpy(), theta[i], rtol=1e-10, atol=1e-10)


def test_adam_takes_its_betas_by_both_names():
    weight = ndl.Tensor([1.0])
    first = Adam([weight], 0.01, 0.7, 0.8)
    second = Adam([weight], 0.01, betas=(0.7, 0.8))
    assert first.param_groups == second.param_groups
    assert (first.beta1, first.beta2) == first.param_groups[0]["betas"] == (0.7, 0.8)


def test_signatures_hold_settings_in_order_with_defaults():
    adam = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    adam |= {"amsgrad": False, "betas": None, "maximize": False}
    for kind, defaults in ((Adam, adam), (AdamW, {**adam, "lr": 0.001, "weight_decay": 0.01})):
        (params, *settings) = inspect.signature(kind).parameters.values()
        assert (params.name, params.default) == ("params", params.empty)
        assert [(each.name, each.default) for each in settings] == list(defaults.items())
        assert [each.name for each in settings if each.kind == each.KEYWORD_ONLY] == [
            "betas",
            "maximize",
        ]
        optimizer = kind([ndl.Tensor([1.0])])
        assert {name: getattr(optimizer, name) for name in defaults if name != "betas"} == {
            name: value for name, value in defaults.items() if name != "betas"
        }


def test_centered_rmsprop_stays_finite_on_a_constant_gradient():
    # the variance of a constant is 0, and rounding must not take it below
    weight = ndl.Tensor(np.ones(50, "float32"))
    optimizer = RMSprop([weight], lr=1e-9, alpha=0.1, centered=True)
    for _ in range(60):
        weight.grad = ndl.Tensor(np.linspace(0.1, 7, 50), dtype="float32")
        optimizer.step()
    assert np.isfinite(weight.numpy()).all()
