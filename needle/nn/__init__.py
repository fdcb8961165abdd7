"""Modules: layers with parameters, containers and losses."""

from . import (
    activation,
    attention,
    cells,
    container,
    convolution,
    embedding,
    encoder_decoder,
    functional,
    init,
    layer,
    loss,
    module,
    multihead_attention,
    normalization,
    padding,
    parameter,
    pooling,
    positions,
    recurrence,
    resizing,
    stateless,
    transformer,
    utils,
)  # fmt: skip
from .activation import *
from .attention import *
from .cells import *
from .container import *
from .convolution import *
from .embedding import *
from .encoder_decoder import *
from .layer import *
from .loss import *
from .module import *
from .multihead_attention import *
from .normalization import *
from .padding import *
from .parameter import *
from .pooling import *
from .positions import *
from .recurrence import *
from .resizing import *
from .stateless import *
from .transformer import *

__all__ = [
    "functional", "init", "utils", *activation.__all__, *attention.__all__, *cells.__all__,
    *container.__all__, *convolution.__all__, *embedding.__all__, *encoder_decoder.__all__,
    *layer.__all__, *loss.__all__, *module.__all__, *multihead_attention.__all__,
    *normalization.__all__, *padding.__all__, *parameter.__all__, *pooling.__all__,
    *positions.__all__, *recurrence.__all__, *resizing.__all__, *stateless.__all__,
    *transformer.__all__,
]  # fmt: skip
