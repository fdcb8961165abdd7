"""The operators: each states how arrays are computed and how the graph of its adjoint is built."""

from . import (
    activations,
    arithmetic,
    binary,
    binding,  # noqa: F401 - imported for what it does: the operators of Tensor
    comparison,
    contraction,
    functions,
    indexing,
    kinds,
    linalg,
    linear,
    losses,
    normalization,
    products,
    reductions,
    scans,
    special,
    tangents,  # noqa: F401 - likewise: the tangents of ops that state none
    tuples,
    views,
)
from .activations import *
from .arithmetic import *
from .binary import *
from .comparison import *
from .contraction import *
from .functions import *
from .indexing import *
from .kinds import *
from .linalg import *
from .linear import *
from .losses import *
from .normalization import *
from .products import *
from .reductions import *
from .scans import *
from .special import *
from .tuples import *
from .views import *

__all__ = [
    name
    for family in (
        activations,
        arithmetic,
        binary,
        comparison,
        contraction,
        functions,
        indexing,
        kinds,
        linalg,
        linear,
        losses,
        normalization,
        products,
        reductions,
        scans,
        special,
        tuples,
        views,
    )
    for name in family.__all__
]
