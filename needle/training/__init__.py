"""Training a model: epochs with metrics, progress, callbacks, checkpoints, and a YAML config.

`Trainer` is the loop; the rest are its parts, which a program of one's own can use alone. `Results`
is the folder of a run, and `run_program` the way from an error to an exit code. `config` builds
models, optimizers, schedules and data from YAML.
"""

from . import config as config
from .callbacks import Callback, EarlyStopping, SaveBest
from .checkpoints import Checkpoints
from .errors import TrainingError
from .files import apply_weights, read_weights, write_weights, write_whole
from .lock import locked
from .metrics import accuracy, cross_entropy
from .program import run_program
from .progress import Interruption, stopping_signals
from .results import Results
from .trainer import Trainer

__all__ = [
    "Callback", "Checkpoints", "EarlyStopping", "Interruption", "Results", "SaveBest", "Trainer",
    "TrainingError", "accuracy", "apply_weights", "config", "cross_entropy", "locked",
    "read_weights", "run_program", "stopping_signals", "write_weights", "write_whole",
]  # fmt: skip
