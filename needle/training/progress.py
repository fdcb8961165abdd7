"""The progress of an epoch: a bar, the mean loss, and signals to stop."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tqdm import tqdm

from .errors import TrainingError

__all__ = [
    "Interruption", "Position", "Progress", "check_finite", "is_watching", "stopping_signals",
]  # fmt: skip

# batch systems and `kill` send SIGTERM
_STOPPING = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption:
    """The first signal that asks the program to end, once there is one.

    Example:
        >>> import needle as ndl
        >>> ndl.training.Interruption().exit_code
        0
    """

    received: signal.Signals | None = None
    is_agreed = False
    """Whether all ranks know of one."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def is_set(self) -> bool:
        """Whether there was one."""
        return self.received is not None

    @property
    def name(self) -> str:
        """What users call it."""
        return "" if self.received is None else _STOPPING[self.received]

    def flags(self) -> list[bool]:
        """For each signal that asks to end, whether it was the one."""
        return [self.received == number for number in _STOPPING]

    def note(self, flags: Sequence[Any]) -> None:
        """Take over the signals of all processes, in the form of `flags()`."""
        for number, is_received in zip(_STOPPING, flags, strict=True):
            if is_received:
                self.received = number
        self.is_agreed = any(flags)  # not of one that came since: others do not know of it

    @property
    def exit_code(self) -> int:
        """That of programs ended by it; 0 if there was none."""
        return 0 if self.received is None else 128 + self.received


@dataclass
class Position:
    """The progress of an epoch."""

    batches: int = 0
    samples: int = 0
    total_loss: float = 0.0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """The mean loss over the samples so far."""
        return self.total_loss / self.samples


class Progress:
    """The progress bar of an epoch, which keeps `position`; called after every batch.

    Raises:
        TrainingError: the loss is no longer a finite number.
    """

    def __init__(
        self,
        title: str,
        total: int | None = None,
        position: Position | None = None,
        unit: str = "samples",
        shown: bool = True,
    ) -> None:
        self.title, self.total, self.unit, self.shown = title, total, unit, shown
        self.position = position or Position()
        self.start = time.perf_counter() - self.position.seconds

    def __enter__(self) -> Self:
        # disable=None: no bar if standard error is not a terminal, to keep log files short
        self.bar = tqdm(
            desc=self.title,
            total=self.total,
            initial=self.position.samples,
            unit=f" {self.unit}",
            unit_scale=True,
            leave=False,
            disable=None if self.shown else True,
        )
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.close()

    def __call__(self, loss: float, count: int) -> None:
        position = self.position
        position.batches += 1
        position.samples += count
        check_finite(loss, f"after {position.samples:,} {self.unit} of {self.title}")
        position.total_loss += loss * count
        position.seconds = time.perf_counter() - self.start
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {position.loss:.4f}", refresh=False)
            self.bar.update(count)


def check_finite(loss: float, when: str) -> None:
    """Raise unless the loss is a finite number."""
    if not math.isfinite(loss):
        raise TrainingError(f"the loss became {loss} {when}: try a smaller learning rate")


_current: list[Interruption] = []


def is_watching() -> bool:
    """Whether this is inside of `stopping_signals()`."""
    return bool(_current)


@contextmanager
def stopping_signals() -> Iterator[Interruption]:
    """Notes Ctrl-C and SIGTERM, so that a step is completed; a second one ends at once.

    Inside of another such block, gives the block's `Interruption`. In other threads than the main
    one, which get no signals, it is never set.

    Example:
        >>> import needle as ndl
        >>> with ndl.training.stopping_signals() as interruption:
        ...     for step in range(3):
        ...         if interruption.is_set():
        ...             break
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interruption()
        return
    if _current:
        yield _current[0]
        return
    interrupted = Interruption()

    def on_signal(number: int, frame: Any) -> None:
        interrupted.received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    former = {number: signal.signal(number, on_signal) for number in _STOPPING}
    _current.append(interrupted)
    try:
        yield interrupted
    finally:
        _current.clear()
        for number, handler in former.items():
            signal.signal(number, handler)
