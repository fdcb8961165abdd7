"""One run at a time in a folder of results."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from .errors import TrainingError, reason, refused

__all__ = ["locked"]

_NAME = ".training.lock"
_ATTEMPTS = 10  # one fails only if another run ends at that moment

if sys.platform == "win32":
    import msvcrt

    _Held = PermissionError

    def _lock(file: TextIO) -> None:
        file.seek(2**20)  # a byte behind the text: a locked one cannot be read by others
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    _Held = BlockingIOError

    def _lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(results: str) -> Iterator[None]:
    """Reserve a folder of results for this run; creates it, and removes it if it stays empty.

    The lock is one of the operating system, which releases it when a run ends, however it ends.

    Raises:
        TrainingError: the folder cannot be written to, or another run is using it.

    Example:
        >>> import needle as ndl
        >>> with ndl.training.locked("runs/first"):
        ...     pass  # no other process gets here with this folder
    """
    folder = Path(results)
    created = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        try:
            file = _reserve(folder)
        except OSError as error:
            allowed = f"a folder that can be written ({reason(error)})"
            raise refused("results", results, allowed) from None
        with file:
            try:
                yield
            finally:
                with suppress(OSError):  # Windows does not remove open files
                    (folder / _NAME).unlink()
    finally:
        with suppress(OSError):  # not empty
            for path in created:
                path.rmdir()


def _reserve(folder: Path) -> TextIO:
    """The file whose lock stands for the folder; its text says who holds it."""
    for attempt in range(_ATTEMPTS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / _NAME, "a+", encoding="utf-8")  # noqa: SIM115 - the caller closes it
        except (FileNotFoundError, FileExistsError):  # or another run has just removed the folder
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        try:
            _lock(file)
        except _Held:
            file.seek(0)
            holder = file.read() or "a process"
            file.close()
            raise TrainingError(
                f"results: {folder} is in use by another run, {holder}: wait until it ends, or "
                "choose another folder"
            ) from None
        except OSError as error:
            text = f"{folder} cannot be locked ({reason(error)}): start no other run in it"
            print(text, flush=True)
        if os.fstat(file.fileno()).st_nlink:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
            return file
        file.close()  # the other run has just removed it
    raise TrainingError(f"results: {folder} is in use by other runs")
