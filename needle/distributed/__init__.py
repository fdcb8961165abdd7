"""One model on many processes: ranks, and what they exchange, by MPI."""

from . import (
    collectives,
    communicator,
    failures,
    normalization,
    passes,
    rank_zero,
    tensor_parallel,
    wrapping,
)  # fmt: skip
from .collectives import *
from .communicator import *
from .failures import *
from .normalization import *
from .passes import *
from .rank_zero import *
from .tensor_parallel import *
from .wrapping import *

__all__ = [
    *communicator.__all__, *collectives.__all__, *wrapping.__all__, *normalization.__all__,
    *tensor_parallel.__all__, *failures.__all__, *rank_zero.__all__, *passes.__all__,
]  # fmt: skip
