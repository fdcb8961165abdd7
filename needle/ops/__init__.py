"""The operators: each states how arrays are computed and how the graph of its adjoint is built.

In the formulas of the docstrings y is the result, g its adjoint, and a, b the operands.
"""

from typing import TYPE_CHECKING

# for what they do: Tensor's operators, examples in docstrings, tangents
from . import binding, examples, tangents  # noqa: F401
from .activations import *
from .arithmetic import *
from .attention import *
from .channels_last import *
from .contraction import *
from .convolution import *
from .dilation import *
from .einsum import *
from .facts import *
from .functions import *
from .indexing import *
from .kinds import *
from .linalg import *
from .losses import *
from .multinomial import multinomial as multinomial
from .normalization import *
from .order import *
from .picking import *
from .pooling import *
from .rearranging import *
from .reductions import *
from .resampling import *
from .tuples import *
from .views import *

if not TYPE_CHECKING:  # type checkers follow the imports
    __all__ = [name for name, value in globals().items() if callable(value) and name[0] != "_"]
