"""Reading archives and pickles that may come from anywhere."""

import gzip
import io
import math
import os
import pickle
import re
import zlib
from typing import Any

import numpy as np

from .idx import FilePath, open_unpacked

__all__ = ["read_pickle", "unpack"]

_LARGEST = 2**30  # bytes of all files together; CIFAR-10 has 178 MiB
_LARGEST_PICKLE = 2**27  # bytes; a batch of CIFAR-10 has 30 MiB
_MOST_FILES = 1000
_CHUNK = 2**20


def unpack(archive: FilePath, folder: FilePath) -> None:
    """Unpack a tar archive, compressed by gzip or not, of files and folders into `folder`.

    All of it is unpacked, or nothing. Owners, permissions and times are not restored.

    Raises:
        ValueError: the archive is damaged, larger than 1 GiB, or has a member that is neither a
            file nor a folder, or that would lie outside of `folder`.
        OSError: it cannot be read, or `folder` not be written to.
    """
    import tarfile  # here, because `import needle` need not wait for it
    from tempfile import TemporaryDirectory

    os.makedirs(folder, exist_ok=True)
    with TemporaryDirectory(prefix="unpack-", dir=folder) as temporary:
        with open_unpacked(archive) as stream:
            try:
                with tarfile.open(fileobj=_Bounded(stream), mode="r:") as tar:
                    _extract(tar, temporary)
                if len(stream.read(_CHUNK)) == _CHUNK:  # to the end, where the checksum is
                    raise ValueError("it goes on after its last member")
            except ValueError as error:
                raise ValueError(f"{os.fspath(archive)} is not unpacked: {error}") from None
            except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"{os.fspath(archive)} is damaged: {error}") from None
        for name in os.listdir(temporary):
            _move(os.path.join(temporary, name), os.path.join(folder, name))


def _extract(tar: Any, folder: str) -> None:
    total = 0
    seen: set[str] = set()
    for count, member in enumerate(tar):
        parts = _safe_parts(member)
        total += member.size
        if total > _LARGEST or count >= _MOST_FILES:
            raise ValueError(f"it has more than {_LARGEST} bytes or {_MOST_FILES} members")
        path = os.path.join(folder, *parts)
        if path in seen and not member.isdir():
            raise ValueError(f"it has two members {member.name!r}")
        seen.add(path)
        parent = path if member.isdir() else os.path.dirname(path)
        try:
            os.makedirs(parent, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"member {member.name!r} is a folder and a file") from None
        if member.isdir():
            continue
        if os.path.isdir(path):
            raise ValueError(f"member {member.name!r} is a folder and a file")
        with tar.extractfile(member) as source, open(path, "wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
            if target.tell() != member.size:
                raise EOFError(f"member {member.name!r} ends too early")


def _safe_parts(member: Any) -> list[str]:
    """The folders and the name of a member, which lies inside the folder for certain."""
    name = member.name
    kinds = {"issym": "a symbolic link", "islnk": "a hard link", "isfifo": "a pipe"}
    for test, kind in {**kinds, "isdev": "a device"}.items():
        if getattr(member, test)():
            raise ValueError(f"member {name!r} is {kind}, allowed are files and folders")
    if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
        raise ValueError(f"member {name!r} is of a kind other than files and folders")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    is_outside = name.startswith("/") or ".." in parts
    if is_outside or any(character in name for character in "\\:\0"):
        raise ValueError(f"member {name!r} lies outside of the folder, or its name is not portable")
    if not (parts or member.isdir()):
        raise ValueError(f"member {name!r} has no name")
    return parts


def _move(source: str, target: str) -> None:
    """Move a file or folder; a folder that is there gets the files."""
    if os.path.isdir(source) and os.path.isdir(target) and not os.path.islink(target):
        for name in os.listdir(source):
            _move(os.path.join(source, name), os.path.join(target, name))
    else:
        os.replace(source, target)


class _Bounded(io.RawIOBase):
    """A stream of which no more than some bytes are read at a time, and in all.

    The header of an archive states how long a part of it is that is read at once.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 16 * _CHUNK:
            raise ValueError(f"its header states a part of {size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset > 2 * _LARGEST:
            raise ValueError(f"its header states a file that ends at byte {offset}")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


# --- pickles


def read_pickle(path: FilePath) -> Any:
    """What a pickle of numbers, texts, bytes, lists, tuples, dicts and arrays holds.

    Nothing in it can run code: it is interpreted by Python's own unpickler, written in Python,
    with stand-ins for the functions by which arrays and bytes are pickled, and for no others.
    Texts of Python 2 are bytes.

    Raises:
        ValueError: it asks for something else, is damaged, or larger than 128 MiB.
    """
    name = os.fspath(path)
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size > _LARGEST_PICKLE:
            raise ValueError(f"{name} is not read: it has more than {_LARGEST_PICKLE} bytes")
        content = stream.read()
    try:
        return _plain(_Unpickler(io.BytesIO(content), encoding="bytes").load())
    except _Forbidden as error:
        raise ValueError(f"{name} is not read: {error}") from None
    except Exception as error:  # whatever the bytes make the unpickler do
        text = str(error) or type(error).__name__
        raise ValueError(f"{name} is damaged or not a pickle: {text}") from None


class _Forbidden(Exception):
    pass


class _Unpickler(pickle._Unpickler):  # that in C can be made to reserve any amount of memory
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise _Forbidden(
            f"it asks for {module}.{name}; allowed are arrays, bytes, texts, numbers, lists, dicts"
        )


class _Array:
    """A NumPy array that is being read."""

    __slots__ = ("array",)

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, content = state
        self.array = _from_bytes(content, dtype, shape, "F" if is_fortran else "C")


class _Dtype:
    """A dtype of numbers that is being read."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[<>|=]?(b1|[iuf][1248])", code) or code.endswith("f1"):
            raise _Forbidden(f"it has an array of dtype {code!r}, allowed are numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.dtype = self.dtype.newbyteorder(order)


def _from_bytes(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray):
        raise _Forbidden("it has an array of something other than numbers")
    if not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        raise ValueError(f"it has an array of shape {shape}")
    if math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise ValueError(f"it has {len(content)} bytes for an array of shape {shape}")
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


class _StandIn:
    """A function that a pickle may ask for; without attributes, which it could change."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        raise _Forbidden("it calls something that is not a function")


class _Reconstruct(_StandIn):
    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> Any:
        if kind is not _NDARRAY:
            raise _Forbidden("it has an array of an unknown kind")
        return _Array()


class _FromBuffer(_StandIn):
    __slots__ = ()

    def __call__(self, content: Any, dtype: Any, shape: Any, order: Any, *rest: Any) -> Any:
        return _from_bytes(content, dtype, shape, order)


class _MakeDtype(_StandIn):
    __slots__ = ()

    def __call__(self, code: Any, *flags: Any) -> Any:
        return _Dtype(code)


class _Bytes(_StandIn):
    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Encode(_StandIn):
    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", b"latin1"):
            raise _Forbidden(f"it asks for the encoding {encoding!r}")
        return text.encode("latin1")


_NDARRAY = _StandIn()
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _MakeDtype(),
    ("_codecs", "encode"): _Encode(),  # how Python 3 writes bytes for Python 2
    ("__builtin__", "bytes"): _Bytes(),  # ... that are empty
}
for _core in ("numpy.core", "numpy._core"):
    _STAND_INS[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _STAND_INS[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


def _plain(value: Any) -> Any:
    """The value, with arrays for what stood in for them in its dict."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value.array if isinstance(value, _Array) else value
