"""The progress of an epoch: a bar, the mean loss, and Ctrl-C."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, Self

from tqdm import tqdm

from .errors import UserError

__all__ = ["Position", "Progress", "check_finite", "ctrl_c_as_event"]


@dataclass
class Position:
    """The progress of an epoch."""

    batches: int = 0
    images: int = 0
    total_loss: float = 0.0
    seconds: float = 0.0


class Progress:
    """The progress bar and the mean loss of one epoch.

    Called after every batch: updates `position`, returns whether Ctrl-C was pressed.

    Raises:
        UserError: the loss is no longer a finite number.
    """

    def __init__(
        self, title: str, total: int, interrupted: Event, position: Position | None = None
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
def ctrl_c_as_event() -> Iterator[Event]:
    """An event set by Ctrl-C, so that a step is completed; a second Ctrl-C ends at once."""
    interrupted = Event()

    def on_signal(number: int, frame: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    former = signal.signal(signal.SIGINT, on_signal)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, former)
