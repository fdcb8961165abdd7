"""The training loop: epochs, evaluation, schedules, callbacks, checkpoints, and the way back."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from ..autograd import Tensor, no_grad
from ..compiler import compile as compiled
from ..distributed import from_rank_0, rank
from ..nn import Module
from ..optim import Optimizer, ReduceLROnPlateau, clip_grad_norm_
from . import ranks
from .callbacks import check_callbacks, hooks_of
from .checkpoints import Checkpoints, differences
from .errors import REFUSALS, TrainingError, reason
from .metrics import has_ended, samples_in, samples_of
from .progress import Interruption, Position, Progress, check_finite, is_watching, stopping_signals
from .streams import Streams

__all__ = ["Trainer"]

Metric = Callable[[Any, Any], Any]
"""metric(outputs, targets): its mean over the samples of a batch, a number or a Tensor."""


class Trainer:
    """Trains a model on the batches of a loader.

    A batch is a tuple whose last entry is the targets: the model is called with the others. For
    other batches (dicts, several targets), override `forward`; for another step (several
    optimizers, gradients that are added up), override `train_step`.

    On several ranks (`mpiexec -n 4 python program.py`) it does what one process does; each rank has
    its part of every batch of a `DataLoader`, and rank 0 writes.

    Ctrl-C and SIGTERM let a step end; a checkpoint is saved, and then the program ends as it would
    have, unless the call is inside of `stopping_signals()`.

    Args:
        model: the module to train.
        loss_function: (outputs, targets) to a scalar, the mean over the samples.
        optimizer: that of the model's parameters.
        metrics: functions (outputs, targets) by name, evaluated on the validation data. Batches
            count by their samples.
        callbacks: functions (trainer, epoch), called after every epoch, and objects with methods
            named as in `Callback`.
        scheduler: a schedule of the learning rate; its `step` is called.
        scheduler_per: "epoch" or "batch".
        scheduler_metric: the entry of an epoch that `ReduceLROnPlateau` is given.
        clip_norm: gradients are scaled to at most this norm.
        compile: record the step once and run it as one program; an executor of
            `needle.compile`, or True.
        checkpoints: a folder, or `Checkpoints`, for a training that `fit(resume=True)` continues.
        settings: plain values on which the result depends; kept in checkpoints, and compared.
        name: what lines and the progress bar begin with.
        verbose: print a line per epoch, and show a bar if standard error is a terminal.

    Attributes, of a trainer or a subclass, that may be set: `unit`, what an epoch counts;
    `validation`, what names of results on the second loader begin with; `formats`, how lines show
    metrics, if not as {:.4f}. `epochs` are the complete epochs so far.

    Example:
        >>> import needle as ndl
        >>> from needle import data, nn
        >>> from needle.training import EarlyStopping, Trainer, accuracy
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> trainer = Trainer(
        ...     model,
        ...     nn.CrossEntropyLoss(),
        ...     ndl.optim.SGD(model.parameters(), lr=0.5),
        ...     metrics={"accuracy": accuracy},
        ...     callbacks=[EarlyStopping(patience=3, metric="validation_accuracy", mode="max")],
        ...     verbose=False,
        ... )
        >>> train_loader = data.DataLoader(data.Digits(), batch_size=32, shuffle=True)
        >>> validation_loader = data.DataLoader(data.Digits(train=False), batch_size=100)
        >>> epochs = trainer.fit(train_loader, validation_loader, epochs=5)
        >>> epochs[-1]["validation_accuracy"] > 90
        True
        >>> list(trainer.evaluate(validation_loader))
        ['loss', 'accuracy']
    """

    unit = "samples"
    validation = "validation"
    formats: Mapping[str, str] = {"accuracy": "{:.2f} %"}

    def __init__(
        self,
        model: Module,
        loss_function: Callable[..., Any],
        optimizer: Optimizer,
        *,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Iterable[Any] = (),
        scheduler: Any = None,
        scheduler_per: str = "epoch",
        scheduler_metric: str = "train_loss",
        clip_norm: float | None = None,
        compile: bool | str = False,
        checkpoints: Any = None,
        settings: Mapping[str, Any] | None = None,
        name: str = "",
        verbose: bool = True,
    ) -> None:
        if scheduler_per not in ("epoch", "batch"):
            raise ValueError(f"scheduler_per is 'epoch' or 'batch', got {scheduler_per!r}")
        ranks.joined(model, optimizer)
        self.model, self.loss_function, self.optimizer = model, loss_function, optimizer
        self.metrics, self.callbacks = dict(metrics or {}), check_callbacks(callbacks)
        self.scheduler, self.scheduler_per = scheduler, scheduler_per
        self.scheduler_metric, self.clip_norm = scheduler_metric, clip_norm
        if checkpoints is not None and not isinstance(checkpoints, Checkpoints):
            checkpoints = Checkpoints(checkpoints)
        self.checkpoints: Checkpoints | None = checkpoints
        self.settings, self.name, self.verbose = dict(settings or {}), name, verbose and not rank()
        self.weight = 1.0  # of this rank's loss, so that the mean over ranks is that of samples
        self._step: Callable[[Any], Tensor] = self.train_step
        if compile:
            executor = compile if isinstance(compile, str) else "auto"
            self._step = compiled(self.train_step, executor=executor)
        self.epochs: list[dict[str, Any]] = []
        self.position = Position()  # of the epoch that is not complete
        self.should_stop = False
        self.interruption = Interruption()
        self.streams = Streams(model)
        self.order = self.streams.state_dict()  # from which the order of this epoch was drawn
        self._random: dict[str, Any] | None = None  # of a checkpoint, until there is a loader

    def __repr__(self) -> str:
        parts = self.model, self.loss_function, self.optimizer
        names = ", ".join([getattr(part, "__name__", type(part).__name__) for part in parts])
        return f"{type(self).__name__}({names}; {len(self.epochs)} epochs)"

    # --- what to override

    def forward(self, batch: Any) -> tuple[Any, Any]:
        """The outputs of the model for a batch, and the targets."""
        *inputs, targets = batch
        return self.model(*inputs), targets

    def train_step(self, batch: Any) -> Tensor:
        """Forward, backward, update; returns the mean loss."""
        self.optimizer.reset_grad()
        outputs, targets = self.forward(batch)
        loss = self.loss_function(outputs, targets) if self.weight else ranks.no_loss(outputs)
        (loss if self.weight == 1 else loss * self.weight).backward(create_graph=False)
        if self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss

    # --- the loop

    def fit(
        self,
        train_loader: Iterable[Any],
        validation_loader: Iterable[Any] | None = None,
        epochs: int = 1,
        *,
        resume: bool = False,
    ) -> list[dict[str, Any]]:
        """Train until there are `epochs` in all; returns what each came to.

        An entry has "epoch" (from 1), "samples", "train_loss", "validation_loss", one for each
        metric such as "validation_accuracy", and "seconds" of training. One that was cut short is
        the last, and is continued by the next `fit`.

        Args:
            train_loader: gives the batches of an epoch, each time it is iterated over.
            validation_loader: what is evaluated after every epoch.
            epochs: how many there are in the end, with those of earlier calls.
            resume: continue from the newest valid checkpoint, if there is one.

        Raises:
            TrainingError: the loss is no longer finite; a checkpoint cannot be written, or is of
                another training.
        """
        ranks.announce(self.print)
        if resume:
            self.resume(epochs)
        train_loader = ranks.part_of(train_loader)
        self.streams = Streams(self.model, train_loader)
        if self._random is None:
            self.should_stop = False
        else:
            self.streams.load_state_dict(self._random)
            self._random = None
        if self.checkpoints is not None:
            from_rank_0(self.checkpoints.check)
        unfinished: list[dict[str, Any]] = []
        is_inside = is_watching()
        with stopping_signals() as self.interruption:
            self._call("on_fit_start")
            while not self._stops() and len(self.epochs) < epochs and not unfinished:
                epoch, is_whole = self._epoch(train_loader, validation_loader, epochs)
                if is_whole:
                    self._after_epoch(epoch, epochs)
                else:
                    unfinished.append(epoch)
            self._call("on_fit_end")
        if self.interruption.received is not None and not is_inside:
            signal.raise_signal(self.interruption.received)
        return [*self.epochs, *unfinished]

    def stop(self) -> None:
        """End `fit` after this batch or epoch; for callbacks."""
        self.should_stop = True

    def _stops(self) -> bool:
        return self.should_stop or ranks.stops_now(self.interruption)

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The mean loss and metrics over all samples of a loader, in evaluation mode."""
        self.model.eval()
        totals = dict.fromkeys(("loss", *self.metrics), 0.0)
        count = 0
        with no_grad():
            for batch in ranks.part_of(loader):
                if not (size := samples_of(batch)):
                    continue
                count += size
                outputs, targets = self.forward(batch)
                for name, function in {"loss": self.loss_function, **self.metrics}.items():
                    totals[name] += float(function(outputs, targets)) * size
        samples, *values = ranks.sums(count, *totals.values())
        if not samples:
            raise ValueError("evaluate: the loader gave no batches")
        return {name: total / samples for name, total in zip(totals, values, strict=True)}

    def _epoch(
        self, train_loader: Any, validation_loader: Any, epochs: int
    ) -> tuple[dict[str, Any], bool]:
        """The rest of an epoch, and whether it is complete now."""
        number = len(self.epochs) + 1
        title = f"{self.name} epoch {number}/{epochs}".strip()
        total = samples_in(train_loader)
        on_batch_end = hooks_of(self.callbacks, "on_batch_end")
        position = self.position
        self.model.train()
        self._call("on_epoch_start")
        with Progress(title, total, position, self.unit, self.verbose) as progress:
            is_whole = True
            for batch in self._batches(train_loader):
                count = samples_of(batch)
                samples = ranks.samples_of_all(train_loader, position.batches, count)
                self.weight = ranks.weight(count, samples)
                loss = self._step(batch).item() * (count / samples)
                loss = ranks.step_of_all(loss, self.interruption)
                progress(loss, samples)
                self._step_scheduler("batch", loss)
                for hook in on_batch_end:
                    hook(self, loss)
                every = self.checkpoints and self.checkpoints.every_batches
                if every and position.batches % every == 0:
                    self.save()
                if self.should_stop or ranks.is_stopped(self.interruption):
                    is_whole = has_ended(train_loader, position.batches)
                    break
        if not position.batches:
            raise ValueError("fit: the loader gave no batches")
        if not is_whole:
            self.save()
        epoch = {"epoch": number, self.unit: position.samples, "train_loss": position.loss}
        if validation_loader is not None:
            results = self.evaluate(validation_loader)
            check_finite(results["loss"], f"on the {self.validation} data after {title}")
            epoch |= {f"{self.validation}_{name}": value for name, value in results.items()}
        epoch["seconds"] = position.seconds
        of = "" if total is None else f" of {total:,}"
        stopped = "" if is_whole else f" stopped after {position.samples:,}{of} {self.unit}"
        self.print(f"{title}{stopped}  {self.describe(epoch)}")
        return epoch, is_whole

    def texts(self, results: Mapping[str, float]) -> list[str]:
        """Losses and metrics by name, such as "validation accuracy 97.50 %"."""
        texts = []
        for name, value in results.items():
            form = self.formats.get(name.removeprefix(f"{self.validation}_"), "{:.4f}")
            texts.append(f"{name.replace('_', ' ')} {form.format(value)}")
        return texts

    def describe(self, epoch: Mapping[str, Any]) -> str:
        """The results of an epoch in a line."""
        others = ("epoch", "seconds", self.unit)
        texts = self.texts({name: epoch[name] for name in epoch if name not in others})
        return "  ".join([*texts, f"{epoch['seconds']:.1f} s"])

    def _batches(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The remaining batches of this epoch."""
        if self.position.batches == 0:
            self.order = self.streams.state_dict()
            return iter(loader)
        now = self.streams.state_dict()
        self.streams.load_state_dict(self.order)
        batches = iter(loader)
        for _ in range(self.position.batches):
            next(batches)
        self.streams.load_state_dict(now)
        return batches

    def _after_epoch(self, epoch: dict[str, Any], epochs: int) -> None:
        self.epochs.append(epoch)
        self.position = Position()
        self._step_scheduler("epoch", epoch.get(self.scheduler_metric))
        self._call("on_epoch_end", epoch)
        if self.checkpoints is not None:
            done = len(self.epochs)
            if done == epochs or self._stops() or done % self.checkpoints.every == 0:
                self.save()

    def _step_scheduler(self, per: str, value: float | None) -> None:
        if self.scheduler is None or self.scheduler_per != per:
            return
        try:
            if isinstance(self.scheduler, ReduceLROnPlateau):
                if value is None:
                    raise ValueError(f"an epoch has no {self.scheduler_metric!r}")
                self.scheduler.step(value)
            else:
                self.scheduler.step()
        except REFUSALS as error:
            raise TrainingError(f"scheduler: {reason(error)}") from None

    def _call(self, event: str, *arguments: Any) -> None:
        for hook in hooks_of(self.callbacks, event):
            hook(self, *arguments)

    # --- checkpoints

    def save(self) -> None:
        """Write a checkpoint, if there are to be any."""
        if self.checkpoints is not None:
            from_rank_0(partial(self.checkpoints.save, self.state_dict()))

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the training depends on, and the settings it began with."""
        return {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "callbacks": [
                each.state_dict() if hasattr(each, "state_dict") else {} for each in self.callbacks
            ],
            "random": self.streams.state_dict() if self._random is None else self._random,
            "order": self.order,
            "position": asdict(self.position),
            "epochs": self.epochs,
            "stopped": self.should_stop and not self.position.batches,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        for callback, own in zip(self.callbacks, state["callbacks"], strict=True):
            if own:
                callback.load_state_dict(own)
        self._random, self.order = state["random"], state["order"]
        self.position = Position(**state["position"])
        self.epochs, self.should_stop = list(state["epochs"]), state["stopped"]

    def resume(self, epochs: int) -> bool:
        """Continue from the newest valid checkpoint, and print which; False if there is none.

        Args:
            epochs: how many there will be in the end.

        Raises:
            TrainingError: the checkpoint is of another training (names what differs).
        """
        if self.checkpoints is None:
            raise ValueError("resume: this Trainer has no checkpoints: pass checkpoints=folder")
        found = from_rank_0(partial(self.checkpoints.newest, self.state_dict()))
        if found is None:
            folder = self.checkpoints.folder
            self.print(f"no valid checkpoint in {folder}: starting from the beginning")
            return False
        path, state = found
        if different := differences(state["settings"], self.settings):
            raise TrainingError(f"resume: {path} is of another training: {different}")
        done = len(state["epochs"])
        if done > epochs:
            least = f"at least {done}, the epochs that {path} has behind it"
            raise TrainingError(f"epochs: found {epochs}, allowed: {least}")
        try:
            self.load_state_dict(state)
        except REFUSALS as error:
            raise TrainingError(
                f"resume: {path} is of another model, or version of needle: {reason(error)}"
            ) from None
        samples = self.position.samples
        part = f" and {samples:,} {self.unit} of the next" if samples else ""
        self.print(f"continuing after {done} of {epochs} epochs{part}, from {path}")
        return True

    def print(self, text: str) -> None:
        """Print a line, on rank 0, unless `verbose` is off."""
        if self.verbose:
            print(text, flush=True)
