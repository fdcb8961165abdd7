"""Ctrl-C in a step: no state is lost, and the optimizer goes on."""

import copy
from types import FrameType

import numpy as np
import pytest

import needle as ndl
from needle.optim import Adagrad, Adam, Optimizer
from tests.interruption import interrupted

SHAPES = [(3, 2), (4,), (100, 90), (2, 2)]  # two of them in a bucket of their own


def trained(kind: type[Optimizer]) -> Optimizer:
    """An optimizer that has made two steps."""
    params = [ndl.Tensor(np.full(shape, 2.0)) for shape in SHAPES]
    optimizer = kind(params, lr=0.01)
    for _ in range(2):
        give_gradients(optimizer)
        optimizer.step()
    return optimizer


def give_gradients(optimizer: Optimizer, absent: tuple[int, ...] = ()) -> None:
    for position, param in enumerate(optimizer.params):
        given = ndl.Tensor(np.full(param.shape, 3.0))
        param.grad = None if position in absent else given


def lack_gradients(optimizer: Optimizer) -> None:
    give_gradients(optimizer, absent=(0, 3))
    optimizer.step()


def add_a_group(optimizer: Optimizer) -> None:
    optimizer.add_param_group({"params": [ndl.Tensor(np.ones(7))], "lr": 0.1})
    give_gradients(optimizer)
    optimizer.step()


def load_state(optimizer: Optimizer) -> None:
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()


def change_a_flag(optimizer: Optimizer) -> None:
    optimizer.param_groups[0]["maximize"] = True
    optimizer.step()


def in_the_optimizer(frame: FrameType) -> bool:
    """Whether a frame runs the optimizer's own files, or a compiled rule."""
    file = frame.f_code.co_filename
    return file == "<string>" or file.endswith(("executor.py", "optimizer.py", "state.py"))


@pytest.mark.parametrize(("kind", "action"), [
    (Adam, lack_gradients), (Adam, add_a_group), (Adam, load_state), (Adam, change_a_flag),
    (Adagrad, lack_gradients),
])  # fmt: skip
def test_an_interrupted_step_loses_no_state(kind, action) -> None:
    first = trained(kind)
    before = [copy.deepcopy(first.state[param]) for param in first.params]
    line = 1
    while True:
        optimizer = trained(kind)
        if not interrupted(lambda: action(optimizer), line, "line", in_the_optimizer):  # noqa: B023
            break
        here = f"interrupted at line {line}"
        state = optimizer.state
        for position, param in enumerate(optimizer.params[: len(SHAPES)]):
            own, former = state[param], before[position]
            assert own.keys() == former.keys(), here
            assert own["step"] in (2, 3), here
            for name in own.keys() - {"step"}:
                assert np.abs(own[name]).min() > 0, here
                if own["step"] == 3:  # the count follows the arrays
                    assert (own[name] != former[name]).all(), here
        optimizer.load_state_dict(optimizer.state_dict())
        give_gradients(optimizer)
        optimizer.step()
        steps = {optimizer.state[param]["step"] for param in optimizer.params[: len(SHAPES)]}
        assert steps <= {3, 4}, here
        line += 1
    assert line > 30


@pytest.mark.parametrize("first_step", [True, False])
def test_a_step_that_groups_parameters_anew_may_be_interrupted_anywhere(first_step):
    is_interrupted, at = True, 0
    while is_interrupted:
        at += 601 if first_step else 61  # the first step compiles its rule
        params = [ndl.Tensor(np.ones(3)), ndl.Tensor(np.ones(2))]
        optimizer = Adam(params, lr=0.1)
        for param in params:
            param.grad = ndl.Tensor(np.ones(param.shape), requires_grad=False)
        if not first_step:
            optimizer.step()
            params[1].grad = None
        before = optimizer.state_dict()["state"]
        is_interrupted = interrupted(optimizer.step, at)
        after = optimizer.state_dict()["state"]
        assert after.keys() >= before.keys(), at
        for number in before:
            assert after[number].keys() == before[number].keys(), at
        optimizer.step()
        assert all(np.isfinite(param.numpy()).all() for param in params)
    assert at > 50


def test_numbers_of_a_recorded_step_leave_the_observers():
    params = [ndl.Tensor(np.ones(3))]
    optimizer = Adam(params)
    observers = ndl.autograd.modes.observers
    params[0].grad = ndl.Tensor(np.ones(3), requires_grad=False)

    def watch(value, op, inputs):
        pass

    def step():
        with ndl.autograd.modes.override(observers, (watch,)):
            optimizer.step()

    is_interrupted, at = True, 0
    while is_interrupted:
        at += 601
        is_interrupted = interrupted(step, at)
        assert observers.get() == ()
