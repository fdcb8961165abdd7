"""Datasets, image transforms, and the loader that makes batches."""

from . import cifar, collate, dataset, geometry, loader, mnist, samplers, subsets, text, transforms
from .cifar import *
from .collate import *
from .dataset import *
from .geometry import *
from .loader import *
from .mnist import *
from .samplers import *
from .subsets import *
from .text import *
from .transforms import *

__all__ = [
    *dataset.__all__, *subsets.__all__, *mnist.__all__, *cifar.__all__, *text.__all__,
    *transforms.__all__, *geometry.__all__, *samplers.__all__, *collate.__all__, *loader.__all__,
]  # fmt: skip
