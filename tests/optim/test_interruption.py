"""Ctrl-C inside a step, at every bytecode: the optimizer keeps its state and goes on."""

import sys

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, optim


def interrupt(function, at):
    """Whether `function()` was interrupted at its `at`-th bytecode."""
    left = at

    def trace(frame, event, argument):
        nonlocal left
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left == 0:
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


@pytest.mark.parametrize("first_step", [True, False])
def test_a_step_that_groups_parameters_anew_may_be_interrupted_anywhere(first_step):
    interrupted, at = True, 0
    while interrupted:
        at += 601 if first_step else 61  # the first step compiles its rule
        params = [Tensor(np.ones(3)), Tensor(np.ones(2))]
        optimizer = optim.Adam(params, lr=0.1)
        for param in params:
            param.grad = Tensor(np.ones(param.shape), requires_grad=False)
        if not first_step:
            optimizer.step()
            params[1].grad = None
        before = optimizer.state_dict()["state"]
        interrupted = interrupt(optimizer.step, at)
        after = optimizer.state_dict()["state"]
        assert after.keys() >= before.keys(), at
        for number in before:
            assert after[number].keys() == before[number].keys(), at
        optimizer.step()
        assert all(np.isfinite(param.numpy()).all() for param in params)
    assert at > 50


def test_numbers_of_a_recorded_step_leave_the_observers():
    params = [Tensor(np.ones(3))]
    optimizer = optim.Adam(params)
    observers = ndl.autograd.modes.observers
    params[0].grad = Tensor(np.ones(3), requires_grad=False)

    def watch(value, op, inputs):
        pass

    def step():
        with ndl.autograd.modes.override(observers, (watch,)):
            optimizer.step()

    interrupted, at = True, 0
    while interrupted:
        at += 601
        interrupted = interrupt(step, at)
        assert observers.get() == ()
