"""CIFAR-10 from small files in the real format."""

import hashlib
import os
import pickle
import struct
import tarfile

import numpy as np
import pooch
import pytest

from needle.data import (
    CIFAR10,
    CIFAR10Dataset,
    Compose,
    DataLoader,
    DatasetNotFoundError,
    Normalize,
    RandomCrop,
    RandomFlipHorizontal,
    ToTensor,
    cifar,
)
from needle.data.archives import read_pickle

FOLDER = "cifar-10-batches-py"
NAMES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def batch_of_python_2(images, labels):
    """The bytes that Python 2 wrote: text as byte strings, an array by `_reconstruct`."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def large(value):
        return b"T" + struct.pack("<i", len(value)) + value

    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        b"(K\x01(M" + struct.pack("<H", len(images)) + b"M\x00\x0ct"
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89" + large(images.tobytes()) + b"tb"
    )
    names = b"".join(text(b"image.png") for _ in labels)
    return (
        b"\x80\x02}(" + text(b"batch_label") + text(b"training batch 1 of 5")
        + text(b"labels") + b"](" + numbers + b"e" + text(b"data") + array
        + text(b"filenames") + b"](" + names + b"eu."
    )  # fmt: skip


def make_batches(folder, count=4):
    """Six small files, and their images (N, 3, 32, 32) and labels by part."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    parts = {True: ([], []), False: ([], [])}
    for number, name in enumerate(NAMES):
        images = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, count).tolist()
        content = batch_of_python_2(images, labels)
        if number:  # written by Python 3, in every protocol
            keys = [b"data", b"labels"] if number % 2 else ["data", "labels"]
            content = pickle.dumps(dict(zip(keys, (images, labels), strict=True)), number)
        (folder / name).write_bytes(content)
        parts[name != "test_batch"][0].append(images.reshape(-1, 3, 32, 32))
        parts[name != "test_batch"][1].extend(labels)
    return {train: (np.concatenate(images), labels) for train, (images, labels) in parts.items()}


