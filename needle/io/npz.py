"""Reading NumPy's archives of arrays, such as the weights that examples/train_mnist.py writes."""

from __future__ import annotations

import os

import numpy as np

from ..autograd import Tensor

__all__ = ["MissingDtypeError", "is_npz", "read_npz"]


class MissingDtypeError(TypeError, ValueError):
    """A file holds numbers of a dtype that needle does not have."""

    def __init__(self, path: str | os.PathLike[str], name: str, dtype: object) -> None:
        super().__init__(
            f"{os.fspath(path)!r} holds {name} as {dtype}, which needle does not have: "
            "convert it to float32 where it was written"
        )


_ZIP = b"PK\x03\x04"  # the first bytes of an archive that is not empty


def is_npz(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as an archive of arrays does."""
    with open(path, "rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def read_npz(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The arrays of numbers in an archive, as tensors; those of text are left out.

    Raises:
        ValueError: the file is damaged, or holds something else than arrays.
        TypeError: an array has a dtype that needle does not have.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            if others := [name for name in arrays if not isinstance(arrays[name], np.ndarray)]:
                raise ValueError(f"it holds {others[0]!r}, which is not an array")
        except Exception as error:  # zip, zlib and NumPy raise different ones for a damaged file
            raise ValueError(
                f"{os.fspath(path)!r} is damaged or not an .npz file: {error}"
            ) from None
    return {
        name: _tensor(name, array, path)
        for name, array in arrays.items()
        if array.dtype.kind not in "SU"
    }


def _tensor(name: str, array: np.ndarray, path: str | os.PathLike[str]) -> Tensor:
    if array.dtype.kind not in "biuf" or array.itemsize > 8:
        raise MissingDtypeError(path, name, array.dtype)
    return Tensor.make_const(array.astype(array.dtype.newbyteorder("="), copy=False))
