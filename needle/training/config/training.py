"""The config of a training: its keys, its command line, and what a Trainer needs of it."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any

from ... import data, optim
from ...autograd import Tensor
from ..checkpoints import Checkpoints
from ..errors import TrainingError
from .datasets import SOURCES, Source
from .kinds import FLAG, NOTHING, TEXT, Entry, Kind, choice, number, read_mapping, whole
from .names import GENERATOR, LAYER_LIST, OPTIMIZER, SCHEDULE, TRANSFORM_LIST, arguments_of
from .parts import (
    Words,
    build_all,
    build_generator,
    build_model,
    build_optimizer,
    build_schedule,
    check_model,
    plain,
)
from .reading import parse_override, read_config

__all__ = [
    "SCHEMA", "build_loader", "check_last_batch", "command_line", "read_training",
    "trainer_options", "words_of",
]  # fmt: skip

_RESULTS = Kind(TEXT.allowed, TEXT.accepts, lambda key, value: os.path.expanduser(value))
_FOLDER = Kind(
    "an existing folder",
    lambda value: isinstance(value, str) and Path(os.path.expanduser(value)).is_dir(),
    _RESULTS.read,
)
_CHECKPOINT = Kind(
    "a mapping of every (epochs), every_batches and keep",
    lambda value: isinstance(value, dict),
    lambda key, value: read_mapping(key, value, _checkpoints()),
)


def _checkpoints() -> dict[str, Entry]:
    return arguments_of(Checkpoints, optional={int: whole(1), NoneType: NOTHING})


# every key that a config may have; a program may add some
SCHEMA = {
    "seed": Entry((whole(0, 2**32 - 1),)),
    "dataset": Entry((choice(*SOURCES),)),
    "offline": Entry((choice("digits"), NOTHING), default=None),
    "data_dir": Entry((_FOLDER, NOTHING), default=None),
    "transforms": Entry((TRANSFORM_LIST,), default=[]),
    "model": Entry((LAYER_LIST,)),
    "init": Entry((choice("needle", "pytorch"),), default="needle"),
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

# on which the weights do not depend: `epochs` only says when to stop, and a checkpoint has the
# dataset that was really used, and the weights that `init` began with
_NOT_DECISIVE = {
    "dataset", "offline", "data_dir", "init", "epochs", "workers", "checkpoint", "results",
    "name", "stated",
}  # fmt: skip

Check = Callable[[SimpleNamespace], None]


def read_training(
    file: str,
    overrides: Sequence[tuple[str, Any]] = (),
    *,
    schema: Mapping[str, Entry] = SCHEMA,
    folder: str | Path = ".",
    check: Check | None = None,
) -> SimpleNamespace:
    """The settings of a training, of which those of model, data and optimizer fit together.

    Arguments are those of `read_config`.

    Raises:
        TrainingError: also where a layer does not fit what comes before it, or a class refuses its
            arguments.

    Example:
        >>> from needle.training.config import read_training
        >>> size = Path("tiny.yaml").write_text('''
        ... {seed: 0, dataset: digits, epochs: 2, batch_size: 50, shuffle: true, results: out,
        ...  model: [Flatten, {Linear: {in_features: pixels, out_features: classes}}],
        ...  optimizer: {name: SGD, lr: 0.1}}''')
        >>> config = read_training("tiny", [("optimizer.lr", 0.2)])
        >>> config.epochs, config.optimizer
        (2, Part(cls=<class 'needle.optim.sgd.SGD'>, arguments={'lr': 0.2, ...}))
    """

    def check_all(config: SimpleNamespace) -> None:
        build_all(config.transforms)
        datasets = filter(None, (config.dataset, config.offline))
        for source in [SOURCES[dataset] for dataset in datasets if "model" in schema]:
            x, outputs = source.example(2)
            check_model(config.model, source.sizes, x, outputs, source.name)
        optimizer = build_optimizer(config.optimizer, [Tensor([0.0])])
        if config.scheduler is not None:
            # the number of batches is not known yet, and does not matter here
            words = {"epochs": config.epochs, "batches": 10**9}
            build_schedule(config.scheduler, optimizer, words)
        if check is not None:
            check(config)

    return read_config(file, overrides, schema, folder, check_all)


def command_line(
    description: str,
    read: Callable[[str, list[tuple[str, Any]]], SimpleNamespace] = read_training,
    arguments: Sequence[str] | None = None,
) -> tuple[SimpleNamespace, argparse.Namespace]:
    """The config that a command line names and changes, and the options of the run.

    The options are `--config`, `--set`, `--data-dir`, `--epochs`, and one of `--resume`, `--force`
    and `--evaluate`, which the program is to follow.

    Args:
        description: what `--help` says of the program.
        read: `read_training`, or a `partial` of it with a schema and a folder of the program's own.
        arguments: those of the command line; by default `sys.argv[1:]`.
    """
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--config", required=True, help="a YAML file: a path, or a name such as mlp or digits")
    more: dict[str, Any] = {"action": "append", "default": [], "metavar": "KEY=VALUE"}
    add("--set", help="replace an entry, such as optimizer.lr=0.1; may be repeated", **more)
    add("--data-dir", metavar="FOLDER", help="where the dataset is; same as --set data_dir=...")
    add("--epochs", metavar="N", help="same as --set epochs=N")
    add("--force", action="store_true", help="replace the files of an earlier run")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--resume", action="store_true", help="continue from the newest checkpoint")
    either("--evaluate", metavar="FILE", help="do not train: evaluate the weights of an .npz file")
    options = parser.parse_args(arguments)
    overrides = [parse_override(text) for text in options.set]
    if options.epochs is not None:
        overrides.append(parse_override(f"epochs={options.epochs}"))
    if options.data_dir is not None:
        overrides.append(("data_dir", options.data_dir))
    config = read(options.config, overrides)
    if options.resume and config.checkpoint is None:
        raise TrainingError(
            f"--resume: {config.name} asks for no checkpoints, allowed: configs with an entry "
            "such as checkpoint: {every: 1, keep: 3}"
        )
    return config, options


def check_last_batch(config: SimpleNamespace, source: Source, train_set: Any) -> None:
    """Raise unless the model trains on inputs as many as a last batch has: some need two."""
    x, _ = source.example((len(train_set) - 1) % config.batch_size + 1)
    try:
        build_model(config.model, source.sizes).train()(x)
    except ValueError as error:
        raise TrainingError(
            f"batch_size: the last batch of an epoch on {source.name} has a size of {len(x)}, too "
            f"few for model.{error}"
        ) from None


def build_loader(config: SimpleNamespace, train_set: Any) -> data.DataLoader:
    """The loader of the training data."""
    return data.DataLoader(
        train_set,
        config.batch_size,
        config.shuffle,
        generator=build_generator(config.generator),
        num_workers=config.workers,
    )


def words_of(config: SimpleNamespace, source: Source, train_set: Any) -> Words:
    """What stands for numbers in a config: `pixels`, `classes`, `epochs` and `batches`."""
    batches = config.epochs * -(-len(train_set) // config.batch_size)
    return {**source.sizes, "epochs": config.epochs, "batches": batches}


def trainer_options(
    config: SimpleNamespace, source: Source, train_set: Any, optimizer: optim.Optimizer
) -> dict[str, Any]:
    """The keywords of a `Trainer` that follow from a config, its data and its optimizer.

    Raises:
        TrainingError: a schedule ends before the training.
    """
    words = words_of(config, source, train_set)
    options = {"name": source.name, "clip_norm": config.clip_norm, "compile": config.compile}
    if config.scheduler is not None:
        scheduler, per = build_schedule(config.scheduler, optimizer, words), config.scheduler.per
        steps = words["epochs" if per == "epoch" else "batches"]
        if (limit := getattr(scheduler, "total_steps", steps)) < steps:
            raise TrainingError(
                f"scheduler.total_steps: found {limit}, allowed: at least {steps}, as it takes a "
                f"step per {per}"
            )
        options |= {"scheduler": scheduler, "scheduler_per": per}
    decisive = {key: value for key, value in vars(config).items() if key not in _NOT_DECISIVE}
    settings = {key: plain(value, words) for key, value in decisive.items()}
    return {**options, "settings": {**settings, "dataset": source.identity(train_set)}}
