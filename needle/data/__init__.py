"""Datasets, transforms of their images, and the loader that makes batches of them."""

from .dataset import Dataset, DatasetNotFoundError, NDArrayDataset
from .digits import Digits
from .loader import Batch, DataLoader
from .mnist import MNIST, MNISTDataset, parse_mnist
from .transforms import RandomCrop, RandomFlipHorizontal, Transform

__all__ = [
    "Batch",
    "DataLoader",
    "Dataset",
    "NDArrayDataset",
    "DatasetNotFoundError",
    "Digits",
    "MNIST",
    "MNISTDataset",
    "parse_mnist",
    "RandomCrop",
    "RandomFlipHorizontal",
    "Transform",
]
