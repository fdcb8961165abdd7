"""Checkpoint files: numbered, written atomically, the newest few kept."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import needle as ndl

from .errors import REFUSALS, UserError, reason
from .kinds import join, short
from .results import check_writable, remove_leftovers

__all__ = ["Checkpoints", "check_can_be_saved", "differences"]

_DIGITS = 8  # of the number in a name, so that names sort by number
_SHOWN = 5  # differences in an error


def check_can_be_saved(results: str) -> None:
    """Raise unless checkpoints can be written in a folder of results."""
    try:
        import_module("safetensors")
    except ImportError:
        raise UserError(
            "checkpoint: needs the package safetensors: pip install '.[save]', or "
            "--set checkpoint=null"
        ) from None
    check_writable(str(_folder(results)))


def _folder(results: str) -> Path:
    return Path(results) / "checkpoints"


class Checkpoints:
    """The checkpoints in a folder of results.

    Numbers only grow, also from run to run: the highest is the newest. Checkpoints of an earlier
    run are kept until this one has written its first.
    """

    def __init__(self, results: str, keep: int) -> None:
        self.folder = _folder(results)
        self.keep = keep
        self.ours: list[Path] = []

    def files(self) -> list[Path]:
        """All checkpoints, oldest first."""
        return sorted(self.folder.glob(f"checkpoint-{_DIGITS * '[0-9]'}.safetensors"))

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint, then remove all but the newest `keep` of this run."""
        files = self.files()
        number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 1
        path = self.folder / f"checkpoint-{number:0{_DIGITS}}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder, "checkpoint-*")
            ndl.save(state, path)
            self.ours = [*self.ours, path][-self.keep :]
            for file in files:
                if file not in self.ours:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {reason(error)}") from None

    def newest(self, parts: Iterable[str]) -> tuple[Path, dict[str, Any]] | None:
        """The newest valid checkpoint that has all these parts; prints a line for each skipped."""
        files = self.files()
        for position in reversed(range(len(files))):
            path = files[position]
            try:
                state = ndl.load(path)
                if missing := [part for part in parts if part not in state]:
                    raise ValueError(f"{str(path)!r} is no checkpoint: no {', '.join(missing)}")
            except (*REFUSALS, OSError) as error:
                print(f"skipped: {reason(error)}", flush=True)
                continue
            self.ours = files[: position + 1]
            return path, state
        return None


def differences(former: Any, now: Any) -> str:
    """What differs between two nested mappings and lists: dotted keys, and both values."""
    theirs, ours = dict(_leaves("", former)), dict(_leaves("", now))
    found = [
        f"{key}: {short(theirs.get(key))} there, {short(ours.get(key))} here"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "; ".join([*found[:_SHOWN], *more])


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not (isinstance(value, dict | list) and value):
        yield key, value
        return
    for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(join(key, name), entry)
