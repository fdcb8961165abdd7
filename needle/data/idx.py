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

__all__ = ["is_gzip", "open_unpacked", "read_idx", "read_labelled_images"]

FilePath = str | os.PathLike[str]

_UNSIGNED_BYTE = 8
_LARGEST = 2**30  # bytes; the largest relative of MNIST has 0.6 GiB
_CHUNK = 2**20


def read_idx(path: FilePath, ndim: int) -> np.ndarray:
    """The uint8 array of `ndim` axes in an IDX file, which may be gzip-compressed.

    Never reads more than the file's header says and a byte, nor more than 1 GiB.

    Raises:
        ValueError: the file is no such IDX file, or damaged; names the file and what is wrong.
        OSError: it cannot be opened.
    """
    name = os.fspath(path)
    if name.endswith(".gz") and not is_gzip(name):
        raise ValueError(
            f"{name} is not gzip data, although its name ends in .gz: it is damaged, or unpacked "
            "already and wrongly named"
        )
    with open_unpacked(name) as stream:
        try:
            shape = _read_header(stream, ndim)
            size = math.prod(shape)
            if size > _LARGEST:
                raise ValueError(f"it claims {size} bytes of shape {shape}, more than 1 GiB")
            content = _read_at_most(stream, size + 1)
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{name} is not a whole IDX file: {error}") from None
    if len(content) != size:
        held = f"{len(content)}" if len(content) < size else "more"
        raise ValueError(
            f"{name} does not fit its header: shape {shape} is {size} bytes, it holds {held}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_labelled_images(
    image_filename: FilePath, label_filename: FilePath
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) and labels (N,), both uint8, from two IDX files that belong together.

    Raises:
        ValueError: a file is damaged, or they do not hold equally many items.
    """
    images, labels = read_idx(image_filename, 3), read_idx(label_filename, 1)
    if len(images) != len(labels):
        raise ValueError(
            f"images and labels do not match: {len(images)} in {os.fspath(image_filename)}, "
            f"{len(labels)} in {os.fspath(label_filename)}"
        )
    return images, labels


def is_gzip(path: FilePath) -> bool:
    """Whether a file begins as gzip data does."""
    with open(path, "rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def open_unpacked(path: FilePath) -> io.BufferedIOBase:
    """A file opened for reading, through gzip where it is gzip data."""
    return gzip.open(path) if is_gzip(path) else open(path, "rb")


def _read_header(stream: io.BufferedIOBase, ndim: int) -> tuple[int, ...]:
    magic = _read_exactly(stream, 4)
    expected = bytes((0, 0, _UNSIGNED_BYTE, ndim))
    if magic != expected:
        kinds = {1: "labels (1 axis)", 3: "images (3 axes)"}
        raise ValueError(
            f"wrong magic number 0x{magic.hex()}, expected 0x{expected.hex()} for "
            f"{kinds.get(ndim, f'{ndim} axes')} of unsigned bytes"
        )
    return tuple(np.frombuffer(_read_exactly(stream, 4 * ndim), ">u4").tolist())


def _read_exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it ends within its header")
    return data


def _read_at_most(stream: io.BufferedIOBase, size: int) -> bytearray:
    """The next `size` bytes or what there is; memory grows with what is really there."""
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content
