"""What happens around the batches: a bar, a running loss, and Ctrl-C."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, Self

from tqdm import tqdm

from .errors import UserError

__all__ = ["Progress", "check_finite", "ctrl_c_as_event"]


class Progress:
    """The bar of one epoch and the mean of its loss; called after every batch.

    Answers whether to stop: true once Ctrl-C was pressed.

    Raises:
        UserError: the loss is no longer a finite number.
    """

    def __init__(self, title: str, total: int, interrupted: Event) -> None:
        self.title = title
        self.total = total
        self.interrupted = interrupted
        self.images = 0
        self.total_loss = 0.0

    def __enter__(self) -> Self:
        # disable=None: no bar where standard error is no terminal, so that log files stay short
        self.bar = tqdm(
            desc=self.title,
            total=self.total,
            unit=" images",
            unit_scale=True,
            leave=False,
            disable=None,
        )
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.close()

    @property
    def loss(self) -> float:
        """The mean loss over the images so far."""
        return self.total_loss / self.images

    def __call__(self, loss: float, count: int) -> bool:
        self.images += count
        check_finite(loss, f"after {self.images:,} images of {self.title}")
        self.total_loss += loss * count
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
    """An event that Ctrl-C sets, so that no step is cut in two; a second Ctrl-C ends at once."""
    interrupted = Event()

    def on_signal(number: int, frame: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    former = signal.signal(signal.SIGINT, on_signal)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, former)
