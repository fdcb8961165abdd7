"""Ctrl-C at a given place: a KeyboardInterrupt raised by a trace function."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def interrupted(
    function: Callable[[], Any],
    at: int,
    event: str = "opcode",
    is_inside: Callable[[FrameType], bool] = lambda frame: True,
) -> bool:
    """Whether `function()` was interrupted at its `at`-th bytecode or line; otherwise it has run.

    Args:
        function: what is interrupted.
        at: counts the events, from 1.
        event: "opcode" for bytecodes, "line" for lines.
        is_inside: which frames count.
    """
    left = at

    def trace(frame: FrameType, happened: str, argument: Any) -> Any:
        nonlocal left
        del argument  # a value that is returned lives no longer than without a trace
        if not is_inside(frame):
            return None
        frame.f_trace_opcodes = event == "opcode"
        left -= happened == event
        if left == 0:
            sys.settrace(former)
            raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    collects = gc.isenabled()
    gc.disable()  # whose callbacks, of Hypothesis, would be interrupted in place of the function
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
        if collects:
            gc.enable()
    return False


def is_needles(frame: FrameType) -> bool:
    """Whether a frame runs code of needle."""
    return str(frame.f_globals.get("__name__", "")).startswith("needle.")
