"""Reading IDX files, the format of MNIST.

An IDX file of bytes is: two zero bytes, the code 8 of unsigned bytes, the number of axes, the
length of each axis as a big-endian 32-bit number, and the bytes themselves, last axis fastest.
Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import io
import math
import os
import zlib

import numpy as np

__all__ = ["open_unpacked", "read_idx"]

FilePath = str | os.PathLike[str]

_LARGEST = 2**30  # bytes; the largest file of EMNIST has 0.5 GiB
_CHUNK = 2**20


def read_idx(path: FilePath, ndim: int) -> np.ndarray:
    """The uint8 array of `ndim` axes in an IDX file, which may be gzip-compressed.

    Reads at most one byte more than the header states, and at most 1 GiB.

    Raises:
        ValueError: the file is damaged, or no IDX file of bytes with `ndim` axes.
        OSError: it cannot be opened.
    """
    name = os.fspath(path)
    if name.endswith(".gz") and not _is_gzip(name):
        raise ValueError(
            f"{name} is not gzip data, although its name ends in .gz: it is damaged, or already "
            "decompressed and should be renamed"
        )
    with open_unpacked(name) as stream:
        try:
            shape = _read_header(stream, ndim)
            size = math.prod(shape)
            if size > _LARGEST:
                raise ValueError(f"it claims {size} bytes of shape {shape}, more than 1 GiB")
            content = bytearray()  # grows in chunks: the header may claim more than there is
            while chunk := stream.read(min(_CHUNK, size + 1 - len(content))):
                content += chunk
            if len(content) != size:
                held = len(content) if len(content) < size else "more"
                raise ValueError(f"shape {shape} is {size} bytes, it holds {held}")
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{name} is no valid IDX file: {error}") from None
    return np.frombuffer(content, np.uint8).reshape(shape)


def open_unpacked(path: FilePath) -> io.BufferedIOBase:
    """A file opened for reading, through gzip where it is gzip data."""
    return gzip.open(path) if _is_gzip(path) else open(path, "rb")


def _is_gzip(path: FilePath) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _read_header(stream: io.BufferedIOBase, ndim: int) -> tuple[int, ...]:
    """The shape that the header states."""
    header = stream.read(4 + 4 * ndim)
    magic, expected = header[:4], bytes((0, 0, 8, ndim))
    if not expected.startswith(magic):
        kinds = {1: "labels (1 axis)", 3: "images (3 axes)"}
        raise ValueError(
            f"wrong magic number 0x{magic.hex()}, expected 0x{expected.hex()} for "
            f"{kinds.get(ndim, f'{ndim} axes')} of unsigned bytes"
        )
    if len(header) < 4 + 4 * ndim:
        raise ValueError("it ends within its header")
    return tuple(np.frombuffer(header, ">u4", offset=4).tolist())
