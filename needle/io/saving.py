"""Saving and loading nested dicts of tensors as safetensors files.

The format holds arrays only: loading runs no code, and other frameworks can read the files. The
nesting, and values that are not arrays, are stored as JSON in the file's metadata.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..device import to_numpy
from .files import replacing
from .npz import MissingDtypeError, is_npz, read_npz

__all__ = ["load", "save"]

# keys of the metadata
_STRUCTURE = "needle"
_CHECKSUM = "needle-crc32"  # the format itself does not detect a changed number

_DTYPES = r"BOOL|[IU](8|16|32|64)|F(16|32|64)"  # of the format, which has more than needle
_RESERVED = "__metadata__"  # where the format keeps the metadata


def save(obj: Mapping[Any, Any], path: str | os.PathLike[str]) -> None:
    """Write a dict to a safetensors file, which is replaced once the new one is on the disk.

    The dict is a `state_dict()`, or holds dicts, lists and tuples of tensors, arrays, numbers,
    strings, booleans and None.

    Raises:
        TypeError: something in `obj` cannot be saved; names its place.
        OSError: the file cannot be written.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Linear(2, 1)
        >>> ndl.save({"model": model.state_dict(), "epoch": 3}, "model.safetensors")
        >>> sorted(ndl.load("model.safetensors")["model"])
        ['bias', 'weight']
    """
    safetensors = _library()
    if not isinstance(obj, Mapping):
        raise TypeError(f"save takes a dict, such as model.state_dict(), got {type(obj).__name__}")
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_take_apart(obj, "", arrays))
    # not save_file(), whose files only their owner can read
    metadata = {_STRUCTURE: structure, _CHECKSUM: _checksum(arrays, structure)}
    content = safetensors.numpy.save(arrays, metadata=metadata)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Load a file of `save`; of another library's safetensors file, a dict of its tensors.

    From an archive of NumPy (.npz, which needs no safetensors package), a dict of its arrays of
    numbers as tensors, without its arrays of text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or of another format.
        TypeError: it holds a dtype that needle does not have, such as bfloat16.

    Example:
        >>> import needle as ndl
        >>> ndl.save({"step": 3, "loss": 0.5}, "state.npz")
        >>> ndl.load("state.npz")
        {'step': 3, 'loss': 0.5}
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no file {os.fspath(path)!r} to load")
    if is_npz(path):
        return read_npz(path)
    safetensors = _library()
    arrays: dict[str, np.ndarray] = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if not re.fullmatch(_DTYPES, dtype):
                    raise MissingDtypeError(path, name, dtype)
                arrays[name] = file.get_tensor(name)
        # written by another library; in a damaged file of needle, even a key may have changed
        if not re.search("needle|crc32", " ".join(metadata)):
            return {name: Tensor.make_const(array) for name, array in arrays.items()}
        structure = metadata[_STRUCTURE]
        if metadata[_CHECKSUM] != _checksum(arrays, structure):
            raise ValueError("its checksum does not match its content")
        return _structured(structure, arrays)
    except MissingDtypeError:
        raise
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is damaged or no safetensors file: {error}"
        ) from None


def _library() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "saving and loading needs the safetensors package: pip install 'needle-dl[save]'"
        ) from None
    return safetensors


def _checksum(arrays: Mapping[str, np.ndarray], structure: str) -> str:
    checksum = zlib.crc32(structure.encode())
    for name in sorted(arrays):
        array = arrays[name]
        checksum = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), checksum)
        # the format is little-endian
        content = array.astype(array.dtype.newbyteorder("<"), copy=False)
        checksum = zlib.crc32(content.reshape(-1).view(np.uint8).data, checksum)
    return f"{checksum:08x}"


def _take_apart(obj: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """`obj` as JSON, with its arrays put into `arrays` under their paths."""
    if isinstance(obj, np.generic):  # a float64 is a float, too
        return {"scalar": _take_apart(np.asarray(obj), path, arrays)["array"]}
    if hasattr(obj, "__array_function__"):  # a Tensor, or an array of any library
        if path in arrays:
            raise TypeError(f"save: two entries have the path {path!r}")
        if path == _RESERVED:
            raise TypeError(f"save: {path!r} is no name for a tensor: the format reserves it")
        is_tensor = isinstance(obj, Tensor)
        array = to_numpy(obj.realize_cached_data() if is_tensor else obj)
        if array.dtype.kind not in "biuf" or array.itemsize > 8:
            raise TypeError(
                f"save: {path!r} has the dtype {array.dtype}, "
                "expected real numbers of at most 64 bits"
            )
        arrays[path] = np.asarray(array, order="C")
        return {"tensor" if is_tensor else "array": path}
    prefix = f"{path}." if path else ""
    if isinstance(obj, Mapping):
        for key in obj:
            if not isinstance(key, str | int):
                raise TypeError(f"save: keys are strings or integers, got {key!r} in {path!r}")
        return {"dict": [[key, _take_apart(obj[key], f"{prefix}{key}", arrays)] for key in obj]}
    if isinstance(obj, list | tuple):
        items = [_take_apart(item, f"{prefix}{i}", arrays) for i, item in enumerate(obj)]
        return {"list" if isinstance(obj, list) else "tuple": items}
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    raise TypeError(
        f"save cannot write {type(obj)} at {path!r}: "
        "it takes tensors, arrays, numbers, strings and None, in dicts, lists and tuples"
    )


def _structured(structure: str, arrays: Mapping[str, np.ndarray]) -> dict[Any, Any]:
    try:
        obj = _put_together(json.loads(structure), arrays)
    except (TypeError, AttributeError, RecursionError) as error:  # JSON of another kind, or deep
        raise ValueError(f"its structure cannot be read: {error}") from None
    if not isinstance(obj, dict):
        raise ValueError(f"its structure is not a dict but a {type(obj).__name__}")
    return obj


def _put_together(node: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of `_take_apart`."""
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "tensor":
        return Tensor.make_const(arrays[content])
    if kind == "dict":
        return {key: _put_together(value, arrays) for key, value in content}
    if kind in ("list", "tuple"):
        items = [_put_together(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    raise ValueError(f"its structure has a {kind!r}, which this version does not know")
