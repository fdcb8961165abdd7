"""The keys that a config of train_mnist.py may have."""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from needle.training import TrainingError
from needle.training.config import (
    FLAG,
    GENERATOR,
    LAYER_LIST,
    NOTHING,
    OPTIMIZER,
    SCHEDULE,
    TEXT,
    TRANSFORM_LIST,
    Entry,
    Kind,
    Part,
    build_all,
    check_model,
    check_optimizer,
    choice,
    number,
    read_config,
    read_mapping,
    whole,
)

from .datasets import SOURCES

__all__ = ["CONFIGS", "SCHEMA", "read"]

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

_RESULTS = Kind(TEXT.allowed, TEXT.accepts, lambda key, value: os.path.expanduser(value))
_FOLDER = Kind(
    "an existing folder",
    lambda value: isinstance(value, str) and Path(os.path.expanduser(value)).is_dir(),
    _RESULTS.read,
)
_CHECKPOINT = Kind(
    "a mapping of every (epochs), every_batches and keep",
    lambda value: isinstance(value, dict),
    lambda key, value: read_mapping(key, value, _CHECKPOINT_ENTRIES),
)
_CHECKPOINT_ENTRIES = {
    "every": Entry((whole(1),), default=1),
    "every_batches": Entry((whole(1), NOTHING), default=None),
    "keep": Entry((whole(1),), default=3),
}

# every key that a config may have
SCHEMA = {
    "seed": Entry((whole(0, 2**32 - 1),)),
    "dataset": Entry((choice(*SOURCES),)),
    "offline": Entry((choice("digits"), NOTHING), default=None),
    "data_dir": Entry((_FOLDER, NOTHING), default=None),
    "transforms": Entry((TRANSFORM_LIST,), default=[]),
    "model": Entry((LAYER_LIST,)),
    "init": Entry((choice("needle", "pytorch"),), default="needle"),
    "loop": Entry((choice("train_epoch", "nn_epoch"),), default="train_epoch"),
    "compile": Entry((FLAG, choice("numba", "numpy")), default=False),
    "optimizer": Entry((OPTIMIZER,)),
    "scheduler": Entry((SCHEDULE, NOTHING), default=None),
    "clip_norm": Entry((number("a number above 0", lambda x: x > 0), NOTHING), default=None),
    "label_smoothing": Entry((number("a number from 0 to 1", lambda x: 0 <= x <= 1),), default=0.0),
    "epochs": Entry((whole(1),)),
    "batch_size": Entry((whole(1),)),
    "shuffle": Entry((FLAG,)),
    "workers": Entry((whole(0),), default=0),
    "generator": Entry((GENERATOR, NOTHING), default=None),
    "checkpoint": Entry((_CHECKPOINT, NOTHING), default=None),
    "results": Entry((_RESULTS,)),
}


def _check_together(config: SimpleNamespace) -> None:
    """Check what depends on several entries: shapes of layers, settings that exclude each other."""
    build_all(config.transforms)
    for dataset in filter(None, (config.dataset, config.offline)):
        source = SOURCES[dataset]
        x, outputs = source.example(2)
        check_model(config.model, source.sizes, x, outputs, source.name)
    # the number of batches is not known yet, and does not matter here
    check_optimizer(config.optimizer, config.scheduler, {"epochs": config.epochs, "batches": 10**9})
    if config.loop == "nn_epoch":
        _check_nn_epoch(config)


def _check_nn_epoch(config: SimpleNamespace) -> None:
    """`nn_epoch` supports one network, trained in one way."""
    layers = config.model
    is_two_layer = [layer.name for layer in layers] == ["Flatten", "Linear", "ReLU", "Linear"]
    if not is_two_layer or layers[1].arguments["bias"] or layers[3].arguments["bias"]:
        raise TrainingError(
            "model: loop: nn_epoch allows only Flatten, Linear, ReLU, Linear, with bias: false"
        )
    if not _is_plain_sgd(config.optimizer):
        raise TrainingError("optimizer: loop: nn_epoch allows only SGD with lr and nothing else")
    for key in ("compile", "shuffle", "clip_norm", "label_smoothing"):
        if getattr(config, key):
            raise TrainingError(
                f"{key}: found {getattr(config, key)}, allowed: none with loop: nn_epoch"
            )


def _is_plain_sgd(optimizer: Part) -> bool:
    extras = {name: value for name, value in optimizer.arguments.items() if name != "lr"}
    return optimizer.name == "SGD" and not any(extras.values())


read = partial(read_config, schema=SCHEMA, folder=CONFIGS, check=_check_together)
"""read(file, overrides): the settings of a config."""
