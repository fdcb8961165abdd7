"""A training run: everything that a checkpoint holds and a resumed run takes over."""

import zlib
from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from needle import data, nn, optim

from .checkpoints import Checkpoints, differences
from .datasets import Source
from .errors import REFUSALS, UserError, reason
from .parts import build_generator, build_model, build_optimizer, build_schedule, plain
from .progress import Position, Progress
from .results import check_free
from .streams import Streams

__all__ = ["Run"]

# the entries of a config on which the weights depend; `epochs` only says when to stop
_DECISIVE = (
    "seed", "model", "loop", "optimizer", "scheduler", "batch_size", "shuffle", "generator",
)  # fmt: skip


class Run:
    """A model, its optimizer and schedule, its random streams, and the progress so far.

    Draws the weights from NumPy's global random state.

    Raises:
        UserError: the schedule's class refuses its settings.
    """

    def __init__(self, config: SimpleNamespace, source: Source, train_set: Any) -> None:
        self.config = config
        self.source = source
        batches = config.epochs * -(-len(train_set) // config.batch_size)
        words = {**source.sizes, "epochs": config.epochs, "batches": batches}
        with nn.init.scheme(config.init):
            self.model = build_model(config.model, source)
        self.optimizer = build_optimizer(config.optimizer, self.model.parameters())
        self.schedule: Any = None
        if config.scheduler is not None:
            self.schedule = build_schedule(config.scheduler, self.optimizer, words)
            self._check_length(words)
        self.epochs: list[dict[str, Any]] = []
        self.position = Position()
        self.generator = build_generator(config.generator)
        """Where the order of the images is drawn; None for NumPy's global random state."""
        self.streams = Streams(self.model, self.generator)
        self.order = self.streams.state_dict()
        """The random state from which the order of this epoch's images was drawn."""
        self.decisive = {
            "dataset": {
                "name": source.name,
                "images": len(train_set),
                "checksum": zlib.crc32(train_set.labels.tobytes()),
            },
            **{key: plain(getattr(config, key), words) for key in _DECISIVE},
        }
        self.checkpoints = None
        if config.checkpoint is not None:
            self.checkpoints = Checkpoints(config.results, config.checkpoint.keep)

    def _check_length(self, words: dict[str, int]) -> None:
        per = self.config.scheduler.per
        steps = words["epochs" if per == "epoch" else "batches"]
        limit = getattr(self.schedule, "total_steps", steps)
        if limit < steps:
            raise UserError(
                f"scheduler.total_steps: found {limit}, allowed: at least {steps}, as it takes a "
                f"step per {per}"
            )

    def batches(self, loader: data.DataLoader) -> Iterator[data.Batch]:
        """The remaining batches of this epoch."""
        position = self.position
        if position.batches == 0:
            self.order = self.streams.state_dict()
            return iter(loader)
        now = self.streams.state_dict()
        self.streams.load_state_dict(self.order)
        batches = iter(loader)
        for _ in range(position.batches):
            next(batches)
        self.streams.load_state_dict(now)
        return batches

    def after_batch(self, progress: Progress, loss: float, count: int) -> bool:
        """Update progress and schedule after a batch; returns whether to stop."""
        stop = progress(loss, count)
        self._step_schedule("batch", loss)
        plan = self.config.checkpoint
        if plan and plan.every_batches and self.position.batches % plan.every_batches == 0:
            self.save()
        return stop

    def after_epoch(self, epoch: dict[str, Any], is_last: bool) -> None:
        """Update history and schedule after a complete epoch."""
        self.epochs.append(epoch)
        self.position = Position()
        self._step_schedule("epoch", epoch["train_loss"])
        plan = self.config.checkpoint
        if plan and (is_last or len(self.epochs) % plan.every == 0):
            self.save()

    def _step_schedule(self, per: str, loss: float) -> None:
        if self.schedule is None or self.config.scheduler.per != per:
            return
        # the training loss: test images must not influence training
        metric = (loss,) if isinstance(self.schedule, optim.ReduceLROnPlateau) else ()
        try:
            self.schedule.step(*metric)
        except REFUSALS as error:
            raise UserError(f"scheduler: {reason(error)}") from None

    def save(self) -> None:
        """Write a checkpoint, if the config asks for checkpoints."""
        if self.checkpoints is not None:
            self.checkpoints.save(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the training depends on, and the settings it began with."""
        return {
            "decisive": self.decisive,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "random": self.streams.state_dict(),
            "order": self.order,
            "position": asdict(self.position),
            "epochs": self.epochs,
        }

    def resume(self, force: bool) -> None:
        """Continue from the newest valid checkpoint, and print which; without any, start over.

        Raises:
            UserError: the checkpoint is of another training (names what differs); or there is none,
                and starting over would replace files, which `force` does not allow.
        """
        found = self.checkpoints.newest(self.state_dict())
        if found is None:
            check_free(self.config.results, force)
            folder = self.checkpoints.folder
            print(f"no valid checkpoint in {folder}: starting from the beginning", flush=True)
            return
        path, state = found
        if different := differences(state["decisive"], self.decisive):
            raise UserError(f"--resume: {path} is of another training: {different}")
        done = len(state["epochs"])
        if done > self.config.epochs:
            raise UserError(
                f"epochs: found {self.config.epochs}, allowed: at least {done}, the epochs that "
                f"{path} has behind it"
            )
        try:
            self._load(state)
        except REFUSALS as error:
            raise UserError(
                f"--resume: {path} is of another version of needle: {reason(error)}"
            ) from None
        part = f" and {self.position.images:,} images of the next" if self.position.images else ""
        place = f"after {done} of {self.config.epochs} epochs{part}"
        print(f"continuing {place}, from {path}", flush=True)

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.streams.load_state_dict(state["random"])
        self.order = state["order"]
        self.position = Position(**state["position"])
        self.epochs = state["epochs"]
