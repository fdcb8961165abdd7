"""Configs: YAML files, changed by `--set`, checked against a table of their keys."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..errors import TrainingError, refused
from .kinds import Entry, read_mapping
from .yaml_text import expand_aliases, parse

__all__ = ["parse_override", "read_config"]


def read_config(
    file: str,
    overrides: Sequence[tuple[str, Any]],
    schema: Mapping[str, Entry],
    folder: str | Path = ".",
    check: Callable[[SimpleNamespace], None] | None = None,
) -> SimpleNamespace:
    """The settings of a config file as attributes, named as in `schema`.

    Two more: `name`, that of the file, and `stated`, the mapping before it was read.

    Args:
        file: a path, also without `.yaml`; a bare name is looked up in the current folder, then
            in `folder`.
        overrides: pairs of dotted key and value that replace entries of the file.
        schema: every key that a config may have.
        folder: that of the configs which a program brings.
        check: called with the settings, to raise where several of them do not go together.

    Raises:
        TrainingError: there is no such file, it holds no mapping, or a value is not allowed.
    """
    path = _find(file, Path(folder))
    try:
        settings = expand_aliases(_read_yaml(path, schema))
        for key, value in overrides:
            _replace(settings, key, expand_aliases(value))
        config = SimpleNamespace(**read_mapping("", settings, schema))
        if check is not None:
            check(config)
    except RecursionError:  # set one inside the other
        raise TrainingError(f"{path.name}: layers inside layers without end") from None
    except TrainingError as error:
        raise TrainingError(f"{path.name}: {error}") from None
    config.name, config.stated = path.name, settings
    return config


def _find(file: str, configs: Path) -> Path:
    path = Path(file)
    is_bare = path.name == file
    for folder in (Path(), configs) if is_bare else (Path(),):
        for ending in ("", ".yaml", ".yml"):
            if (candidate := folder / f"{file}{ending}").is_file():
                return candidate
    names = ", ".join(sorted(config.name for config in configs.glob("*.yaml")))
    places = f"the current folder or {configs}" if is_bare else f"{path.parent}"
    raise TrainingError(f"no config {path.name} in {places}; those that come with needle: {names}")


def _read_yaml(path: Path, schema: Mapping[str, Entry]) -> dict:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"cannot be read: {error.strerror}") from None
    settings = parse(text)
    if not isinstance(settings, dict):
        raise refused("the file", settings, f"a mapping with the keys {', '.join(schema)}")
    return settings


def parse_override(text: str) -> tuple[str, Any]:
    """The dotted key and the value of a `--set KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise TrainingError(f"--set {text}: allowed: KEY=VALUE, such as optimizer.lr=0.1")
    try:
        return key, parse(value)
    except TrainingError as error:
        raise TrainingError(f"--set {text}: {error}") from None


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
    raise TrainingError(f"{dotted}: cannot be set, {place} no entry {name}")
