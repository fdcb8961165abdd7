"""The datasets that a config can name, and finding them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from needle import Tensor, data
from needle.training import TrainingError

__all__ = ["SOURCES", "Source", "labels_of", "load"]


@dataclass(frozen=True)
class Source:
    """A dataset by name: the shape of its items, the number of its classes, how to open it."""

    name: str
    shape: tuple[int, ...]
    classes: int
    open: Callable[[bool, str | None, list[Any]], Any]
    """open(train, folder, transforms): what to train on, or to test with."""
    unit: str = "images"

    @property
    def sizes(self) -> dict[str, int]:
        """The words that are replaced by sizes in a config."""
        return {"pixels": math.prod(self.shape), "classes": self.classes}

    @property
    def is_text(self) -> bool:
        """Whether an item is a window of tokens, and its targets are the tokens that follow."""
        return self.unit == "windows"

    def example(self, count: int) -> tuple[Tensor, tuple[int, ...]]:
        """Inputs of this many items, and the shape of a model's outputs for them."""
        if self.is_text:
            tokens = np.zeros((count, *self.shape), np.int64)
            return Tensor.make_const(tokens), (count, *self.shape, self.classes)
        # neither blank nor white: some layers take whole numbers only
        images = np.full((count, *self.shape), 0.5, np.float32)
        return Tensor.make_const(images), (count, self.classes)


def _shakespeare(train: bool, folder: str | None, transforms: list[Any]) -> data.TextDataset:
    """Windows of the first nine tenths of the text, or of the rest."""
    text = data.tiny_shakespeare(folder)
    split = len(text) * 9 // 10
    part = text[:split] if train else text[split:]
    return data.TextDataset(part, CONTEXT, vocabulary=sorted(set(text)), stride=CONTEXT)


def _grey(name: str, size: int, open: Callable[..., Any]) -> Source:
    """Grey images, given to models as (1, H, W), as convolutions take them."""

    def with_axes(train: bool, folder: str | None, transforms: list[Any]) -> Any:
        return open(folder, train, [*transforms, data.ToTensor()])

    return Source(name, (1, size, size), 10, with_axes)


CONTEXT = 64  # characters
SOURCES = {
    "mnist": _grey("MNIST", 28, data.MNIST),
    "digits": _grey("Digits", 8, lambda folder, train, each: data.Digits(train, each)),
    "fashion_mnist": _grey("FashionMNIST", 28, data.FashionMNIST),
    "cifar10": Source(
        "CIFAR10", (3, 32, 32), 10, lambda train, folder, each: data.CIFAR10(folder, train, each)
    ),
    "shakespeare": Source("TinyShakespeare", (CONTEXT,), 65, _shakespeare, "windows"),
}

_WAYS_OUT = """
Three ways out:
  --data-dir FOLDER       a folder with the files of {}, packed or not
  NEEDLE_DATA=FOLDER      the same, in the environment
  --config digits.yaml    train on the digits that come with needle"""


def load(
    dataset: str,
    offline: str | None,
    folder: str | None,
    parts: list[bool],
    transforms: Sequence[Any] = (),
) -> tuple[Source, list[Any]]:
    """The dataset and its parts: True for the training set, False for the test set.

    If `dataset` is neither on this machine nor downloadable, `offline` names the one to use
    instead, and a line is printed. Transforms are for training.

    Raises:
        TrainingError: neither is available, or the files are damaged.
    """
    source = SOURCES[dataset]
    try:
        return source, [_open(source, train, folder, transforms) for train in parts]
    except data.DatasetNotFoundError as error:
        # the end of the text is for programmers; _WAYS_OUT is for users of this program
        reason = str(error).partition("\nWays out")[0]
        if offline is None:
            raise TrainingError(reason + _WAYS_OUT.format(source.name)) from None
    source = SOURCES[offline]
    print(
        f"{SOURCES[dataset].name} is neither on this machine nor downloadable: "
        f"using {source.name} instead (offline: {offline})",
        flush=True,
    )
    return source, [_open(source, train, folder, transforms) for train in parts]


def _open(source: Source, train: bool, folder: str | None, transforms: Sequence[Any]) -> Any:
    part = "training" if train else "test"
    try:
        dataset = source.open(train, folder, list(transforms) if train else [])
        shape = dataset[0][0].shape if len(dataset) else (0,)
    except data.DatasetNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise TrainingError(f"{source.name}: {error}") from None
    if shape != source.shape:
        raise TrainingError(
            f"{source.name}: found {part} items of shape {shape}, allowed: at least one of "
            f"{source.shape}"
        )
    if (largest := labels_of(dataset).max()) >= source.classes:
        raise TrainingError(
            f"{source.name}: found the {part} label {largest}, allowed: 0 to {source.classes - 1}"
        )
    return dataset


def labels_of(dataset: Any) -> np.ndarray:
    """All labels, or all tokens of a text."""
    return dataset.tokens if isinstance(dataset, data.TextDataset) else dataset.labels
