"""A training on the batches of all ranks joined, and the same on the ranks: what checks share."""

import numpy as np

import needle as ndl
from needle import Tensor, distributed, nn, optim
from needle.optim import lr_scheduler

RANK, SIZE = distributed.rank(), distributed.size()
BATCH = 6 * SIZE


def batches(steps, dtype="float64"):
    rng = np.random.default_rng(0)
    for _ in range(steps):
        yield rng.normal(size=(BATCH, 5)).astype(dtype), rng.integers(0, 3, BATCH)


def part(array):
    """The rows of this rank."""
    return array[RANK::SIZE]


def new_model(seed, dtype="float64"):
    """A model; ranks draw it from different seeds."""
    np.random.seed(seed)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3))
    return model.to(dtype=dtype)


OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1, weight_decay=1e-2),
    "momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda params: optim.Adam(params, lr=0.01, weight_decay=1e-2),
    "amsgrad": lambda params: optim.Adam(params, lr=0.01, amsgrad=True),
    "AdamW": lambda params: optim.AdamW(params, lr=0.01, weight_decay=1e-1),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda params: optim.Adagrad(params, lr=0.05),
    "Adadelta": lambda params: optim.Adadelta(params, rho=0.8),
    "Lion": lambda params: optim.Lion(params, lr=0.001),
    "groups": lambda params: optim.Adam([
        {"params": params[:1]}, {"params": params[1:4], "lr": 0.05, "weight_decay": 0.1},
        {"params": params[4:]},
    ], lr=0.01),
}  # fmt: skip


def step_of(model, optimizer, clip=None, accumulate=1):
    def step(x, y):
        optimizer.reset_grad()
        total = 0.0
        for i in range(accumulate):
            rows = slice(i, None, accumulate)
            loss = nn.functional.softmax_loss(model(x[rows]), y[rows]) / accumulate
            loss.backward(create_graph=False, accumulate=accumulate > 1)
            total = total + loss.detach()
        if clip is not None:
            optimizer.clip_grad_norm(clip)
        optimizer.step()
        return total

    return step


def train(make, is_wrapped, steps=5, schedule=None, is_compiled=False, options=None, **settings):
    """The parameters after some steps, on the rows of this rank or on all."""
    model = new_model(seed=RANK if is_wrapped else 0)
    optimizer = make(list(model.parameters()))
    if is_wrapped:
        optimizer = distributed.wrap(optimizer, model, **(options or {}))
    scheduler = schedule and schedule(optimizer)
    step = step_of(model, optimizer, **settings)
    if is_compiled:
        step = ndl.compile(step)
    losses = []
    for x, y in batches(steps):
        x, y = (part(x), part(y)) if is_wrapped else (x, y)
        loss = step(Tensor(x, requires_grad=False), Tensor(y, requires_grad=False))
        losses.append(distributed.all_reduce(loss, op="mean").item() if is_wrapped else loss.item())
        if scheduler:
            scheduler.step()
    assert not is_compiled or step.recordings == 1
    return [losses, *[param.numpy() for param in model.parameters()]], optimizer


def assert_same(make, **settings):
    expected, plain = train(make, False, **{**settings, "is_compiled": False})
    found, wrapped = train(make, True, **settings)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    return plain, wrapped


SCHEDULE = {
    "step": lambda optimizer: lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 5),
}


def assert_same_state(found, expected):
    assert found["param_groups"] == expected["param_groups"]
    assert found["state"].keys() == expected["state"].keys()
    for position, entry in expected["state"].items():
        assert found["state"][position].keys() == entry.keys()
        for name, array in entry.items():
            np.testing.assert_allclose(found["state"][position][name], array, rtol=1e-6, atol=1e-12)
