"""Datasets, image transforms, and the loader that makes batches."""

from . import collate, dataset, geometry, loader, mnist, samplers, subsets, transforms
from .collate import *
from .dataset import *
from .geometry import *
from .loader import *
from .mnist import *
from .samplers import *
from .subsets import *
from .transforms import *

__all__ = [
    *dataset.__all__, *subsets.__all__, *mnist.__all__, *transforms.__all__, *geometry.__all__,
    *samplers.__all__, *collate.__all__, *loader.__all__,
]  # fmt: skip
