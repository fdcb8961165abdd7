"""Compiled kernels, kept in the process and in files.

A file holds the object code of one kernel. Its name is a digest of everything that the code depends
on: the kernel's source, the files of this folder, Python, Numba, llvmlite and the processor. Files
that nobody has used for months are removed, and the oldest ones where all take too much room.
"""

import hashlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from ...io import replacing

__all__ = ["folder", "load"]

ROOM = 100_000_000  # bytes of all files
UNUSED = 90 * 86_400  # seconds after which a file goes
DAY = 86_400
_SUFFIX = ".kernel"

_addresses: dict[str, int] = {}  # of every source that was loaded in this process
_loading = threading.Lock()


class _ObjectCode(NamedTuple):
    symbol: str
    content: bytes


def load(sources: Iterable[str]) -> list[int]:
    """The addresses of kernels, from their sources.

    A source defines a function `kernel(arguments)`. What this process has not loaded yet is read
    from the cache's folder, or compiled by Numba and written there. A damaged file is replaced;
    where nothing can be written, there is one warning.

    Raises:
        ImportError: Numba is not installed.
    """
    sources = list(sources)
    with _loading:
        missing = [source for source in dict.fromkeys(sources) if source not in _addresses]
        if missing:
            linking = _module("linking")
            codes = [_read(source) or _compiled(source) for source in missing]
            _addresses.update(zip(missing, linking.link(codes), strict=True))
    return [_addresses[source] for source in sources]


def folder() -> Path:
    """Where files are kept: `$NEEDLE_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get("NEEDLE_CACHE"):
        return Path(chosen, "compiled")
    import platformdirs  # as pooch.os_cache, without waiting for pooch

    return Path(platformdirs.user_cache_dir("needle"), "compiled")


def _module(name: str) -> Any:
    """A module beside this one, imported by the first compile: Numba and llvmlite are slow to."""
    return import_module(f"{__package__}.{name}")


@cache
def _surroundings() -> bytes:
    """What the code of every kernel depends on, as a digest."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    versions = [version(name) for name in ("numba", "llvmlite")]
    settings = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_")]
    facts = [sys.version, sys.platform, *versions, _module("linking").host(), *settings]
    digest.update("\0".join(facts).encode())
    return digest.digest()


def _path(source: str) -> Path:
    return folder() / (hashlib.sha256(_surroundings() + source.encode()).hexdigest() + _SUFFIX)


def _read(source: str) -> _ObjectCode | None:
    """What the file of a source holds, if it is there and whole."""
    path = _path(source)
    try:
        content = path.read_bytes()
        if path.stat().st_mtime < time.time() - DAY:
            os.utime(path)
    except OSError:
        return None
    checksum, symbol, code = content[:32], *content[32:].partition(b"\n")[::2]
    if hashlib.sha256(content[32:]).digest() != checksum:
        return None
    return _ObjectCode(symbol.decode(), code)


def _compiled(source: str) -> _ObjectCode:
    """Compile a source and write its file."""
    path = _path(source)
    code = _ObjectCode(*_module("compiler").compile_source(source, f"kernel_{path.stem[:20]}"))
    content = code.symbol.encode() + b"\n" + code.content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
        _remove_old(path.parent)
    except OSError as error:
        _warn(f"compiled code is not kept in {str(path.parent)!r}: {error}")
    return code


@cache
def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def _remove_old(place: Path) -> None:
    """Remove files that nobody has used for months, and the oldest where there are too many."""
    files = []
    for entry in os.scandir(place):
        with suppress(OSError):  # another process has removed it
            if entry.name.endswith(_SUFFIX):
                files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    room, too_old = ROOM, time.time() - UNUSED
    for used, size, path in sorted(files, reverse=True):
        room -= size
        if room < 0 or used < too_old:
            with suppress(OSError):
                os.unlink(path)
