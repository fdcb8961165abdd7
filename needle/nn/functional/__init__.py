"""Layers and losses as functions of their parameters, with all checks of their inputs."""

from typing import TYPE_CHECKING

from .layer import *
from .loss import *
from .normalization import *

if TYPE_CHECKING:  # imported on first use
    from .alignment import *
    from .attention import *
    from .convolution import *
    from .lookup import *
    from .pooling import *
    from .rearranging import *
    from .recurrence import *
    from .resizing import *
else:
    from ..._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
