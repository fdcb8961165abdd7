"""Finding a rank that is in an endless loop while others wait for it.

A rank that computes may take its time, also in long calls of other libraries. But one whose loop
calls nothing, computes nothing, and sets variables to the same values only, will never leave it.
Ranks that wait ask for a look now and then, by a signal that is ignored by default. It interrupts
no computation: Python handles it between two instructions, of which the next ones are followed.
"""

from __future__ import annotations

import dis
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

__all__ = ["ask_for_look", "look_when_asked"]

_SIGNAL = getattr(signal, "SIGURG", None)
_FOLLOWED = 1000  # instructions
_EVERY = 0.9  # seconds between looks: loops are slower after one
_GAP = 3.0  # seconds after which a look tells nothing about the one before
_OTHERS = 0.05  # seconds of processor time, in which other threads do nothing

_HARMLESS = (
    "NOP", "NOT_TAKEN", "CACHE", "RESUME", "EXTENDED_ARG", "JUMP", "POP_JUMP", "POP_TOP", "COPY",
    "SWAP", "LOAD_", "STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "COMPARE_OP",
    "IS_OP", "CONTAINS_OP", "TO_BOOL", "UNARY_",
)  # fmt: skip
"""How the names of instructions begin that change nothing but variables."""


def ask_for_look(process: int) -> None:
    """Have another rank of this machine look whether it is in an endless loop."""
    if _SIGNAL is not None:
        with suppress(OSError):
            os.kill(process, _SIGNAL)


def look_when_asked(seconds: Callable[[], float], found: Callable[[str], Exception]) -> None:
    """Raise found(where) in the main thread if it is in an endless loop for some seconds."""
    if _SIGNAL is not None and signal.getsignal(_SIGNAL) is signal.SIG_DFL:
        with suppress(ValueError):  # this is another thread
            signal.signal(_SIGNAL, _Looks(seconds, found).look)


class _Looks:
    """What looks at the main thread have found: a loop, as long as nothing changes."""

    def __init__(self, seconds: Callable[[], float], found: Callable[[str], Exception]) -> None:
        self.seconds, self.found = seconds, found
        self.frame: FrameType | None = None
        self.variables: dict[str, Any] = {}
        self.asked = self.start = self.last = self.others = 0.0

    def look(self, number: int, frame: FrameType | None) -> None:
        """Follow the next instructions, unless a debugger does so."""
        now = time.monotonic()
        if frame is None or sys.gettrace() is not None or now - self.asked < _EVERY:
            return
        self.asked = now
        count = 0

        def trace(traced: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            is_harmless = event == "line"
            if event == "opcode":
                count += 1
                name = dis.opname[traced.f_code.co_code[traced.f_lasti]]
                is_harmless = name.startswith(_HARMLESS)
            if is_harmless and count < _FOLLOWED:
                return trace
            sys.settrace(None)
            frame.f_trace, frame.f_trace_opcodes = None, False
            if is_harmless:
                self._note(frame)
            else:
                self.frame, self.variables = None, {}
            return None

        frame.f_trace, frame.f_trace_opcodes = trace, True
        sys.settrace(trace)

    def _note(self, frame: FrameType) -> None:
        """A look has found a loop that does nothing; raise if this is so for too long."""
        now, variables = time.monotonic(), _variables(frame)
        others = time.process_time() - time.thread_time()
        if (
            self.frame is not frame
            or now - self.last > _GAP
            or others - self.others > _OTHERS
            or not _are_same(self.variables, variables)
        ):
            self.frame, self.variables, self.start, self.others = frame, variables, now, others
        self.last = now
        if now - self.start > self.seconds():
            self.frame, self.variables = None, {}
            raise self.found(f"{frame.f_code.co_filename}, line {frame.f_lineno}")


def _variables(frame: FrameType) -> dict[str, Any]:
    """The variables that code can change, by name."""
    names = frame.f_code.co_names
    values = {name: frame.f_globals[name] for name in names if name in frame.f_globals}
    return {**values, **frame.f_locals}


def _are_same(ones: dict[str, Any], others: dict[str, Any]) -> bool:
    return ones.keys() == others.keys() and all(
        others[name] is one or (isinstance(one, (int, float, str)) and others[name] == one)
        for name, one in ones.items()
    )
