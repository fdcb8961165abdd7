"""Endless loops are found; whatever computes, waits or goes on is not one."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from needle.distributed import endless_loops
from needle.distributed.endless_loops import ask_for_look, look_when_asked

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGURG"), reason="this system has no SIGURG")
SECONDS = 0.2


class Found(Exception):
    pass


@pytest.fixture(autouse=True)
def _asked(monkeypatch):
    """Somebody asks for a look all the time."""
    for name, value in {"_EVERY": 0.0, "_GAP": SECONDS / 3, "_OTHERS": 0.01}.items():
        monkeypatch.setattr(endless_loops, name, value)
    former = signal.signal(signal.SIGURG, signal.SIG_DFL)
    look_when_asked(lambda: SECONDS, Found)
    is_over = threading.Event()

    def ask():
        while not is_over.wait(0.02):
            ask_for_look(os.getpid())

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    is_over.set()
    thread.join()
    signal.signal(signal.SIGURG, former)


class State:
    value = 0


def passes():
    while True:
        pass


def sets_the_same():
    one = other = 1.5
    while one:
        other = one
    return other


def asks_for_a_state_that_nobody_changes():
    state = State()
    while not state.value:
        pass


@pytest.mark.parametrize("loop", [passes, sets_the_same, asks_for_a_state_that_nobody_changes])
def test_an_endless_loop(loop):
    line = loop.__code__.co_firstlineno
    with pytest.raises(Found, match=r"test_endless_loops\.py, line \d+") as caught:
        loop()
    assert 0 < int(str(caught.value).split()[-1]) - line < 5
    assert sys.gettrace() is None


def end():
    return time.monotonic() + 3 * SECONDS


def counts():
    value = 0
    while value < 10_000_000:
        value += 1


def changes_a_state():
    state = State()
    while state.value < 6_000_000:
        state.value += 1


def takes_the_next():
    for _ in itertools.repeat(None, 30_000_000):
        pass


def calls():
    last = end()
    while time.monotonic() < last:
        pass


def sleeps():
    time.sleep(3 * SECONDS)


def reads():
    code = f"import time; time.sleep({2 * SECONDS})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        for _ in process.stdout:
            pass


def waits_for_a_thread_that_computes():
    state = State()

    def compute():
        last = end()
        while time.monotonic() < last:
            sum(range(1000))
        state.value = 1

    thread = threading.Thread(target=compute)
    thread.start()
    while not state.value:
        pass
    thread.join()


@pytest.mark.parametrize("work", [
    counts, changes_a_state, takes_the_next, calls, sleeps, reads, waits_for_a_thread_that_computes,
])  # fmt: skip
def test_work_that_is_none(work):
    work()


def test_a_debugger_is_left_alone():
    lines = []

    def trace(frame, event, argument):
        lines.append(event)
        return trace

    sys.settrace(trace)
    try:
        calls()
        assert sys.gettrace() is trace
    finally:
        sys.settrace(None)
    assert lines
