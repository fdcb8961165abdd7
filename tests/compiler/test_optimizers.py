"""Compiled training steps against eager ones: every optimizer, and all that goes with them."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Optimizer,
    RMSprop,
    clip_grad_norm_,
    clip_grad_value_,
    lr_scheduler,
)  # fmt: skip
from tests.compiler.steps import batches, network, training

OPTIMIZERS = {
    "sgd": lambda params: SGD(params, lr=0.1),
    "momentum": lambda params: SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda params: SGD(params, 0.1, 0.9, dampening=0, nesterov=True),
    "maximize": lambda params: SGD(params, lr=0.01, maximize=True),
    "adam": lambda params: Adam(params, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda params: Adam(params, lr=0.1, amsgrad=True, maximize=True),
    "adamw": lambda params: AdamW(params, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda params: RMSprop(params, 0.1, momentum=0.5, centered=True, weight_decay=0.1),
    "adagrad": lambda params: Adagrad(params, 0.1, initial_accumulator_value=0.1, lr_decay=0.1),
    "adadelta": lambda params: Adadelta(params, rho=0.8, weight_decay=0.1),
    "lion": lambda params: Lion(params, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_steps_are_those_of_the_optimizer(name, dtype, agree):
    step = agree(training(OPTIMIZERS[name], dtype), batches(dtype=dtype))
    assert step.recordings == 1


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_eager_and_compiled_steps_alternate(name, agree):
    agree(training(OPTIMIZERS[name], "float64"), batches(6, dtype="float64"), eager_every=2)


@pytest.mark.parametrize("joined", [True, False])
def test_large_and_small_parameters(joined, agree, monkeypatch):
    monkeypatch.setattr(ndl.optim.executor, "_SMALL", 8_192 if joined else 0)
    shapes = (6, 5), (1, 5), (5,), (), (300, 200)

    def build():
        rng = np.random.default_rng(0)
        params = [ndl.Tensor(rng.normal(size=shape), dtype="float32") for shape in shapes]
        optimizer = Adam(params, lr=0.1)

        def step(x):
            loss = sum([((p * x) ** 2).mean() for p in params])
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        return step, [*params, optimizer]

    agree(build, [(np.asarray(x, "float32"),) for x in (1.0, 2.0, 3.0)])


# --- what changes between steps


def test_settings_change_without_a_new_recording(agree):
    def between(number, model, optimizer):
        optimizer.lr = 0.1 / (number + 1)
        optimizer.param_groups[0]["beta1"] = 0.9 - 0.01 * number

    step = agree(training(OPTIMIZERS["adam"]), batches(), between=between)
    assert step.recordings == 1


def test_momentum_changes_without_a_new_recording(agree):
    def between(number, model, optimizer):
        optimizer.momentum = 0.9 - 0.1 * number

    step = agree(training(OPTIMIZERS["momentum"]), batches(), between=between)
    assert step.recordings == 1


def test_a_term_that_appears_is_recorded_anew(agree):
    def between(number, model, optimizer):
        optimizer.weight_decay = 0.0 if number < 2 else 0.1 * number

    step = agree(training(OPTIMIZERS["momentum"]), batches(), between=between)
    assert step.recordings == 2


@pytest.mark.parametrize("is_inside", [True, False])
def test_schedules(is_inside, agree):
    def build():
        model = network()
        optimizer = SGD(model.parameters(), lr=0.1)
        schedule = lr_scheduler.CosineAnnealingLR(optimizer, 4)

        def step(images, labels):
            loss = nn.SoftmaxLoss()(model(images), labels)
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            if is_inside:
                schedule.step()
            return loss

        return step, [model, optimizer, schedule]

    def between(number, model, optimizer, schedule):
        if number and not is_inside:
            schedule.step()

    step = agree(build, batches(6), between=between)
    assert step.recordings == 1


def test_freezing_is_recorded_anew(agree):
    def between(number, model, optimizer):
        model[0].weight.requires_grad = number % 2 == 0

    step = agree(training(OPTIMIZERS["momentum"]), batches(6), between=between)
    # the third is for the optimizer, which no longer joins the two parameters
    assert step.recordings == 3


def test_a_smaller_last_batch_is_the_second_recording(agree):
    data = [*batches(3), *batches(1, rows=2)]
    step = agree(training(OPTIMIZERS["adam"]), data * 2)
    assert step.recordings == 2


def test_loaded_state(agree):
    saved = []

    def between(number, model, optimizer):
        if number == 1:
            saved[:] = [model.state_dict(), optimizer.state_dict()]
        if number == 3:
            model.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])

    agree(training(OPTIMIZERS["adam"]), batches(6), between=between)


def test_a_checkpoint_of_compiled_steps_is_resumed(tmp_path, executor, close):
    def run(first, last, resumed=False):
        np.random.seed(0)
        function, (model, optimizer) = training(OPTIMIZERS["adam"])()
        if resumed:
            model.load_state_dict(ndl.load(tmp_path / "model"))
            optimizer.load_state_dict(ndl.load(tmp_path / "optimizer"))
        step = ndl.compile(function, executor=executor)
        for images, labels in batches(5)[first:last]:
            step(ndl.Tensor(images), ndl.Tensor(labels, requires_grad=False))
        ndl.save(model.state_dict(), tmp_path / "model")
        ndl.save(optimizer.state_dict(), tmp_path / "optimizer")
        return {name: value.numpy() for name, value in model.state_dict().items()}

    whole = run(0, 5)
    run(0, 2)
    close(run(2, 5, resumed=True), whole)


# --- gradients on their way


@pytest.mark.parametrize(
    "clip",
    [
        lambda model: clip_grad_norm_(model.parameters(), 0.1),
        lambda model: clip_grad_norm_(model.parameters(), 1e6),
        lambda model: clip_grad_norm_(model.parameters(), 0.1, norm_type=3),
        lambda model: clip_grad_norm_(model.parameters(), 0.1, norm_type="inf"),
        lambda model: clip_grad_value_(model.parameters(), 0.01),
    ],
)
def test_clipping(clip, agree):
    def before_step(model):
        clip(model)

    agree(training(OPTIMIZERS["momentum"], before_step=before_step), batches())


def test_the_norm_that_clipping_returns(executor):
    function, _ = training(
        OPTIMIZERS["sgd"], "float64", lambda model: clip_grad_norm_(model.parameters(), 0.1)
    )()
    ((images, labels),) = batches(1, dtype="float64")
    np.random.seed(0)
    _, norm = ndl.compile(function, executor=executor)(
        ndl.Tensor(images, requires_grad=False), ndl.Tensor(labels, requires_grad=False)
    )
    assert norm.shape == ()
    assert norm.item() > 0.1


def test_gradients_that_the_step_changes_by_hand(agree):
    def before_step(model):
        for parameter in model.parameters():
            parameter.grad = parameter.grad * 0.5 + parameter.detach() * 0.1

    agree(training(OPTIMIZERS["momentum"], before_step=before_step), batches())


def test_gradients_are_added_inside(agree):
    def build():
        model, loss_function = network(), nn.SoftmaxLoss()
        optimizer = Adam(model.parameters(), lr=0.1)

        def step(images, labels):
            optimizer.reset_grad()
            losses = []
            for rows in (slice(0, 3), slice(3, 6)):
                loss = loss_function(model(images[rows]), labels[rows]) / 2
                loss.backward(create_graph=False, accumulate=True)
                losses.append(loss)
            optimizer.step()
            return losses

        return step, [model, optimizer]

    agree(build, batches())


def test_gradients_are_added_across_calls(agree, executor, close):
    def build():
        model, loss_function = network(), nn.SoftmaxLoss()
        optimizer = SGD(model.parameters(), lr=0.1)

        def step(images, labels):
            loss = loss_function(model(images), labels)
            loss.backward(create_graph=False, accumulate=True)
            return loss

        return step, [model, optimizer]

    def between(number, model, optimizer):
        if number % 2 == 0 and number:
            optimizer.step()
            optimizer.reset_grad()

    step = agree(build, batches(6), between=between)
    assert step.recordings == 2  # with and without former gradients


# --- parameters


def test_groups_and_frozen_parameters(agree):
    def build():
        model = network()
        model[0].bias.requires_grad = False
        optimizer = AdamW(
            [
                {"params": [model[0].weight, model[0].bias], "lr": 0.01},
                {"params": model[2].parameters(), "weight_decay": 0.5},
            ],
            lr=0.1,
        )

        def step(images, labels):
            loss = nn.SoftmaxLoss()(model(images), labels)
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        return step, [model, optimizer]

    agree(build, batches())


def test_a_parameter_that_gets_no_gradient(agree):
    def build():
        model, unused = network(), nn.Parameter([1.0, 2.0])
        optimizer = Adam([*model.parameters(), unused], lr=0.1)

        def step(images, labels):
            loss = nn.SoftmaxLoss()(model(images), labels)
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            optimizer.step()
            return loss

        return step, [model, unused, optimizer]

    agree(build, batches())


def test_two_networks_against_each_other(agree):
    def build():
        maker, judge = nn.Linear(2, 5), nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
        of_maker, of_judge = Adam(maker.parameters(), lr=0.01), SGD(judge.parameters(), lr=0.1)
        loss_function = nn.BCEWithLogitsLoss()

        def step(real, labels):
            noise = ndl.init.randn(6, 2)
            made = maker(noise)
            of_judge.reset_grad()
            ones, zeros = ndl.init.ones(6, 1), ndl.init.zeros(6, 1)
            loss_judge = loss_function(judge(real), ones) + loss_function(
                judge(made.detach()), zeros
            )
            loss_judge.backward(create_graph=False)
            of_judge.step()
            of_maker.reset_grad()
            loss_maker = loss_function(judge(made), ones)
            loss_maker.backward(create_graph=False)
            of_maker.step()
            return {"judge": loss_judge, "maker": loss_maker}

        return step, [maker, judge, of_maker, of_judge]

    step = agree(build, batches())
    assert step.recordings == 1


# --- what users write


class Signs(Optimizer):
    """A rule with np.where and a state."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    def initial_state(self, group):
        return {"mean": 0.0}

    def update(self, theta, g, state, settings, step):
        mean = 0.9 * state["mean"] + 0.1 * g
        size = np.where(mean * g > 0, 1.0, 0.5)
        return theta - settings.lr * size * np.sign(mean) / np.sqrt(step), {"mean": mean}


class ByHand(Optimizer):
    """A step of its own, by p.data."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    def step(self):
        for param in self.params:
            param.data = param.data - self.lr * param.grad.data


class InPlace(Optimizer):
    """A step of its own, in place."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    def step(self):
        with ndl.no_grad():
            for param in self.params:
                param.add_(param.grad * -self.lr)


@pytest.mark.parametrize("kind", [Signs, ByHand, InPlace])
def test_a_users_own_optimizer(kind, agree):
    step = agree(training(lambda params: kind(params, lr=0.1)), batches())
    assert step.recordings == 1


def test_a_step_without_optimizer(agree):
    def build():
        weight = ndl.Tensor(np.ones((5, 3), "float32"))

        def step(images, labels):
            loss = nn.SoftmaxLoss()(images @ weight, labels)
            loss.backward(create_graph=False)
            with ndl.no_grad():
                weight.data = weight.data - 0.1 * weight.grad.data
            return loss

        return step, [weight]

    agree(build, batches())
