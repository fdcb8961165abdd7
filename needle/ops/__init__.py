"""The operators: each states how arrays are computed and how the graph of its adjoint is built."""

from . import (
    activations,
    arithmetic,
    binding,  # noqa: F401 - imported for what it does: the operators of Tensor
    comparison,
    contraction,
    functions,
    indexing,
    kinds,
    losses,
    normalization,
    reductions,
    special,
    tuples,
    views,
)
from .activations import *
from .arithmetic import *
from .comparison import *
from .contraction import *
from .functions import *
from .indexing import *
from .kinds import *
from .losses import *
from .normalization import *
from .reductions import *
from .special import *
from .tuples import *
from .views import *

__all__ = [
    name
    for family in (
        activations,
        arithmetic,
        comparison,
        contraction,
        functions,
        indexing,
        kinds,
        losses,
        normalization,
        reductions,
        special,
        tuples,
        views,
    )
    for name in family.__all__
]
