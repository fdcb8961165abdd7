"""The datasets that a config can name, and finding them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from needle import data

from .errors import UserError

__all__ = ["SOURCES", "Source", "load"]


@dataclass(frozen=True)
class Source:
    """A dataset by name: the shape of its images, the number of its classes, how to open it."""

    name: str
    shape: tuple[int, ...]
    classes: int
    open: Callable[[bool, str | None], Any]
    """open(train, folder): the images to train on, or those to test with."""

    @property
    def sizes(self) -> dict[str, int]:
        """The words that are replaced by sizes in a config."""
        return {"pixels": math.prod(self.shape), "classes": self.classes}


SOURCES = {
    "mnist": Source("MNIST", (28, 28, 1), 10, lambda train, folder: data.MNIST(folder, train)),
    "digits": Source("Digits", (8, 8, 1), 10, lambda train, folder: data.Digits(train)),
}

_WAYS_OUT = """
Three ways out:
  --data-dir FOLDER       a folder with MNIST's four files (.gz or unpacked)
  NEEDLE_DATA=FOLDER      the same, in the environment
  --config digits.yaml    train on the digits that come with needle"""


def load(
    dataset: str, offline: str | None, folder: str | None, parts: list[bool]
) -> tuple[Source, list[Any]]:
    """The dataset and its parts: True for the training set, False for the test set.

    If `dataset` is neither on this machine nor downloadable, `offline` names the one to use
    instead, and a line is printed.

    Raises:
        UserError: neither is available, or the files are damaged.
    """
    source = SOURCES[dataset]
    try:
        return source, [_open(source, train, folder) for train in parts]
    except data.DatasetNotFoundError as error:
        # the end of the text is for programmers; _WAYS_OUT is for users of this program
        reason = str(error).partition("\nWays out")[0]
        if offline is None:
            raise UserError(reason + _WAYS_OUT) from None
    source = SOURCES[offline]
    print(
        f"{SOURCES[dataset].name} is neither on this machine nor downloadable: "
        f"using {source.name} instead (offline: {offline})",
        flush=True,
    )
    return source, [_open(source, train, folder) for train in parts]


def _open(source: Source, train: bool, folder: str | None) -> Any:
    try:
        dataset = source.open(train, folder)
    except data.DatasetNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise UserError(f"{source.name}: {error}") from None
    part = "training" if train else "test"
    shape = dataset.images.shape
    if shape[0] == 0 or shape[1:] != source.shape:
        raise UserError(
            f"{source.name}: found {part} images of shape {shape}, allowed: at least one image "
            f"of {source.shape}"
        )
    if dataset.labels.max() >= source.classes:
        raise UserError(
            f"{source.name}: found the {part} label {dataset.labels.max()}, allowed: 0 to "
            f"{source.classes - 1}"
        )
    return dataset
