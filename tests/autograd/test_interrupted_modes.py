"""Modes are left whenever a KeyboardInterrupt comes."""

import contextlib
import itertools
import signal
import sys
import threading
import time

import pytest

import needle as ndl
from needle import Tensor
from needle.autograd import modes


def records() -> bool:
    return (Tensor([1.0]) * 2).requires_grad


def waits() -> bool:
    return (Tensor([1.0]) * 2).cached_data is None


def interrupted_at(count, function):
    """Whether KeyboardInterrupt was raised at the `count`-th line or bytecode of `function`."""
    left = count

    def trace(frame, event, argument):
        nonlocal left
        del argument  # a value that is returned lives no longer than without a trace
        frame.f_trace_opcodes = True
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:  # the frames of its traceback are alive
        sys.settrace(former)
        return True, (records(), waits())
    finally:
        sys.settrace(former)
    return False, (records(), waits())


def _block(mode):
    with mode():
        pass


def _nested(mode):
    again = mode()
    with again, again, ndl.enable_grad():
        pass


def _decorated(mode):
    mode()(lambda: None)()


def _failing(mode):
    with contextlib.suppress(KeyError), mode():
        raise KeyError


def _generator(mode):
    @mode()
    def numbers():
        yield 1
        yield 2

    for _ in numbers():
        pass


def _observed(mode):
    with modes.override(modes.observers, (lambda *value: None,)), mode():
        modes.notify(None, None, ())


@pytest.mark.parametrize(
    "use",
    [_block, _nested, _decorated, _failing, _generator, _observed],
    ids=lambda use: use.__name__,
)
def test_mode_is_left_by_an_interruption_at_any_bytecode(switch, use):
    mode, _ = switch
    left_on = []

    def interrupt_everywhere():
        for count in itertools.count(1):
            interrupted, state = interrupted_at(count, lambda: use(mode))
            if state != (True, False) or modes.observers.get() != ():
                left_on.append(count)
            if not interrupted:
                counts.append(count)
                return

    # in a thread of its own: an exception raised inside the handling of another one may leave that
    # one the context of all later exceptions of the thread
    counts: list[int] = []
    thread = threading.Thread(target=interrupt_everywhere)
    thread.start()
    thread.join()
    assert left_on == []
    assert counts[0] > 20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
def test_mode_is_left_by_signals_at_any_time(switch):
    mode, _ = switch
    end = time.monotonic() + 1
    interruptions = 0
    delays = itertools.cycle([1e-6, 3e-6, 1e-5, 2e-5, 5e-5])
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        while time.monotonic() < end:
            try:
                signal.setitimer(signal.ITIMER_REAL, next(delays))
                for _ in range(1000):
                    with mode(), mode():
                        pass
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interruptions += 1
            assert (records(), waits()) == (True, False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert interruptions > 50


def test_exit_stacks_enter_and_leave_modes(switch):
    mode, is_on = switch
    again = mode()
    with contextlib.ExitStack() as outer:
        outer.enter_context(again)
        with contextlib.ExitStack() as inner:
            inner.enter_context(again)
            assert is_on()
        assert is_on()
    assert not is_on()
