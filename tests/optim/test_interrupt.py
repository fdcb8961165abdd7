"""Ctrl-C in a step: no state is lost, and the optimizer goes on."""

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle.optim import Adagrad, Adam, Optimizer

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


def interrupted(function: Callable[[], None], line: int) -> bool:
    """Whether `function` was interrupted, at a line of the optimizer's files with this number."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        file = frame.f_code.co_filename
        if not file.endswith(("executor.py", "optimizer.py", "state.py")) and file != "<string>":
            return None
        if event == "line":
            count += 1
            if count == line:
                sys.settrace(former)
                raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
    return False


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
        if not interrupted(lambda: action(optimizer), line):  # noqa: B023
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
