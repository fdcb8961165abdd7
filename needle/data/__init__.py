"""Datasets, image transforms, and the loader that makes batches."""

from . import dataset, loader, mnist, transforms
from .dataset import *
from .loader import *
from .mnist import *
from .transforms import *

__all__ = [*dataset.__all__, *loader.__all__, *mnist.__all__, *transforms.__all__]
