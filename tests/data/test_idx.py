import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from needle.data import MNISTDataset, parse_mnist
from needle.data.idx import read_idx


@pytest.fixture
def written(tmp_path):
    """Writes bytes to a file of the given name; gives its path."""

    def write(content, name="x-idx3-ubyte"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def header(*shape, ndim=None):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, ndim or len(shape), *shape)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("shape", [(7,), (4, 3, 5), (0, 28, 28)])
def test_reads_what_was_written(written, to_idx, shape, ending):
    array = np.random.randint(0, 256, shape).astype(np.uint8)
    content = to_idx(array)
    path = written(gzip.compress(content) if ending else content, f"x{ending}")
    result = read_idx(path, array.ndim)
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(read_idx(str(path), array.ndim), array)


def test_gzip_data_is_read_whatever_its_name(written, to_idx):
    path = written(gzip.compress(to_idx(np.arange(3, dtype=np.uint8))), "labels")
    assert read_idx(path, 1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_anywhere_is_refused(written, to_idx, packed):
    content = to_idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    content = gzip.compress(content) if packed else content
    for length in range(len(content)):
        path = written(content[:length], f"cut-{length}")
        with pytest.raises(ValueError, match=f"cut-{length} "):
            read_idx(path, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_more_content_than_the_header_says_is_refused(written, packed):
    content = header(2, 2, 2) + bytes(9)
    path = written(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\) is 8 bytes, it holds more"):
        read_idx(path, 3)


def test_less_content_than_the_header_says_names_both_sizes(written):
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\) is 8 bytes, it holds 7"):
        read_idx(written(header(2, 2, 2) + bytes(7)), 3)


@pytest.mark.parametrize(
    "content",
    [
        header(2, ndim=1) + bytes(2),  # labels
        b"\0\0\x0d\x03" + header(1, 1, 1)[4:] + bytes(4),  # floats
        b"<html><body>404 Not Found</body></html>",
        b"PK\x03\x04" + bytes(40),
    ],
    ids=["labels", "floats", "web page", "zip"],
)
def test_wrong_magic_number_is_refused_with_both_numbers(written, content):
    text = f"wrong magic number 0x{content[:4].hex()}, expected 0x00000803 for images"
    with pytest.raises(ValueError, match=text):
        read_idx(written(content), 3)


def test_a_name_with_gz_that_is_not_gzip_is_refused(written, to_idx):
    path = written(to_idx(np.zeros(3, np.uint8)), "labels.gz")
    with pytest.raises(ValueError, match=r"labels\.gz is not gzip data"):
        read_idx(path, 1)


def test_damaged_gzip_data_is_refused(written, to_idx):
    array = np.random.randint(0, 256, (20, 8, 8)).astype(np.uint8)
    content = bytearray(gzip.compress(to_idx(array)))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ValueError, match=r"x\.gz "):
        read_idx(written(bytes(content), "x.gz"), 3)


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (60000, 20000, 28)])
@pytest.mark.parametrize("packed", [False, True])
def test_absurd_sizes_cost_no_memory(written, shape, packed):
    content = header(*shape) + bytes(100)
    path = written(gzip.compress(content) if packed else content)
    with limited_memory(), pytest.raises(ValueError, match="more than 1 GiB"):
        read_idx(path, 3)


def test_large_claims_cost_no_more_memory_than_the_file(written):
    path = written(header(60000, 100, 100) + bytes(100))
    with limited_memory(), pytest.raises(ValueError, match="is 600000000 bytes, it holds 100"):
        read_idx(path, 3)


def test_a_gzip_bomb_is_not_unpacked(written):
    path = written(gzip.compress(header(10, 2, 2) + bytes(50_000_000), 1), "bomb.gz")
    with limited_memory(), pytest.raises(ValueError, match="it holds more"):
        read_idx(path, 3)


class limited_memory:
    """Fails when Python's and NumPy's memory grows by more than 8 MiB meanwhile."""

    def __enter__(self):
        tracemalloc.start()

    def __exit__(self, *error):
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * 2**20


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere", 3)


@pytest.mark.parametrize("read", [parse_mnist, MNISTDataset])
def test_images_and_labels_that_do_not_match_are_refused(write_pair, small_mnist, read):
    images, labels = small_mnist
    paths = write_pair(images, labels[:-1])
    with pytest.raises(ValueError, match=r"12 in .*images.*, 11 in .*labels"):
        read(*paths)


@pytest.mark.parametrize("read", [parse_mnist, MNISTDataset])
def test_swapped_files_are_refused(write_pair, small_mnist, read):
    images, labels = write_pair(*small_mnist)
    with pytest.raises(ValueError, match=r"labels-idx1.*wrong magic number 0x00000801"):
        read(labels, images)
