"""A folder of results: reserved, protected, and filled by one run."""

import json
import os
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..distributed import from_rank_0, on_rank_0
from .checkpoints import Checkpoints
from .errors import TrainingError
from .files import write_weights, write_whole
from .lock import locked
from .metrics import samples_in
from .progress import Interruption, stopping_signals
from .representation import shown
from .trainer import Trainer

__all__ = ["Results"]

_FILES = ("metrics.json", "weights-*.npz", "learning-curve-*.png")


class Results:
    """The folder of results of a run: weights, metrics, a learning curve, checkpoints.

    To be used in a `with` statement, in which no other run can write to the folder.

    Args:
        folder: created if need be.
        resume: continue from the newest checkpoint there.
        force: replace the files of an earlier run, which is otherwise an error.
        checkpoint: the keywords of `Checkpoints`, if there are to be any.

    Raises:
        TrainingError: when entered: the folder cannot be written to, is in use, or has the files
            of an earlier run.

    Example:
        >>> import needle as ndl
        >>> from needle import data, nn, training
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> optimizer = ndl.optim.SGD(model.parameters(), lr=0.1)
        >>> trainer = training.Trainer(model, nn.CrossEntropyLoss(), optimizer, name="Digits")
        >>> with training.Results("runs/linear", checkpoint={"every": 1, "keep": 2}) as results:
        ...     exit_code = results.fit(trainer, data.DataLoader(data.Digits(), 32), epochs=2)
        Digits: 1,437 samples to train on; 650 weights
        Digits epoch 1/2  train loss ...
        Digits epoch 2/2  train loss ...
        Digits: train loss ... after 2 of 2 epochs in ...
        Digits checkpoints, for --resume: runs/linear/checkpoints
        Digits weights: runs/linear/weights-digits.npz
        Digits metrics: runs/linear/metrics.json
        Digits learning curve: ...
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        resume: bool = False,
        force: bool = False,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.resume, self.force = Path(folder), resume, force
        self._checkpoints = Checkpoints(self.folder / "checkpoints", **(checkpoint or {}))
        self.checkpoints = None if checkpoint is None else self._checkpoints

    def __repr__(self) -> str:
        return shown(self, checkpoints=self.checkpoints)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(on_rank_0(locked(str(self.folder))))
            self._earlier: list[Path] = from_rank_0(self._checkpoints.files)
            if not self.resume:
                from_rank_0(partial(self._check_free, self._earlier))
            if self.checkpoints is not None:
                from_rank_0(self.checkpoints.check)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._held.close()

    def _check_free(self, checkpoints: list[Path]) -> None:
        """Raise if there are files of an earlier run, unless they may be replaced."""
        files = [path for pattern in _FILES for path in sorted(self.folder.glob(pattern))]
        for path in files:
            if path.is_dir():
                raise TrainingError(
                    f"results: found {str(self.folder)!r}, allowed: a folder in which {path.name} "
                    "can be written"
                )
        if not self.force and (earlier := [*files, *checkpoints]):
            resume = "--resume continues it, " if checkpoints else ""
            raise TrainingError(
                f"results: {earlier[0]} is of an earlier run: {resume}--force replaces its files, "
                "--set results=FOLDER keeps them"
            )

    def fit(
        self,
        trainer: Trainer,
        train_loader: Any,
        validation_loader: Any = None,
        epochs: int = 1,
        *,
        title: str = "",
        settings: Any = None,
    ) -> int:
        """Train, write the results, and print a summary; returns the exit code of the program.

        Ctrl-C and SIGTERM end the training after a step, with results. `trainer.epochs` are the
        complete epochs.

        Args:
            trainer: gets the checkpoints of this folder. Its `name` is part of names of files.
            train_loader, validation_loader, epochs: see `Trainer.fit`.
            title: what lines, learning curve and metrics call the run, such as its config's name.
            settings: plain values to keep with the metrics.
        """
        if self.checkpoints is not None:
            trainer.checkpoints = self.checkpoints
        train, test = samples_in(train_loader), samples_in(validation_loader)
        counts = [f"{train:,} {trainer.unit} to train on"] if train is not None else []
        counts += [f"{test:,} to test with"] if test is not None else []
        weights = f"{sum(parameter.size for parameter in trainer.model.parameters()):,} weights"
        prefix = f"{title}: {_name(trainer)}, " if title else f"{_name(trainer)}: "
        trainer.print(prefix + "; ".join(filter(None, [", ".join(counts), weights])))
        if self.resume:
            if not trainer.resume(epochs):
                from_rank_0(partial(self._check_free, []))
        elif self.checkpoints is not None and self._earlier:
            trainer.print(
                f"starting over: this run's checkpoints will replace those in "
                f"{self.checkpoints.folder}, from which --resume continues"
            )
        with stopping_signals() as stopped:
            done = trainer.fit(train_loader, validation_loader, epochs)
            if done:  # unless it was stopped before the first batch
                self._write(trainer, done, epochs, stopped, title, settings)
            return stopped.exit_code

    def _write(
        self, trainer: Trainer, done: list[dict[str, Any]], epochs: int, stopped: Interruption,
        title: str, settings: Any,
    ) -> None:  # fmt: skip
        """Write weights, metrics and learning curve, and print a summary."""
        name, last = _name(trainer), done[-1]
        found = {key: last[key] for key in last if key not in ("epoch", "seconds", trainer.unit)}
        losses = [key for key in found if key.endswith("_loss")]
        panels = {"loss": losses}
        for metric in trainer.metrics if len(losses) > 1 else ():
            unit = " (%)" if trainer.formats.get(metric, "").endswith("%") else ""
            panels[metric + unit] = [f"{trainer.validation}_{metric}"]
        told = [key for keys in list(panels.values())[1:] for key in keys] or losses[-1:]
        seconds = sum(epoch["seconds"] for epoch in done)
        by = f", stopped by {stopped.name}" if stopped.is_set() else ""
        outcome = (
            f"{name}: {', '.join(trainer.texts({key: last[key] for key in told}))} after "
            f"{len(done)} of {epochs} epochs in {seconds:.1f} s{by}"
        )
        metrics = {
            "dataset": name, "config": title, **found, "seconds": seconds,
            "interrupted": stopped.is_set(), "epochs": done, "settings": settings,
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
        }  # fmt: skip
        weights, path = self.folder / f"weights-{name.lower()}.npz", self.folder / "metrics.json"
        curve = self.folder / f"learning-curve-{name.lower()}.png"

        def write() -> bool:
            write_weights(weights, trainer.model, name)
            text = json.dumps(metrics, indent=2, default=float)
            write_whole(path, lambda file: file.write(f"{text}\n".encode()))
            return write_curve(curve, f"{title} on {outcome}" if title else outcome, done, panels)

        is_drawn = from_rank_0(write)
        drawn = curve if is_drawn else "not drawn, matplotlib is missing: pip install '.[plot]'"
        files = {"weights": weights, "metrics": path, "learning curve": drawn}
        if self.checkpoints is not None:
            files = {"checkpoints, for --resume": self.checkpoints.folder, **files}
        trainer.print("\n".join([outcome, *(f"{name} {what}: {files[what]}" for what in files)]))


def _name(trainer: Trainer) -> str:
    return trainer.name or type(trainer.model).__name__


def write_curve(
    path: Path, title: str, epochs: list[dict[str, Any]], panels: Mapping[str, list[str]]
) -> bool:
    """Plot entries of the epochs, in panels by label; False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    figure = Figure(figsize=(4.5 * len(panels), 4), layout="constrained")
    figure.suptitle(title)
    for position, (label, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), position)
        for name in names:
            points = [(epoch["epoch"], epoch[name]) for epoch in epochs]
            axes.plot(*zip(*points, strict=True), marker="o", label=name.replace("_", " "))
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    write_whole(path, lambda file: figure.savefig(file, format="png", metadata={"Title": title}))
    return True
