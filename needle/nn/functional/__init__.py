"""Layers and losses as functions of their parameters, with all checks of their inputs."""

from . import (
    alignment,
    attention,
    convolution,
    layer,
    lookup,
    loss,
    normalization,
    pooling,
    rearranging,
    recurrence,
    resizing,
)
from .alignment import *
from .attention import *
from .convolution import *
from .layer import *
from .lookup import *
from .loss import *
from .normalization import *
from .pooling import *
from .rearranging import *
from .recurrence import *
from .resizing import *

__all__ = [
    *alignment.__all__, *attention.__all__, *convolution.__all__, *layer.__all__,
    *lookup.__all__, *loss.__all__, *normalization.__all__, *pooling.__all__,
    *rearranging.__all__, *recurrence.__all__, *resizing.__all__,
]  # fmt: skip
