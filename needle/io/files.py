"""Writing files completely or not at all."""

import errno
import os
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = ["replacing"]

# errors of writing, which do not say where
_OF_WRITING = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, which replaces it when the block ends without an error.

    After an error, an interruption or a full disk, `path` is unchanged and the temporary file is
    removed; after a crash of the machine, `path` is the complete old or new file. Permissions of
    an existing file are kept. A symbolic link is followed. Of several processes that write at once,
    the last one's file stays. What a killed process left behind is removed by the next one that
    writes to `path`. A pipe or a device gets the content when the block ends.

    Raises:
        OSError: the folder does not exist or cannot be written to, or `path` is a folder.

    Example:
        >>> with replacing("notes.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path("notes.txt").read_text()
        'whole'
    """
    if _is_pipe_or_device(path):
        with TemporaryDirectory(prefix="needle-") as folder:
            content = Path(folder, "content")
            content.touch()
            yield content
            with open(content, "rb") as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink)
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(target)!r} is a folder: name a file to write")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(target.parent)!r} to write {target.name} into")
    # short, because a name has at most 255 bytes, of which the target's may need all
    prefix = f".{target.name[:40]}.{zlib.crc32(os.fsencode(target.name)):08x}"
    temporary = target.with_name(f"{prefix}.{uuid4().hex}.part")
    try:
        with closing(_claimed(temporary)):
            _remove_leftovers(target.parent, prefix)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and (
            (error.filename is None and error.errno in _OF_WRITING)
            or str(error.filename) == str(temporary)
        ):
            error.filename = str(target)  # not the temporary file, which means nothing to a user
        raise


def _is_pipe_or_device(path: str | os.PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _claimed(temporary: Path) -> BinaryIO:
    """A new file, locked while it is open, so that nobody takes it for a leftover."""
    while True:
        file = open(temporary, "wb")  # noqa: SIM115 - the caller closes it
        if not fcntl:
            file.close()  # Windows moves no open files
            return file
        # has another process removed it between these two calls, or is it about to?
        if not _lock(file, wait=True) or temporary.exists():
            return file
        file.close()


def _remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove temporary files that no process has locked."""
    for name in os.listdir(folder) if fcntl else ():
        if name.startswith(prefix) and name.endswith(".part"):
            with suppress(OSError), open(folder / name, "rb") as file:
                # another file may have the name by now
                if _lock(file) and os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
                    os.unlink(file.name)


def _lock(file: BinaryIO, wait: bool = False) -> bool:
    """Whether the file is now locked, which ends when it is closed or the process is killed."""
    if not fcntl:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has it, or the file system has no locks
        return False
    return True
