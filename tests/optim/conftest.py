"""Parameters, gradients, layouts in memory, and the comparison with PyTorch."""

from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, RMSprop, executor

# a matrix, a row, a vector, a number, and a matrix larger than all others together
SHAPES = ((6, 5), (1, 5), (5,), (), (40, 30))

# every rule with all that it can do
OPTIMIZERS = {
    "sgd": lambda params: SGD(params, lr=0.1),
    "sgd_momentum": lambda params: SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd_nesterov": lambda params: SGD(params, 0.1, 0.9, dampening=0, nesterov=True),
    "adam": lambda params: Adam(params, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda params: Adam(params, lr=0.1, amsgrad=True, maximize=True),
    "adamw": lambda params: AdamW(params, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda params: RMSprop(params, 0.1, momentum=0.5, centered=True, weight_decay=0.1),
    "adagrad": lambda params: Adagrad(params, 0.1, initial_accumulator_value=0.1, lr_decay=0.1),
    "adadelta": lambda params: Adadelta(params, rho=0.8, weight_decay=0.1),
    "lion": lambda params: Lion(params, lr=0.1, weight_decay=0.1),
}

# up to how many elements are gathered, and how many the scratch has at least and at most
LAYOUTS = {"together": (8_192, 32_768, 131_072), "alone": (0, 32_768, 131_072), "pieces": (0, 7, 7)}


@pytest.fixture(params=OPTIMIZERS)
def any_optimizer(request) -> Callable[..., ndl.optim.Optimizer]:
    return OPTIMIZERS[request.param]


@pytest.fixture
def optimizer() -> ndl.optim.Optimizer:
    """Two groups with learning rates of their own."""
    return SGD([{"params": [ndl.Tensor([1.0])]}, {"params": [ndl.Tensor([1.0])], "lr": 0.5}], 0.1)


@pytest.fixture
def lay_out(monkeypatch) -> Callable[[str], None]:
    """Choose how optimizers walk over memory from now on."""

    def choose(layout):
        for name, value in zip(
            ("_SMALL", "_LEAST_SCRATCH", "_MOST_SCRATCH"), LAYOUTS[layout], strict=True
        ):
            monkeypatch.setattr(executor, name, value)

    return choose


@pytest.fixture
def make_params() -> Callable[..., list[ndl.Tensor]]:
    def make(shapes=SHAPES, dtype="float32", seed=0):
        rng = np.random.default_rng(seed)
        return [ndl.Tensor(rng.normal(size=shape), dtype=dtype) for shape in shapes]

    return make


@pytest.fixture
def give_gradients() -> Callable[..., list[np.ndarray]]:
    """Set `.grad` of every parameter to random numbers; returns the arrays."""

    def give(params, seed=0):
        rng = np.random.default_rng(seed)
        arrays = [np.asarray(rng.normal(size=p.shape), p.dtype) for p in params]
        for param, array in zip(params, arrays, strict=True):
            param.grad = ndl.Tensor.make_const(array)
        return arrays

    return give


@pytest.fixture
def train(give_gradients) -> Callable[..., None]:
    """Take steps on random gradients."""

    def run(optimizer, steps):
        for step in steps:
            give_gradients(optimizer.params, seed=step)
            optimizer.step()

    return run


@pytest.fixture
def follow_torch(make_params, give_gradients) -> Callable[..., None]:
    """Step needle's optimizer and PyTorch's on the same gradients; compare all parameters.

    `lacks(step, position)` says where a parameter has no gradient; `change(step, optimizer)` is
    called on both optimizers before each step.
    """

    def follow(ours, theirs, *, steps, rtol, dtype="float32", lacks=None, change=None):
        torch = pytest.importorskip("torch")
        params = make_params(dtype=dtype)
        twins = [torch.nn.Parameter(torch.from_numpy(p.numpy())) for p in params]
        optimizer, twin_optimizer = ours(params), theirs(twins)
        for step in range(steps):
            if change is not None:
                change(step, optimizer)
                change(step, twin_optimizer)
            gradients = give_gradients(params, seed=step)
            for position, twin in enumerate(twins):
                twin.grad = torch.from_numpy(gradients[position].copy())
                if lacks is not None and lacks(step, position):
                    params[position].grad = twin.grad = None
            optimizer.step()
            twin_optimizer.step()
            for param, twin in zip(params, twins, strict=True):
                expected = twin.detach().numpy()
                assert param.dtype == expected.dtype
                # the values started at about 1: one that passes 0 keeps that absolute error
                np.testing.assert_allclose(param.numpy(), expected, rtol=rtol, atol=rtol)

    return follow
