"""Modules: layers with parameters, containers and losses."""

from typing import TYPE_CHECKING

from . import functional as functional
from . import init as init
from . import utils as utils
from .activation import *
from .container import *
from .layer import *
from .loss import *
from .module import *
from .normalization import *
from .parameter import *

if TYPE_CHECKING:  # imported on first use
    from .alignment import *
    from .attention import *
    from .cells import *
    from .convolution import *
    from .embedding import *
    from .encoder_decoder import *
    from .multihead_attention import *
    from .padding import *
    from .pooling import *
    from .positions import *
    from .recurrence import *
    from .resizing import *
    from .stateless import *
    from .transformer import *
else:
    from .._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
