"""One model on many processes: ranks, and what they exchange, by MPI."""

from . import collectives, communicator
from .collectives import *
from .communicator import *

__all__ = [*communicator.__all__, *collectives.__all__]
