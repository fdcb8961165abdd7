"""Initial values: constants, random draws, and the initialisations of layers."""

from typing import TYPE_CHECKING

from .creation import *
from .draws import *
from .fan import *

if not TYPE_CHECKING:
    from .._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
