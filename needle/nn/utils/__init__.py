"""What works on modules and their inputs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported on first use
    from . import rnn as rnn
else:
    from ..._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)
