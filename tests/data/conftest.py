"""Helpers for the tests of data: writing IDX files."""

import gc
import gzip
import multiprocessing
import os
import threading

import numpy as np
import pytest

from tests.data.workers import left_behind

# needs the 70,000 images, which not every machine has
collect_ignore = [] if os.environ.get("NEEDLE_DATA") else ["test_real_mnist.py"]


def idx_bytes(array: np.ndarray) -> bytes:
    """A uint8 array as the content of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def to_idx():
    """`idx_bytes`, as a fixture."""
    return idx_bytes


@pytest.fixture
def write_pair(tmp_path):
    """Writes images and labels as a pair of IDX files; gives their paths."""

    def write(images, labels, ending=".gz", part="train", folder=tmp_path):
        folder.mkdir(exist_ok=True)
        paths = []
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = idx_bytes(np.asarray(array, np.uint8))
            path = folder / f"{part}-{kind}-ubyte{ending}"
            path.write_bytes(gzip.compress(content) if ending == ".gz" else content)
            paths.append(path)
        return tuple(paths)

    return write


@pytest.fixture
def small_mnist():
    """Twelve random images of 28 x 28 bytes and their labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (12, 28, 28), dtype=np.uint8)
    return images, generator.integers(0, 10, 12, dtype=np.uint8)


@pytest.fixture
def nothing_left_behind():
    """Fails where a test leaves threads or processes."""
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    yield
    if {*threading.enumerate(), *multiprocessing.active_children()} - before:
        gc.collect()
    assert left_behind(before) == set()
