"""Initial values: constants, random draws, and the initialisations of layers."""

from . import basic, creation, fan
from .basic import *
from .creation import *
from .fan import *

__all__ = [*basic.__all__, *creation.__all__, *fan.__all__]