@pytest.fixture
def batches(tmp_path):
    return tmp_path / FOLDER, make_batches(tmp_path / FOLDER)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, on a machine where nothing says where CIFAR-10 is, without a network."""
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(cifar, "MIRRORS", [])
    return tmp_path / "cache" / "needle" / "cifar-10"


def archive_of(path, folder):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=FOLDER)
    return path


# --- images


@pytest.mark.parametrize("train", [True, False])
def test_items(batches, train):
    folder, parts = batches
    images, labels = parts[train]
    dataset = CIFAR10Dataset(str(folder), train)
    assert len(dataset) == len(labels) == (20 if train else 4)
    image, label = dataset[3]
    assert (image.shape, image.dtype, label.dtype) == ((3, 32, 32), np.float32, np.uint8)
    expected = images.astype(np.float32) / np.float32(255)
    for index in (3, -1, slice(1, 4), np.array([2, 0, 2])):
        np.testing.assert_array_equal(dataset[index][0], expected[index])
        np.testing.assert_array_equal(dataset[index][1], np.array(labels)[index])
    assert dataset[:][0].flags.c_contiguous
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.labels, labels)
    assert repr(dataset) == f"CIFAR10Dataset({len(labels)} items of (3, 32, 32) uint8 and () uint8)"


def test_transforms_take_images_with_channels_last(batches):
    folder, _ = batches
    plain = CIFAR10Dataset(folder, True, 0.5, None)
    shapes = []
    mirrored = CIFAR10Dataset(
        folder, True, p=0.5, transforms=[lambda x: shapes.append(x.shape) or x[:, ::-1]]
    )
    np.testing.assert_array_equal(mirrored[2][0], plain[2][0][:, :, ::-1])
    np.testing.assert_array_equal(mirrored[:2][0], plain[:2][0][..., ::-1])
    assert shapes == [(32, 32, 3)] * 3
    crop = [RandomCrop(3), RandomFlipHorizontal(), Normalize([0.5] * 3, [0.2] * 3)]
    augmented = CIFAR10Dataset(folder, True, transforms=crop)
    np.random.seed(0)
    one_by_one = [augmented[i][0] for i in range(20)]
    for workers in (0, 2):
        np.random.seed(0)
        loaded = [batch[0].numpy() for batch in DataLoader(augmented, 8, num_workers=workers)]
        np.testing.assert_array_equal(np.concatenate(loaded), one_by_one)
    np.random.seed(0)
    first = np.moveaxis(Compose(crop)(np.moveaxis(plain[0][0], 0, -1)), -1, 0)
    np.testing.assert_array_equal(one_by_one[0], first)
    with pytest.raises(ValueError, match=r"return images \(H, W, C\), .*: leave ToTensor out"):
        CIFAR10Dataset(folder, True, transforms=[ToTensor()])[0]


def test_a_folder_without_the_files(tmp_path, batches):
    with pytest.raises(DatasetNotFoundError, match=r"data_batch_1 is missing: base_folder is"):
        CIFAR10Dataset(tmp_path, True)
    (batches[0] / "data_batch_4").unlink()
    with pytest.raises(DatasetNotFoundError, match="data_batch_4 is missing"):
        CIFAR10Dataset(batches[0], True)
    with pytest.raises(TypeError, match="train is True or False, got 'test'"):
        CIFAR10Dataset(batches[0], "test")


# --- finding and unpacking


@pytest.mark.parametrize("place", ["root", "NEEDLE_DATA"])
@pytest.mark.parametrize("what", ["files", "folder", "archive"])
def test_files_of_the_user(cache, batches, tmp_path, monkeypatch, place, what):
    folder, parts = batches
    there = folder if what == "files" else tmp_path
    if what == "archive":
        there = tmp_path / "packed"
        there.mkdir()
        archive_of(there / "cifar-10-python.tar.gz", folder)
    if place == "NEEDLE_DATA":
        monkeypatch.setenv(place, str(there))
    root = there if place == "root" else None
    for train in (True, False):
        np.testing.assert_array_equal(CIFAR10(root, train=train).labels, parts[train][1])


def test_the_archive_in_the_cache_is_verified_and_unpacked_once(
    cache, batches, tmp_path, monkeypatch
):
    folder, parts = batches
    with pytest.raises(DatasetNotFoundError) as caught:
        CIFAR10(tmp_path / "nowhere", download=False)
    for text in ("CIFAR-10's cifar-10-python.tar.gz was not found", "no such folder", str(cache),
                 "$NEEDLE_DATA: not given", "download=False", "Ways out: give root="):  # fmt: skip
        assert text in str(caught.value)
    cache.mkdir(parents=True)
    archive = archive_of(cache / "cifar-10-python.tar.gz", folder)
    with pytest.raises(DatasetNotFoundError, match="no whole copy"):
        CIFAR10()
    monkeypatch.setattr(cifar, "_CHECKSUM", hashlib.sha256(archive.read_bytes()).hexdigest())
    np.testing.assert_array_equal(CIFAR10().labels, parts[True][1])
    archive.unlink()
    np.testing.assert_array_equal(CIFAR10(train=False).labels, parts[False][1])
    assert sorted(os.listdir(cache)) == [FOLDER]
    with pytest.raises(TypeError, match="write train=True or train=False"):
        CIFAR10(False)


# --- files that are no batches


def test_arrays_whose_bytes_do_not_fit(tmp_path):
    content = batch_of_python_2(np.zeros((2, 3072), np.uint8), [1, 2])
    for old, new in ((b"M\x00\x0ct", b"M\x01\x0ct"), (b"M\x02\x00M", b"M\x03\x00M")):
        (tmp_path / "p").write_bytes(content.replace(old, new))
        with pytest.raises(ValueError, match="6144 bytes for an array of shape"):
            read_pickle(tmp_path / "p")
    for length in range(0, len(content) - 1, 97):
        (tmp_path / "p").write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged or not a pickle"):
            read_pickle(tmp_path / "p")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([1], "it holds a list"),
        ({"data": [1], "labels": [1]}, r"'data' is uint8 \(N, 3072\), got \[1\]"),
        ({"data": np.zeros((2, 3072)), "labels": [1, 2]}, r"got float64 of shape \(2, 3072\)"),
        (
            {"data": np.zeros((2, 300), np.uint8), "labels": [1, 2]},
            r"got uint8 of shape \(2, 300\)",
        ),
        ({"data": np.zeros((2, 3072), np.uint8)}, "'labels' is a list of ints below 10"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, "ints below 10"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "2 images and 1 labels"),
    ],
)
def test_files_that_are_no_batches(batches, content, text):
    path = batches[0] / "test_batch"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=text) as caught:
        CIFAR10Dataset(batches[0], train=False)
    assert str(path) in str(caught.value)


def test_downloads_are_verified_and_unpacked(cache, batches, tmp_path, monkeypatch):
    archive = archive_of(tmp_path / "published.tar.gz", batches[0])
    monkeypatch.setattr(cifar, "MIRRORS", ["https://example.invalid/"])

    def download(self, url, output_file, pooch):
        assert url == "https://example.invalid/cifar-10-python.tar.gz"
        with open(output_file, "wb") as file:
            file.write(archive.read_bytes())

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    with pytest.raises(DatasetNotFoundError, match=r"content has SHA-256 .*, expected 6d958be"):
        CIFAR10()
    monkeypatch.setattr(cifar, "_CHECKSUM", hashlib.sha256(archive.read_bytes()).hexdigest())
    np.testing.assert_array_equal(CIFAR10().labels, batches[1][True][1])
    assert sorted(os.listdir(cache)) == ["cifar-10-batches-py", "cifar-10-python.tar.gz"]
