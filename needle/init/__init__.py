"""Initial values: constants, random draws, and the initialisations of layers."""

from . import basic, fan
from .basic import *
from .fan import *

__all__ = [*basic.__all__, *fan.__all__]
