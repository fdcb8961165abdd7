"""Checkpoint files: numbered, written atomically, the newest few kept."""

import os
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ..io import load, save
from .errors import REFUSALS, TrainingError, join, reason, short
from .files import check_writable, remove_leftovers
from .representation import shown

__all__ = ["Checkpoints", "differences"]

_DIGITS = 8  # of the number in a name, so that names sort by number
_SHOWN = 5  # differences in an error


class Checkpoints:
    """The checkpoints of a training in a folder, and when there are new ones.

    Numbers only grow, also from run to run: the highest is the newest. Checkpoints of an earlier
    run are kept until this one has written its first. A file is whole or not there.

    Args:
        folder: where they are; created when the first is written.
        every: epochs between two checkpoints; there is one after the last epoch, too.
        every_batches: batches between two checkpoints inside of an epoch.
        keep: how many are kept.

    Example:
        >>> import needle as ndl
        >>> checkpoints = ndl.training.Checkpoints("runs/checkpoints", every=5, keep=2)
        >>> checkpoints.files()
        []
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 1,
        every_batches: int | None = None,
        keep: int = 3,
    ) -> None:
        if not (every > 0 and keep > 0 and (every_batches is None or every_batches > 0)):
            raise ValueError(
                f"every, every_batches and keep are 1 or more, got {every}, {every_batches} and "
                f"{keep}"
            )
        self.folder = Path(folder)
        self.every, self.every_batches, self.keep = every, every_batches, keep
        self.ours: list[Path] = []

    def __repr__(self) -> str:
        return shown(self)

    def check(self) -> None:
        """Raise unless checkpoints can be written."""
        try:
            import_module("safetensors")
        except ImportError:
            raise TrainingError(
                "checkpoints need the package safetensors: pip install 'needle-dl[save]'"
            ) from None
        check_writable(self.folder)

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
            save(state, path)
            self.ours = [*self.ours, path][-self.keep :]
            for file in files:
                if file not in self.ours:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(f"{path}: cannot be written: {reason(error)}") from None

    def newest(self, parts: Iterable[str]) -> tuple[Path, dict[str, Any]] | None:
        """The newest valid checkpoint that has all these parts; prints a line for each skipped."""
        files = self.files()
        for position in reversed(range(len(files))):
            path = files[position]
            try:
                state = load(path)
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
