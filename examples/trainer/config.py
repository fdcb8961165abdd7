"""Configs: YAML files, changed by `--set`, checked against one table before anything is loaded."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .datasets import SOURCES
from .errors import UserError
from .kinds import FLAG, NOTHING, TEXT, Entry, Kind, choice, read_mapping, refused, whole
from .names import GENERATOR, LAYER_LIST, OPTIMIZER, SCHEDULE
from .parts import Part, check_model, check_optimizer
from .yaml_text import expand_aliases, parse

__all__ = ["CONFIGS", "SCHEMA", "read_config"]

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
    lambda key, value: SimpleNamespace(**read_mapping(key, value, _CHECKPOINT_ENTRIES)),
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
    "model": Entry((LAYER_LIST,)),
    "init": Entry((choice("needle", "pytorch"),), default="needle"),
    "loop": Entry((choice("train_epoch", "nn_epoch"),), default="train_epoch"),
    "optimizer": Entry((OPTIMIZER,)),
    "scheduler": Entry((SCHEDULE, NOTHING), default=None),
    "epochs": Entry((whole(1),)),
    "batch_size": Entry((whole(1),)),
    "shuffle": Entry((FLAG,)),
    "generator": Entry((GENERATOR, NOTHING), default=None),
    "checkpoint": Entry((_CHECKPOINT, NOTHING), default=None),
    "results": Entry((_RESULTS,)),
}


def read_config(file: str, overrides: list[tuple[str, Any]]) -> SimpleNamespace:
    """The settings of a config file as attributes, named as in `SCHEMA`.

    Two more: `name`, that of the file, and `stated`, the mapping before it was read.

    Args:
        file: a path, also without `.yaml`; a bare name is looked up in the current folder, then
            in `CONFIGS`.
        overrides: pairs of dotted key and value that replace entries of the file.

    Raises:
        UserError: there is no such file, it holds no mapping, or a value is not allowed.
    """
    path = _find(file)
    try:
        settings = expand_aliases(_read_yaml(path))
        for key, value in overrides:
            _replace(settings, key, expand_aliases(value))
        config = SimpleNamespace(**read_mapping("", settings, SCHEMA))
        _check_together(config)
    except RecursionError:  # set one inside the other
        raise UserError(f"{path.name}: layers inside layers without end") from None
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    config.name, config.stated = path.name, settings
    return config


def _find(file: str) -> Path:
    path = Path(file)
    is_bare = path.name == file
    for folder in (Path(), CONFIGS) if is_bare else (Path(),):
        for ending in ("", ".yaml", ".yml"):
            if (candidate := folder / f"{file}{ending}").is_file():
                return candidate
    names = ", ".join(sorted(config.name for config in CONFIGS.glob("*.yaml")))
    places = f"the current folder or {CONFIGS}" if is_bare else f"{path.parent}"
    raise UserError(f"no config {path.name} in {places}; those that come with needle: {names}")


def _read_yaml(path: Path) -> dict:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    settings = parse(text)
    if not isinstance(settings, dict):
        raise refused("the file", settings, f"a mapping with the keys {', '.join(SCHEMA)}")
    return settings


def parse_override(text: str) -> tuple[str, Any]:
    """The dotted key and the value of a `--set KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UserError(f"--set {text}: allowed: KEY=VALUE, such as optimizer.lr=0.1")
    try:
        return key, parse(value)
    except UserError as error:
        raise UserError(f"--set {text}: {error}") from None


def _replace(settings: dict, dotted: str, value: Any) -> None:
    """Replace the entry at a dotted key, such as `optimizer.lr` or `model.1.Linear.bias`."""
    *parents, last = dotted.split(".")
    holder: Any = settings
    walked = ""
    for name in parents:
        holder = _entry(holder, walked, name, dotted)
        walked = f"{walked}.{name}" if walked else name
    if isinstance(holder, list):
        _entry(holder, walked, last, dotted)
        holder[int(last)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise refused(walked, holder, f"a mapping, for {dotted} to be set")


def _entry(holder: Any, walked: str, name: str, dotted: str) -> Any:
    if isinstance(holder, dict) and name in holder:
        return holder[name]
    if isinstance(holder, list) and name.isdecimal() and int(name) < len(holder):
        return holder[int(name)]
    place = f"{walked} has" if walked else "the config has"
    raise UserError(f"{dotted}: cannot be set, {place} no entry {name}")


def _check_together(config: SimpleNamespace) -> None:
    """Check what depends on several entries: shapes of layers, settings that exclude each other."""
    for dataset in filter(None, (config.dataset, config.offline)):
        check_model(config.model, SOURCES[dataset])
    # the number of batches is not known yet, and does not matter here
    check_optimizer(config.optimizer, config.scheduler, {"epochs": config.epochs, "batches": 10**9})
    if config.loop == "nn_epoch":
        _check_nn_epoch(config)


def _check_nn_epoch(config: SimpleNamespace) -> None:
    """`nn_epoch` supports one network, trained in one way."""
    layers = config.model
    is_two_layer = [layer.name for layer in layers] == ["Flatten", "Linear", "ReLU", "Linear"]
    if not is_two_layer or layers[1].arguments["bias"] or layers[3].arguments["bias"]:
        raise UserError(
            "model: loop: nn_epoch allows only Flatten, Linear, ReLU, Linear, with bias: false"
        )
    if not _is_plain_sgd(config.optimizer):
        raise UserError("optimizer: loop: nn_epoch allows only SGD with lr and nothing else")
    if config.shuffle:
        raise refused("shuffle", True, "false, with loop: nn_epoch")
    if config.checkpoint and config.checkpoint.every_batches:
        every = config.checkpoint.every_batches
        raise refused("checkpoint.every_batches", every, "null, with loop: nn_epoch")


def _is_plain_sgd(optimizer: Part) -> bool:
    extras = {name: value for name, value in optimizer.arguments.items() if name != "lr"}
    return optimizer.name == "SGD" and not any(extras.values())
