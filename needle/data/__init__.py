"""Datasets, image transforms, and the loader that makes batches."""

from typing import TYPE_CHECKING

from .collate import *
from .dataset import *
from .loader import *
from .samplers import *
from .subsets import *

if TYPE_CHECKING:  # imported on first use
    from .cifar import *
    from .geometry import *
    from .mnist import *
    from .text import *
    from .transforms import *
else:
    from .._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
