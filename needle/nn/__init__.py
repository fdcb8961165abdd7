"""Modules: layers with parameters, containers and losses."""

from . import (
    activation,
    container,
    functional,
    init,
    layer,
    loss,
    module,
    normalization,
    parameter,
    stateless,
)  # fmt: skip
from .activation import *
from .container import *
from .layer import *
from .loss import *
from .module import *
from .normalization import *
from .parameter import *
from .stateless import *

__all__ = [
    "functional", "init", *activation.__all__, *container.__all__, *layer.__all__, *loss.__all__,
    *module.__all__, *normalization.__all__, *parameter.__all__,
    *stateless.__all__,
]  # fmt: skip
