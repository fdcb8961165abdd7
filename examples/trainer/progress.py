"""The progress of an epoch: a bar, the mean loss, and signals to stop."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tqdm import tqdm

from .errors import UserError

__all__ = ["Interruption", "Position", "Progress", "check_finite", "stopping_signals"]

# batch systems and `kill` send SIGTERM
_STOPPING = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption:
    """The first signal that asks the program to end, once there is one."""

    received: signal.Signals | None = None

    def is_set(self) -> bool:
        """Whether there was one."""
        return self.received is not None

    @property
    def name(self) -> str:
        """What users call it."""
        return "" if self.received is None else _STOPPING[self.received]

    @property
    def exit_code(self) -> int:
        """That of programs ended by it; 0 if there was none."""
        return 0 if self.received is None else 128 + self.received


@dataclass
class Position:
    """The progress of an epoch."""

    batches: int = 0
    images: int = 0
    total_loss: float = 0.0
    seconds: float = 0.0


class Progress:
    """The progress bar and the mean loss of one epoch.

    Called after every batch: updates `position`, returns whether to stop.

    Raises:
        UserError: the loss is no longer a finite number.
    """

    def __init__(
        self, title: str, total: int, interrupted: Interruption, position: Position | None = None
    ) -> None:
        self.title = title
        self.total = total
        self.interrupted = interrupted
        self.position = position or Position()
        self.start = time.perf_counter() - self.position.seconds

    def __enter__(self) -> Self:
        # disable=None: no bar if standard error is not a terminal, to keep log files short
        self.bar = tqdm(
            desc=self.title,
            total=self.total,
            initial=self.position.images,
            unit=" images",
            unit_scale=True,
            leave=False,
            disable=None,
        )
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.close()

    @property
    def images(self) -> int:
        """The number of images so far."""
        return self.position.images

    @property
    def loss(self) -> float:
        """The mean loss over the images so far."""
        return self.position.total_loss / self.position.images

    @property
    def seconds(self) -> float:
        """The time spent on the epoch so far."""
        return time.perf_counter() - self.start

    def __call__(self, loss: float, count: int) -> bool:
        position = self.position
        position.batches += 1
        position.images += count
        check_finite(loss, f"after {position.images:,} images of {self.title}")
        position.total_loss += loss * count
        position.seconds = self.seconds
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {self.loss:.4f}", refresh=False)
            self.bar.update(count)
        return self.interrupted.is_set()


def check_finite(loss: float, when: str) -> None:
    """Raise unless the loss is a finite number."""
    if not math.isfinite(loss):
        raise UserError(f"the loss became {loss} {when}: try a smaller optimizer.lr")


@contextmanager
def stopping_signals() -> Iterator[Interruption]:
    """Notes Ctrl-C and SIGTERM, so that a step is completed; a second one ends at once."""
    interrupted = Interruption()

    def on_signal(number: int, frame: Any) -> None:
        interrupted.received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    former = {number: signal.signal(number, on_signal) for number in _STOPPING}
    try:
        yield interrupted
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
