"""Optimizers, learning rate schedules and gradient clipping."""

from typing import TYPE_CHECKING

from .clipping import *
from .optimizer import *
from .rules import *
from .sgd import *

if TYPE_CHECKING:  # imported on first use
    from . import lr_scheduler as lr_scheduler
    from .lbfgs import *
    from .lr_scheduler import *
else:
    from .._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
