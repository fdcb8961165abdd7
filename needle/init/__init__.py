"""Initial values: constants, random draws, and the initialisations of layers."""

from . import creation, draws, fan
from .creation import *
from .draws import *
from .fan import *

__all__ = [*creation.__all__, *draws.__all__, *fan.__all__]
