"""The datasets that a config can name, and finding them."""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ... import data
from ...autograd import Tensor
from ...distributed import rank_0_first
from ..errors import TrainingError
from .parts import build_all

__all__ = ["SOURCES", "Source", "load_data"]


@dataclass(frozen=True)
class Source:
    """A dataset by name: the shape of its items, the number of its classes, how to open it.

    Example:
        >>> from needle.training.config import SOURCES
        >>> SOURCES["digits"].sizes
        {'pixels': 64, 'classes': 10}
    """

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

    def example(self, count: int) -> tuple[Tensor, tuple[int, ...]]:
        """Inputs of this many items, and the shape of a model's outputs for them."""
        if self.unit == "windows":  # of tokens, whose targets are the tokens that follow
            tokens = np.zeros((count, *self.shape), np.int64)
            return Tensor.make_const(tokens), (count, *self.shape, self.classes)
        # neither blank nor white: some layers take whole numbers only
        images = np.full((count, *self.shape), 0.5, np.float32)
        return Tensor.make_const(images), (count, self.classes)

    def identity(self, dataset: Any) -> dict[str, Any]:
        """What tells a dataset from others, as plain values."""
        checksum = zlib.crc32(_labels_of(dataset).tobytes())
        return {"name": self.name, self.unit: len(dataset), "checksum": checksum}


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


def load_data(config: SimpleNamespace, *parts: bool) -> tuple[Source, list[Any]]:
    """The dataset of a config and its parts: True for the training set, False for the test set.

    If `dataset` is neither on this machine nor downloadable, `offline` names the one to use
    instead, and a line is printed. Transforms are for training. On several ranks, the first
    downloads it.

    Raises:
        TrainingError: neither is available, or the files are damaged.

    Example:
        >>> from types import SimpleNamespace
        >>> from needle.training.config import load_data
        >>> config = SimpleNamespace(dataset="digits", offline=None, data_dir=None, transforms=[])
        >>> source, (train_set, test_set) = load_data(config, True, False)
        >>> len(train_set), len(test_set)
        (1437, 360)
    """
    transforms = build_all(config.transforms)
    wanted = SOURCES[config.dataset]

    def opened(source: Source) -> tuple[Source, list[Any]]:
        def load() -> list[Any]:
            return [_open(source, part, config.data_dir, transforms) for part in parts]

        return source, rank_0_first(load)

    try:
        return opened(wanted)
    except data.DatasetNotFoundError as error:
        # the end of the text is for programmers; _WAYS_OUT is for users of a program
        reason = str(error).partition("\nWays out")[0]
        if config.offline is None:
            raise TrainingError(reason + _WAYS_OUT.format(wanted.name)) from None
    instead = SOURCES[config.offline]
    print(
        f"{wanted.name} is neither on this machine nor downloadable: "
        f"using {instead.name} instead (offline: {config.offline})",
        flush=True,
    )
    return opened(instead)


def _open(source: Source, train: bool, folder: str | None, transforms: list[Any]) -> Any:
    part = "training" if train else "test"
    try:
        dataset = source.open(train, folder, transforms if train else [])
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
    if (largest := _labels_of(dataset).max()) >= source.classes:
        raise TrainingError(
            f"{source.name}: found the {part} label {largest}, allowed: 0 to {source.classes - 1}"
        )
    return dataset


def _labels_of(dataset: Any) -> np.ndarray:
    """All labels, or all tokens of a text."""
    return dataset.tokens if isinstance(dataset, data.TextDataset) else dataset.labels
