"""Training a model: epochs with metrics, progress, callbacks, checkpoints, and a YAML config.

`Trainer` is the loop; the rest are its parts, which a program of one's own can use alone.
"""

from . import config as config
from .callbacks import Callback, EarlyStopping, SaveBest
from .checkpoints import Checkpoints
from .errors import TrainingError
from .files import apply_weights, read_weights, write_weights, write_whole
from .lock import locked
from .metrics import accuracy
from .progress import Interruption, stopping_signals
from .trainer import Trainer

__all__ = [
    "Callback", "Checkpoints", "EarlyStopping", "Interruption", "SaveBest", "Trainer",
    "TrainingError", "accuracy", "apply_weights", "config", "locked", "read_weights",
    "stopping_signals", "write_weights", "write_whole",
]  # fmt: skip
