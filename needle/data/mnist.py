"""Grey images: MNIST, Fashion-MNIST, and the digits that come with needle."""

import math
import os

import numpy as np

from .dataset import NDArrayDataset, Transforms, check_flags
from .download import fashion_files, mnist_files
from .idx import FilePath, read_idx

__all__ = ["MNIST", "Digits", "FashionMNIST", "MNISTDataset", "parse_mnist"]

_DIGITS = os.path.join(os.path.dirname(__file__), "digits")


def parse_mnist(
    image_filename: FilePath, label_filename: FilePath
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H·W), float32 in [0, 1], and labels (N,), uint8, of an `MNISTDataset`.

    Example:
        >>> import needle as ndl
        >>> from pathlib import Path
        >>> folder = Path(ndl.data.__file__).parent / "digits"
        >>> files = [folder / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        >>> images, labels = ndl.data.parse_mnist(*files)
        >>> images.shape, labels.shape
        ((360, 64), (360,))
    """
    dataset = MNISTDataset(image_filename, label_filename)
    pixels = math.prod(dataset.images.shape[1:])
    return dataset.images.reshape(len(dataset), pixels), dataset.labels


class MNISTDataset(NDArrayDataset):
    """Images and labels of two IDX files (`.gz` or unpacked) in the format of MNIST.

    An image is (28, 28, 1), float32 in [0, 1]; a label is uint8. `images` and `labels` are the
    whole arrays.

    Raises:
        ValueError: a file is damaged, or the numbers of images and labels differ.
        OSError: a file cannot be opened.

    Example:
        >>> import needle as ndl
        >>> from pathlib import Path
        >>> folder = Path(ndl.data.__file__).parent / "digits"
        >>> files = [folder / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        >>> dataset = ndl.data.MNISTDataset(*files)
        >>> len(dataset), dataset[0][0].shape
        (360, (8, 8, 1))
    """

    max_value = 255  # of a pixel; scaled to 1

    def __init__(
        self, image_filename: FilePath, label_filename: FilePath, transforms: Transforms = None
    ) -> None:
        images, self.labels = read_idx(image_filename, 3), read_idx(label_filename, 1)
        if len(images) != len(self.labels):
            raise ValueError(
                f"images and labels do not match: {len(images)} in {os.fspath(image_filename)}, "
                f"{len(self.labels)} in {os.fspath(label_filename)}"
            )
        # converted once, so that fetching a batch is one gather
        self.images = np.divide(images, self.max_value, dtype=np.float32)[..., np.newaxis]
        super().__init__(self.images, self.labels, transforms=transforms)


class MNIST(MNISTDataset):
    """MNIST, found on this machine or downloaded: 60,000 images to train, 10,000 to test.

    The files are searched for in `root`, then in the folder `$NEEDLE_DATA`, then in the user's
    cache; if they are in none, they are downloaded into the cache and verified.

    Args:
        root: a folder with the files, `.gz` or unpacked; it need not exist.
        train: the training set; False: the test set.
        transforms: functions from image (28, 28, 1) to image, applied when an item is fetched.
        download: whether the network may be used.

    Raises:
        DatasetNotFoundError: the files are nowhere, or a folder has only one of the two.
        ValueError: a file that was found is damaged.

    Example:
        >>> import needle as ndl
        >>> images, labels = ndl.data.MNIST(train=False)[:10]  # doctest: +SKIP
        >>> images.shape  # doctest: +SKIP
        (10, 28, 28, 1)
    """

    def __init__(
        self,
        root: FilePath | None = None,
        train: bool = True,
        transforms: Transforms = None,
        download: bool = True,
    ) -> None:
        images, labels = self._files(root, train, download)
        super().__init__(images, labels, transforms)

    _find = staticmethod(mnist_files)

    def _files(self, root: FilePath | None, train: bool, download: bool) -> list[str]:
        check_flags(train=train, download=download)
        # MNIST(False) and MNIST("test") would find the training set
        if isinstance(root, bool) or (root in ("train", "test") and not os.path.isdir(root)):
            raise TypeError(f"root is a folder, got {root!r}: write train=True or train=False")
        return self._find(root, train, download)


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 grey images of clothes to train, 10,000 to test, as those of `MNIST`.

    Its files have the names of MNIST's. They are searched for in `root` and its folder
    `fashion-mnist`, then in `$NEEDLE_DATA/fashion-mnist`, then in the user's cache; torchvision's
    folder `FashionMNIST/raw` is found, too.

    Classes: T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.

    Raises:
        DatasetNotFoundError: the files are nowhere, or those found are MNIST's.
        ValueError: a file that was found is damaged.

    Example:
        >>> import needle as ndl
        >>> images, labels = ndl.data.FashionMNIST(train=False)[:10]  # doctest: +SKIP
        >>> images.shape  # doctest: +SKIP
        (10, 28, 28, 1)
    """

    _find = staticmethod(fashion_files)


class Digits(MNISTDataset):
    """1,797 handwritten digits of 8 x 8 pixels, included in needle: 1,437 to train, 360 to test.

    An image is (8, 8, 1), float32 in [0, 1] in steps of 1/16; otherwise as `MNISTDataset`. The
    split is a fixed random permutation: the source is sorted by writer, and both parts contain
    digits of all thirteen writers.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0; see
    `digits/ATTRIBUTION.txt`.

    Example:
        >>> import needle as ndl
        >>> image, label = ndl.data.Digits()[0]
        >>> image.shape, int(label)
        ((8, 8, 1), 2)
    """

    max_value = 16

    def __init__(self, train: bool = True, transforms: Transforms = None) -> None:
        check_flags(train=train)
        part = os.path.join(_DIGITS, "train" if train else "t10k")
        super().__init__(f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz", transforms)
