"""CIFAR-10: small colour images."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .archives import read_pickle, unpack
from .dataset import DatasetNotFoundError, NDArrayDataset, Transforms, check_flags
from .download import Remote, cache_folder, cached_file, places
from .idx import FilePath

__all__ = ["CIFAR10", "CIFAR10Dataset"]

MIRRORS = ["https://www.cs.toronto.edu/~kriz/"]
"""URLs of folders with the archive; tried in this order."""

_ARCHIVE = "cifar-10-python.tar.gz"
_CHECKSUM = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_FOLDER = "cifar-10-batches-py"
_PARTS = {True: [f"data_batch_{number}" for number in range(1, 6)], False: ["test_batch"]}


class CIFAR10Dataset(NDArrayDataset):
    """Images and labels of the files of CIFAR-10's Python version.

    An image is (3, 32, 32), float32 in [0, 1]; a label is uint8. `images` is the whole array as it
    is stored, bytes (N, 3, 32, 32), and `labels` that of the labels. Transforms are given images
    (32, 32, 3), as all of them are, before the axes are put in order.

    Args:
        base_folder: has the files `data_batch_1` to `data_batch_5` and `test_batch`.
        train: the training set; False: the test set.
        p: not used; code for the course may pass it.
        transforms: functions from image (H, W, C) to image, applied when an item is fetched.

    Raises:
        DatasetNotFoundError: a file is missing.
        ValueError: a file is damaged, or is a pickle of anything but numbers, texts and arrays.

    Example:
        >>> import needle as ndl
        >>> dataset = ndl.data.CIFAR10Dataset("cifar-10-batches-py", train=True)  # doctest: +SKIP
        >>> dataset[0][0].shape  # doctest: +SKIP
        (3, 32, 32)
    """

    def __init__(
        self,
        base_folder: FilePath,
        train: bool,
        p: float | None = 0.5,
        transforms: Transforms = None,
    ) -> None:
        check_flags(train=train)
        paths = [os.path.join(base_folder, name) for name in _PARTS[bool(train)]]
        for path in paths:
            if not os.path.isfile(path):
                raise DatasetNotFoundError(
                    f"{path} is missing: base_folder is the folder {_FOLDER!r} with the batches of "
                    "CIFAR-10's Python version"
                )
        images, labels = zip(*map(_read_batch, paths), strict=True)
        self.images, self.labels = np.concatenate(images), np.concatenate(labels)
        super().__init__(self.images, self.labels, transforms=transforms)

    def _pick(self, index: Any) -> list[Any]:
        images, labels = super()._pick(index)
        return [np.divide(images, 255, dtype=np.float32), labels]

    def _processed(self, images: Any, transform: Callable[[Any], Any]) -> Any:
        images = transform(np.moveaxis(images, -3, -1))
        if images.shape[-1] > 4 and images.shape[-3] <= 4:
            raise ValueError(
                f"transforms of {type(self).__name__} return images (H, W, C), got shape "
                f"{images.shape}: leave ToTensor out, items are (C, H, W) by themselves"
            )
        return np.ascontiguousarray(np.moveaxis(images, -1, -3))


class CIFAR10(CIFAR10Dataset):
    """CIFAR-10, found on this machine or downloaded: 50,000 images to train, 10,000 to test.

    The files, their folder `cifar-10-batches-py`, or the archive `cifar-10-python.tar.gz` are
    searched for in `root`, then in the folder `$NEEDLE_DATA`, then in the user's cache; if they
    are in none, the archive (163 MiB) is downloaded into the cache, verified and unpacked.

    Classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: a folder; it need not exist.
        train: the training set; False: the test set.
        transforms: functions from image (H, W, C) to image, applied when an item is fetched.
        download: whether the network may be used.

    Raises:
        DatasetNotFoundError: the files are nowhere, or not all of them.
        ValueError: a file or an archive that was found is damaged, or not safe to read.

    Example:
        >>> import needle as ndl
        >>> images, labels = ndl.data.CIFAR10(train=False)[:10]  # doctest: +SKIP
        >>> images.shape  # doctest: +SKIP
        (10, 3, 32, 32)
    """

    def __init__(
        self,
        root: FilePath | None = None,
        train: bool = True,
        transforms: Transforms = None,
        download: bool = True,
    ) -> None:
        check_flags(train=train, download=download)
        if isinstance(root, bool):
            raise TypeError(f"root is a folder, got {root!r}: write train=True or train=False")
        super().__init__(_batches(root, bool(train), download), train, transforms=transforms)


def _batches(root: FilePath | None, train: bool, download: bool) -> str:
    """The folder with the batches of one part."""
    looked = []
    for place, folder, _ in places(root):
        if not folder:
            looked.append(f"{place}: not given")
            continue
        for below in (folder, os.path.join(folder, _FOLDER)):
            if any(os.path.isfile(os.path.join(below, name)) for name in _PARTS[train]):
                return below
        archive = os.path.join(folder, _ARCHIVE)
        if os.path.isfile(archive):
            unpack(archive, folder)
            return os.path.join(folder, _FOLDER)
        empty = "none of the files" if os.path.isdir(folder) else "no such folder"
        looked.append(f"{place} {folder}: {empty}")
    ways_out = (
        f"give root= a folder with {_FOLDER} or {_ARCHIVE}, set $NEEDLE_DATA to it, or use "
        "needle.data.Digits, which comes with needle."
    )
    remote = Remote("CIFAR-10", "cifar-10", MIRRORS, ways_out)
    cache = cache_folder(remote)
    batches = os.path.join(cache, _FOLDER)
    if not all(os.path.isfile(os.path.join(batches, name)) for name in _PARTS[train]):
        unpack(cached_file(remote, _ARCHIVE, _CHECKSUM, download, looked), cache)
    return batches


def _read_batch(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,) of a file, both uint8."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a batch of CIFAR-10: it holds a {type(content).__name__}")
    data, labels = (content.get(key, content.get(key.decode())) for key in (b"data", b"labels"))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        found = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else data
        raise ValueError(
            f"{path} is not a batch of CIFAR-10: 'data' is uint8 (N, 3072), got {found}"
        )
    if not isinstance(labels, list) or not all(
        type(label) is int and 0 <= label < 10 for label in labels
    ):
        raise ValueError(f"{path} is not a batch of CIFAR-10: 'labels' is a list of ints below 10")
    if len(labels) != len(data):
        raise ValueError(f"{path}: {len(data)} images and {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32), np.array(labels, np.uint8)
