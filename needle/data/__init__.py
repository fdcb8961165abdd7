"""Datasets, image transforms, and the loader that makes batches."""

from .dataset import Dataset, DatasetNotFoundError, NDArrayDataset
from .loader import Batch, DataLoader
from .mnist import MNIST, Digits, MNISTDataset, parse_mnist
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
