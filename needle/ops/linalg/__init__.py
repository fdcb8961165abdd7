"""Linear algebra, batched over leading axes; `needle.linalg` has it under numpy.linalg's names."""

from typing import TYPE_CHECKING

from .factorizations import *
from .least_squares import *
from .matrices import *
from .norms import *
from .products import *
from .solve import *

if not TYPE_CHECKING:  # type checkers follow the imports
    __all__ = [name for name, value in globals().items() if callable(value) and name[0] != "_"]
