"""The operators: each states how arrays are computed and how the graph of its adjoint is built."""

from . import (
    activations,
    arithmetic,
    binary,
    binding,  # noqa: F401 - imported for what it does: the operators of Tensor
    comparison,
    contraction,
    factorizations,
    functions,
    indexing,
    kinds,
    linear,
    losses,
    matrices,
    normalization,
    norms,
    products,
    reductions,
    scans,
    special,
    systems,
    tangents,  # noqa: F401 - likewise: the tangents of ops that state none
    tuples,
    views,
)
from .activations import *
from .arithmetic import *
from .binary import *
from .comparison import *
from .contraction import *
from .factorizations import *
from .functions import *
from .indexing import *
from .kinds import *
from .linear import *
from .losses import *
from .matrices import *
from .normalization import *
from .norms import *
from .products import *
from .reductions import *
from .scans import *
from .special import *
from .systems import *
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
        factorizations,
        functions,
        indexing,
        kinds,
        linear,
        losses,
        matrices,
        normalization,
        norms,
        products,
        reductions,
        scans,
        special,
        systems,
        tuples,
        views,
    )
    for name in family.__all__
]
