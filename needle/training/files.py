"""Files that are written whole or not at all, and weights in NumPy's format."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..io import replacing
from ..nn import Module
from .errors import TrainingError, reason, refused

__all__ = [
    "apply_weights", "check_writable", "read_weights", "remove_leftovers", "write_weights",
    "write_whole",
]  # fmt: skip


def check_writable(results: str | Path) -> None:
    """Raise unless a folder of results can be written to or created."""
    folder = Path(results).absolute()
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise refused(
            "results", str(results), f"a folder that can be written, which {nearest} cannot"
        )


def write_weights(path: Path, model: Module, dataset: str) -> None:
    """Write parameters and buffers by name, and the name of the training dataset.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Linear(2, 3)
        >>> ndl.training.write_weights(Path("weights.npz"), model, "Digits")
        >>> arrays = ndl.training.read_weights("weights.npz")
        >>> sorted(arrays)
        ['bias', 'dataset', 'weight']
        >>> ndl.training.apply_weights("weights.npz", model, arrays)
    """
    arrays: dict[str, Any] = {n: tensor.numpy() for n, tensor in model.state_dict().items()}
    arrays["dataset"] = np.array(dataset)
    write_whole(path, lambda file: np.savez(file, **arrays))


def read_weights(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file written by `write_weights`; no code in the file is run.

    Raises:
        TrainingError: the file is missing, damaged or of another format.

    Example:
        >>> import needle as ndl
        >>> ndl.training.write_weights(Path("weights.npz"), ndl.nn.Linear(2, 3), "Digits")
        >>> ndl.training.read_weights("weights.npz")["weight"].shape
        (2, 3)
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zip, zlib and NumPy raise different ones for a damaged file
        is_there = not (isinstance(error, OSError) and error.strerror)
        what = f"damaged, or not an .npz file of this trainer ({reason(error)})"
        raise TrainingError(f"weights {path}: {what if is_there else reason(error)}") from None


def apply_weights(path: str, model: Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy arrays into the parameters and buffers of the same names.

    Raises:
        TrainingError: they belong to another model; lists all differences.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Linear(2, 3, bias=False)
        >>> arrays = {"weight": np.ones((2, 3), np.float32)}
        >>> ndl.training.apply_weights("weights.npz", model, arrays)
    """
    weights = {name: array for name, array in arrays.items() if name != "dataset"}
    try:
        model.load_state_dict(weights)
    except ValueError as error:
        trained_on = f", trained on {arrays['dataset']}" if "dataset" in arrays else ""
        text = f"weights {path}: of another model{trained_on}: {reason(error)}"
        raise TrainingError(text) from None


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a temporary file beside `path` and move it into place.

    Example:
        >>> import needle as ndl
        >>> ndl.training.write_whole(Path("new/notes.txt"), lambda file: file.write(b"whole"))
        >>> Path("new/notes.txt").read_text()
        'whole'
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            write(file)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {reason(error)}") from None


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files left by runs that were killed while writing files of this name."""
    for leftover in folder.glob(f".{name}.*.part"):
        leftover.unlink(missing_ok=True)
