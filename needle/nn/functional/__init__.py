"""Layers and losses as functions of their parameters, with all checks of their inputs."""

from . import attention, layer, loss, normalization, recurrence
from .attention import *
from .layer import *
from .loss import *
from .normalization import *
from .recurrence import *

__all__ = [
    *attention.__all__, *layer.__all__, *loss.__all__, *normalization.__all__,
    *recurrence.__all__,
]  # fmt: skip
