"""The digits that come with needle: small, real, and there without a network."""

import os

from .dataset import Transforms
from .mnist import MNISTDataset

__all__ = ["Digits"]

_FOLDER = os.path.join(os.path.dirname(__file__), "digits")


class Digits(MNISTDataset):
    """1,797 real handwritten digits of 8 x 8 pixels: 1,437 to train, 360 to test.

    An image is (8, 8, 1), float32 in [0, 1] in steps of 1/16; a label is uint8. An index is an
    int, a slice or an index array. `images` and `labels` are the whole arrays.

    The split is a fixed shuffle. In its original order the set goes writer by writer, so that a
    tail would test on three people only, and the luck of their handwriting would decide; here
    all thirteen writers stand on both sides. A score is therefore one for known writers.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0; see
    `digits/ATTRIBUTION.txt`.

    Args:
        train: the images to train on; False: those to test with.
        transforms: functions from image (8, 8, 1) to image, applied whenever one is fetched.
    """

    white = 16

    def __init__(self, train: bool = True, transforms: Transforms | None = None) -> None:
        part = os.path.join(_FOLDER, "train" if train else "t10k")
        super().__init__(f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz", transforms)
