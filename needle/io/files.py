"""Writing files that are either whole or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place when the block ends well.

    After an error, an interruption or a full disk `path` is what it was before, and the temporary
    file is gone; after a crash of the machine it is the old file or the new one, whole. The
    permissions of a former file stay. Where `path` is a link, all this holds for the file that it
    leads to.

    Raises:
        OSError: there is no such folder, it can't be written to, or `path` is a folder itself.

    Example:
        >>> with replacing("notes.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path("notes.txt").read_text()
        'whole'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(target)!r} is a folder: name a file to write")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(target.parent)!r} to write {target.name} into")
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        temporary.touch()
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(target)  # which a user knows, and not the temporary file
        raise
