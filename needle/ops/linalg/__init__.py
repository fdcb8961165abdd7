"""Linear algebra, batched over leading axes; `needle.linalg` has it under numpy.linalg's names."""

from . import factorizations, matrices, norms
from . import solve as systems
from .factorizations import *
from .matrices import *
from .norms import *
from .solve import *

__all__ = [name for family in (factorizations, matrices, norms, systems) for name in family.__all__]
