"""MNIST: 70,000 handwritten digits of 28 x 28 pixels."""

import numpy as np

from .dataset import NDArrayDataset, Transforms
from .download import mnist_files
from .idx import FilePath, read_labelled_images

__all__ = ["MNIST", "MNISTDataset", "parse_mnist"]


def parse_mnist(
    image_filename: FilePath, label_filename: FilePath
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H·W), float32 in [0, 1], and labels (N,), uint8, from two IDX files.

    Raises:
        ValueError: a file is damaged, or images and labels do not match; names the file.
        OSError: a file cannot be opened.
    """
    images, labels = read_labelled_images(image_filename, label_filename)
    count, height, width = images.shape
    return _scaled(images, 255).reshape(count, height * width), labels


def _scaled(images: np.ndarray, white: int) -> np.ndarray:
    """Integer images as float32, `white` becoming 1."""
    return np.divide(images, white, dtype=np.float32)


class MNISTDataset(NDArrayDataset):
    """Images and labels of two IDX files (`.gz` or unpacked) in the format of MNIST.

    An image is (28, 28, 1), float32 in [0, 1]; a label is uint8. An index is an int, a slice or
    an index array. `images` and `labels` are the whole arrays.

    Raises:
        ValueError: a file is damaged, or images and labels do not match; names the file.
        OSError: a file cannot be opened.
    """

    white = 255  # the largest value of a pixel, which becomes 1

    def __init__(
        self,
        image_filename: FilePath,
        label_filename: FilePath,
        transforms: Transforms | None = None,
    ) -> None:
        # converted once, so that fetching a batch is one gather
        images, labels = read_labelled_images(image_filename, label_filename)
        self.images = _scaled(images, self.white)[..., np.newaxis]
        self.labels = labels
        super().__init__(self.images, self.labels, transforms=transforms)


class MNIST(MNISTDataset):
    """The MNIST digits, found on this machine or downloaded: 60,000 to train, 10,000 to test.

    The files of a part are looked for in `root`, else in the folder `$NEEDLE_DATA`, else in the
    user's cache; else they are downloaded into the cache, and checked.

    Args:
        root: a folder with the files, `.gz` or unpacked; it need not exist.
        train: the images to train on; False: those to test with.
        transforms: functions from image (28, 28, 1) to image, applied whenever one is fetched.
        download: whether the network may be used.

    Raises:
        DatasetNotFoundError: the files are nowhere; says where it looked and what to do.
        ValueError: a file that was found is damaged; names it.
    """

    def __init__(
        self,
        root: FilePath | None = None,
        train: bool = True,
        transforms: Transforms | None = None,
        download: bool = True,
    ) -> None:
        image_file, label_file = mnist_files(root, train, download)
        super().__init__(image_file, label_file, transforms)
