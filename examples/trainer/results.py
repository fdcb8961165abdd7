"""Result files: metrics, learning curve and weights, written atomically."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from needle import nn
from needle.io import replacing

from .errors import UserError, reason
from .kinds import refused

__all__ = [
    "apply_weights",
    "check_free",
    "check_writable",
    "read_weights",
    "remove_leftovers",
    "write_curve",
    "write_metrics",
    "write_weights",
    "write_whole",
]

_FILES = ("metrics.json", "weights-*.npz", "learning-curve-*.png")


def check_writable(results: str) -> None:
    """Raise unless the folder of results can be written to or created."""
    folder = Path(results).absolute()
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise refused("results", results, f"a folder that can be written, which {nearest} cannot")


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
            raise refused("results", results, f"a folder in which {path.name} can be written")
    if not force and (earlier := [*files, *checkpoints]):
        resume = "--resume continues it, " if checkpoints else ""
        raise UserError(
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


def write_weights(path: Path, model: nn.Module, dataset: str) -> None:
    """Write parameters and buffers by name, and the name of the training dataset."""
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_whole(path, lambda file: np.savez(file, dataset=np.array(dataset), **arrays))


def read_weights(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file written by `write_weights`; no code in the file is run.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except OSError as error:
        if error.strerror:
            raise UserError(f"weights {path}: {error.strerror}") from None
        raise _damaged(path, error) from None
    except Exception as error:  # zip, zlib and NumPy raise different ones for a damaged file
        raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> UserError:
    return UserError(
        f"weights {path}: damaged, or not an .npz file of this trainer ({reason(error)})"
    )


def apply_weights(path: str, model: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy arrays into the parameters and buffers of the same names.

    Raises:
        UserError: they belong to another model; lists all differences.
    """
    own = model.state_dict()
    found = {name: array for name, array in arrays.items() if name != "dataset"}
    faults = [f"no {name}" for name in own if name not in found]
    faults += [f"{name} unknown here" for name in found if name not in own]
    for name, array in found.items():
        expected = own.get(name)
        if expected is not None and (array.shape, array.dtype) != (expected.shape, expected.dtype):
            faults.append(
                f"{name} is {array.dtype} {array.shape}, here {expected.dtype} {expected.shape}"
            )
    if faults:
        trained_on = f", trained on {arrays['dataset']}" if "dataset" in arrays else ""
        raise UserError(f"weights {path}: of another model{trained_on}: {'; '.join(faults)}")
    model.load_state_dict(found)


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a temporary file beside `path` and move it into place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            write(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from None


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files left by runs that were killed while writing files of this name."""
    for leftover in folder.glob(f".{name}.*.part"):
        leftover.unlink(missing_ok=True)
