"""Configs: YAML text read by a table of keys; models, optimizers and schedules by their names.

`read_training` reads the config of a training, and `command_line` the same with the options of a
program; `load_data`, `build_model`, `build_optimizer` and `trainer_options` make of it what a
`Trainer` needs. For a config of other keys, `read_config` takes a table of them: names, and kinds
of values such as `whole(1)` or `OPTIMIZER`.
"""

from . import datasets, kinds, names, parts, reading, training, yaml_text
from .datasets import *
from .kinds import *
from .names import *
from .parts import *
from .reading import *
from .training import *
from .yaml_text import *

__all__ = [
    *datasets.__all__, *kinds.__all__, *names.__all__, *parts.__all__, *reading.__all__,
    *training.__all__, *yaml_text.__all__,
]  # fmt: skip
