"""Damaged, truncated and crafted files: what is loaded is whole, and all else is a ValueError."""

import gzip
import io
import json
import math
import os
import tempfile
import warnings
from typing import Any

import numpy as np
from safetensors.numpy import save as to_bytes

import needle as ndl
from needle.data.idx import read_idx
from needle.io.saving import _checksum

from . import repeated

DTYPES = ["float16", "float32", "float64", "int8", "int64", "uint8", "uint16", "bool"]


def _array(rng: np.random.Generator) -> np.ndarray:
    shape = tuple(int(n) for n in rng.integers(4, size=rng.integers(4)))
    return (rng.normal(size=shape) * 3).astype(str(rng.choice(DTYPES)))


def _object(rng: np.random.Generator, depth: int = 0) -> Any:
    """What `save` takes."""
    kind = rng.integers(10 if depth < 3 else 6)
    if kind < 2:
        return ndl.Tensor(_array(rng), requires_grad=False)
    if kind == 2:
        return _array(rng)
    if kind == 3:
        return np.dtype(str(rng.choice(DTYPES))).type(rng.integers(2))
    if kind < 6:
        return [None, True, int(rng.integers(-9, 9)), float(rng.normal()), "ü"][rng.integers(5)]
    if kind == 6:
        return tuple(_object(rng, depth + 1) for _ in range(rng.integers(3)))
    if kind == 7:
        return [_object(rng, depth + 1) for _ in range(rng.integers(3))]
    return {
        (f"k{i}" if rng.integers(2) else i): _object(rng, depth + 1) for i in range(rng.integers(4))
    }


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, ndl.Tensor):
        a, b = a.numpy(), b.numpy()
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


def _damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """The content with a few bytes changed, cut off, left out or put in."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not data:
            break
        place = int(rng.integers(len(data) if rng.integers(2) else min(len(data), 64)))
        kind = rng.integers(5)
        if kind == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            del data[place : place + int(rng.integers(20))]
        elif kind == 3:
            data[place:place] = rng.bytes(int(rng.integers(20)))
        else:
            data[place] = int(rng.choice([0, 127, 128, 255]))
    return bytes(data)


def _junk(rng: np.random.Generator, depth: int = 0) -> Any:
    """JSON that is not, or not quite, the structure of a file."""
    kind = rng.integers(12 if depth < 4 else 8)
    if kind < 8:
        plain = [None, 1, -1.5, "a", True, [], {}, [["k", 1]], [[["l"], 1]], math.inf, 10**30]
        return plain[rng.integers(len(plain))]
    if kind == 8:
        return [_junk(rng, depth + 1) for _ in range(rng.integers(3))]
    names = ["dict", "list", "tuple", "array", "tensor", "scalar", "x"]
    chosen = rng.choice(names, size=1 + (kind == 9), replace=False)
    return {str(name): _junk(rng, depth + 1) for name in chosen}


def _crafted_structure(rng: np.random.Generator) -> bytes:
    """A file of which all is valid but what `save` wrote about its structure."""
    arrays = {name: np.ones((2, 0) if rng.integers(4) == 0 else 2) for name in ("a", "b")}
    structure = json.dumps(_junk(rng))
    if rng.integers(20) == 0:
        structure = '{"list":[' * 20_000 + "]}" * 20_000
    metadata = {"needle": structure, "needle-crc32": _checksum(arrays, structure)}
    if rng.integers(8) == 0:
        metadata.popitem()
    return to_bytes(arrays, metadata=metadata)


def _crafted_header(rng: np.random.Generator) -> bytes:
    """A file whose header lies about its tensors."""
    content = to_bytes({"a": np.ones(2, "float32"), "b": np.ones(3, "int8")})
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    values = ["F32", "F8_E4M3", "C64", "BF16", "I3", [0], [2**62, 0], [0, 2**63], [-1], [1e9], "x"]
    values += [None, [0, 4], [4, 0], [2**64], [0, 2**40]]
    for name in ("a", "b"):
        key = str(rng.choice(["dtype", "shape", "data_offsets"]))
        header[name][key] = values[rng.integers(len(values))]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def _archive(rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    write = np.savez if rng.integers(2) else np.savez_compressed
    write(stream, a=_array(rng), b=_array(rng), text=np.array("text"))
    return stream.getvalue()


def _idx(rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    images = rng.integers(256, size=rng.integers(4, size=3), dtype=np.uint8)
    header = bytes((0, 0, 8, 3)) + np.array(images.shape, ">u4").tobytes()
    content = header + images.tobytes()
    return gzip.compress(content) if rng.integers(2) else content, images


def case(rng: np.random.Generator) -> dict[str, int]:
    """One file."""
    kind = str(rng.choice(["whole", "damaged", "structure", "header", "archive", "idx"]))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        saved = {"root": _object(rng)}
        ndl.save(saved, path)
        if kind == "whole":
            assert _same(ndl.load(path), saved), f"{saved} came back as {ndl.load(path)}"
            return {"whole files": 1}
        with open(path, "rb") as file:
            content = whole = file.read()
        read: Any = ndl.load
        expected: Any = saved
        if kind == "idx":
            whole, expected = _idx(rng)
            content, read = whole, lambda path: read_idx(path, 3)
        elif kind != "damaged":
            make = {"structure": _crafted_structure, "header": _crafted_header}
            content = whole = make.get(kind, _archive)(rng)
            expected = None
        if kind in ("damaged", "idx") or rng.integers(2):
            content = _damaged(rng, content)
        with open(path, "wb") as file:
            file.write(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zipfile and NumPy, about odd headers
                loaded = read(path)
        except ValueError:
            assert content != whole or kind not in ("damaged", "idx"), "a whole file is refused"
            return {f"{kind}, refused": 1}
        if kind == "damaged":
            assert _same(loaded, expected), f"a damaged file gave {loaded} for {expected}"
        return {f"{kind}, read": 1}


run = repeated(case)
