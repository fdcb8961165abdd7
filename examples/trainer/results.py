"""Result files: metrics and the learning curve."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from needle.training import TrainingError, write_whole

__all__ = ["check_free", "write_curve", "write_metrics"]

_FILES = ("metrics.json", "weights-*.npz", "learning-curve-*.png")


def check_free(results: str, force: bool, checkpoints: Sequence[Path] = ()) -> None:
    """Raise if a folder holds files of an earlier run, unless `force` allows to replace them.

    Args:
        results: the folder.
        force: whether files may be replaced.
        checkpoints: those in the folder, if they count.
    """
    files = [path for pattern in _FILES for path in sorted(Path(results).glob(pattern))]
    for path in files:
        if path.is_dir():
            raise TrainingError(
                f"results: found {results!r}, allowed: a folder in which {path.name} can be written"
            )
    if not force and (earlier := [*files, *checkpoints]):
        resume = "--resume continues it, " if checkpoints else ""
        raise TrainingError(
            f"results: {earlier[0]} is of an earlier run: {resume}--force replaces its files, "
            "--set results=FOLDER keeps them"
        )


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write a mapping as JSON, with the versions of Python and NumPy."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    text = json.dumps({**metrics, "versions": versions}, indent=2, allow_nan=False)
    write_whole(path, lambda file: file.write(f"{text}\n".encode()))


def write_curve(path: Path, title: str, epochs: list[dict[str, Any]]) -> bool:
    """Plot loss and accuracy over the epochs; False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    figure = Figure(figsize=(9, 4), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 2)
    curves = (("train_loss", "test_loss"), ("test_accuracy",))
    for panel, names, label in zip(panels, curves, ("loss", "accuracy (%)"), strict=True):
        for name in names:
            heights = [epoch[name] for epoch in epochs]
            numbers = [epoch["epoch"] for epoch in epochs]
            panel.plot(numbers, heights, marker="o", label=name.replace("_", " "))
        panel.set(xlabel="epoch", ylabel=label)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
        panel.legend()
    write_whole(path, lambda file: figure.savefig(file, format="png", metadata={"Title": title}))
    return True
