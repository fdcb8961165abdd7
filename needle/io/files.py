"""Writing files completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, which replaces it when the block ends without an error.

    After an error, an interruption or a full disk, `path` is unchanged and the temporary file is
    removed; after a crash of the machine, `path` is the complete old or new file. Permissions of
    an existing file are kept. A symbolic link is followed.

    Raises:
        OSError: the folder does not exist or cannot be written to, or `path` is a folder.

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
            error.filename = str(target)  # not the temporary file, which means nothing to a user
        raise
