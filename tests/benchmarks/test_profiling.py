"""The clocks charge every moment once, to the section in which it passed."""

import time

import numpy as np
import pytest

import needle as ndl
from benchmarks import profiling
from benchmarks.workload import Job


@pytest.fixture
def moments(monkeypatch):
    """A clock that stands still unless it is told to go on."""
    now = [0]
    monkeypatch.setattr(time, "perf_counter_ns", lambda: now[0])

    def spend(nanoseconds):
        now[0] += nanoseconds

    return spend


def test_sections_are_charged_what_no_inner_section_is(moments):
    clock = profiling.Clock()
    inner = clock.wrap("inner", lambda: moments(5))

    def outer():
        moments(100)
        inner()
        moments(20)
        inner()
        moments(3)

    step = clock.wrap("outer", outer)
    for _ in range(3):
        step()
        clock.end_step()
    assert clock.rows() == [("outer", 1, 123), ("inner", 2, 10)]


def test_a_disturbed_step_does_not_count(moments):
    clock = profiling.Clock()
    step = clock.wrap("step", moments)
    for nanoseconds in (10, 10, 10, 5000, 10):
        step(nanoseconds)
        clock.end_step()
    assert clock.rows() == [("step", 1, 10)]


def test_an_error_closes_its_section(moments):
    clock = profiling.Clock()

    def fail():
        moments(7)
        raise ValueError("on purpose")

    failing = clock.wrap("failing", fail)

    def outer():
        with pytest.raises(ValueError, match="on purpose"):
            failing()
        moments(2)

    clock.wrap("outer", outer)()
    clock.end_step()
    assert clock.rows() == [("failing", 1, 7), ("outer", 1, 2)]


def test_the_cost_of_the_clock_is_found():
    clock = profiling.Clock()
    clock.calibrate()
    assert 0 < clock._own_cost < 1e5
    assert 0 <= clock._outer_cost < 1e5


def test_a_profile_lists_every_op_and_leaves_no_trace():
    before = [
        vars(op).get(name)
        for op in profiling._subclasses(ndl.Op)
        for name in ("compute", "gradient")
    ]
    weight = ndl.Tensor(np.ones((3, 3), np.float32))
    optimizer = ndl.optim.SGD([weight], lr=0.0)

    def step():
        loss = ndl.exp(weight @ weight).sum()
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    lines = profiling.profile(Job(step), seconds=0.02).splitlines()
    calls = {line[:32].strip(): line[32:40].strip() for line in lines}
    expected = {"MatMul.compute": "3", "Exp.compute": "1", "SGD.step": "1"}
    assert expected.items() <= calls.items()
    assert calls["backward: walk of the graph"] == "1"
    after = [
        vars(op).get(name)
        for op in profiling._subclasses(ndl.Op)
        for name in ("compute", "gradient")
    ]
    assert before == after
