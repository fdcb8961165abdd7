"""Finding the files of datasets on this machine, or downloading them."""

import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from .dataset import DatasetNotFoundError
from .idx import FilePath, open_unpacked

__all__ = ["Remote", "cache_folder", "cached_file", "fashion_files", "mnist_files", "places"]

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
"""URLs of folders with the four files of MNIST, `.gz`; tried in this order."""

FASHION_MIRRORS = [
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
]
"""The same for Fashion-MNIST, whose files have the same names."""

TIMEOUT = 10.0
"""Seconds to wait for a mirror's answer, and for each further piece of the file."""

# SHA-256 of the decompressed content: mirrors compress differently
_TRAIN = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}
_TEST = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# SHA-256 of the files as they are published
_FASHION_TRAIN = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
}
_FASHION_TEST = {
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}

# what reading a damaged file or a failed download raises
_DAMAGED = (OSError, EOFError, zlib.error, ValueError)


class Remote(NamedTuple):
    """Where a dataset's files are published, and where they are kept."""

    name: str
    folder: str
    """Below the user's cache."""
    mirrors: Sequence[str]
    ways_out: str
    """What to do where nothing can be downloaded."""
    ending: str = ""
    """Of the names at the mirrors."""
    unpack: bool = False
    """Whether files are kept decompressed, and checksums are those of the content."""


def mnist_files(root: FilePath | None, train: bool, download: bool) -> list[str]:
    """Paths of the images and the labels of one part of MNIST, found as `MNIST` says.

    Both come from one place. Only files in the cache are verified by their checksums.
    """
    ways_out = "needle.data.Digits, which comes with needle"
    remote = Remote("MNIST", "mnist", MIRRORS, _ways_out("the four", ways_out), ".gz", True)
    return _pair(remote, _TRAIN if train else _TEST, places(root), download)


def fashion_files(root: FilePath | None, train: bool, download: bool) -> list[str]:
    """The same for Fashion-MNIST; labels that are those of MNIST are refused."""
    remote = Remote(
        "Fashion-MNIST", "fashion-mnist", FASHION_MIRRORS,
        _ways_out("the four", "needle.data.Digits, which comes with needle"), ".gz",
    )  # fmt: skip
    below = ("fashion-mnist", os.path.join("FashionMNIST", "raw"))
    checksums = _FASHION_TRAIN if train else _FASHION_TEST
    # $NEEDLE_DATA itself is where MNIST's files are
    paths = _pair(remote, checksums, places(root, ("", *below), below), download)
    try:
        _verified(paths[1], {**_TRAIN, **_TEST}[list(checksums)[1]])
    except _DAMAGED:
        return paths
    raise DatasetNotFoundError(f"{paths[1]} has the labels of MNIST, not of Fashion-MNIST")


def _ways_out(files: str, other: str) -> str:
    return (
        f"give root= a folder with {files} files (.gz or unpacked), set $NEEDLE_DATA to it, or "
        f"use {other}."
    )


def places(
    root: FilePath | None, in_root: Sequence[str] = ("",), in_data: Sequence[str] = ("",)
) -> list[tuple[str, str, Sequence[str]]]:
    """The folders to search, each with its name in messages and what to look for below it."""
    data = os.environ.get("NEEDLE_DATA")
    return [
        ("root", os.fspath(root) if root else "", in_root),
        ("$NEEDLE_DATA", data or "", in_data),
    ]


def _pair(
    remote: Remote,
    checksums: Mapping[str, str],
    folders: Sequence[tuple[str, str, Sequence[str]]],
    download: bool,
) -> list[str]:
    """Paths of two files that belong together."""
    looked = []
    for place, folder, below in folders:
        if not folder:
            looked.append(f"{place}: not given")
            continue
        here = f"{place} {folder}"
        for part in below:
            inside = os.path.join(folder, part)
            found = {name: path for name in checksums if (path := _find(inside, name))}
            if len(found) == 2:
                return list(found.values())
            if found:
                (present,), (missing,) = found.values(), checksums.keys() - found.keys()
                raise DatasetNotFoundError(
                    f"{here} has {os.path.basename(present)} but not {missing} (or {missing}.gz): "
                    "add it, or give another folder"
                )
        empty = "none of the files" if os.path.isdir(folder) else "no such folder"
        looked.append(f"{here}: {empty}")
    return [cached_file(remote, name, checksums[name], download, looked) for name in checksums]


def _find(folder: str, name: str) -> str | None:
    candidates = (os.path.join(folder, name), os.path.join(folder, f"{name}.gz"))
    return next(filter(os.path.isfile, candidates), None)


def cached_file(
    remote: Remote, name: str, checksum: str, download: bool, looked: Sequence[str]
) -> str:
    """The path of a verified file in the cache, downloaded if necessary.

    `looked` are the places that were searched before, for the message of the error.
    """
    cache = cache_folder(remote)
    if path := _find(cache, name):
        with suppress(*_DAMAGED):
            return _verified(path, checksum, remote.unpack)
    attempts = []
    for mirror in remote.mirrors if download else ():
        url = f"{mirror}{name}{remote.ending}"
        try:
            return _fetch(url, os.path.join(cache, name), checksum, remote)
        except _DAMAGED as error:
            attempts.append(f"{url}: {_reason(error)}")
    lines = [*looked, f"cache {cache}: no whole copy"]
    lines += attempts or ["network: not used, because of download=False"]
    raise DatasetNotFoundError(
        f"{remote.name}'s {name} was not found"
        f"{' and could not be downloaded' if download else ''}.\n"
        + "".join(f"  {line}\n" for line in lines)
        + f"Ways out: {remote.ways_out}"
    )


def cache_folder(remote: Remote) -> str:
    """Where the dataset's files are kept."""
    import pooch  # here and below: slow to import, and only downloads need it

    return os.path.join(pooch.os_cache("needle"), remote.folder)


def _verified(path: str, checksum: str, unpack: bool = True) -> str:
    """The path, if the file, or its decompressed content, has this SHA-256."""
    import hashlib  # imported here, as in `_fetch`, because `import needle` need not wait

    with open_unpacked(path) if unpack else open(path, "rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != checksum:
        raise ValueError(f"content has SHA-256 {actual}, expected {checksum}")
    return path


def _fetch(url: str, target: str, checksum: str, remote: Remote) -> str:
    """Download, decompress and verify a file, and only then move it to `target`."""
    import shutil
    from tempfile import TemporaryDirectory

    import pooch

    is_terminal = sys.stderr is not None and sys.stderr.isatty()  # no bar in log files
    download = pooch.HTTPDownloader(progressbar=is_terminal, chunk_size=2**16, timeout=TIMEOUT)
    cache = os.path.dirname(target)
    os.makedirs(cache, exist_ok=True)
    with TemporaryDirectory(prefix="download-", dir=cache) as folder:
        packed, unpacked = os.path.join(folder, "packed"), os.path.join(folder, "unpacked")
        download(url, packed, None)
        if not remote.unpack:
            target += remote.ending
            os.replace(_verified(packed, checksum, unpack=False), target)
            return target
        with open_unpacked(packed) as source, open(unpacked, "wb") as copy:
            shutil.copyfileobj(source, copy)
        os.replace(_verified(unpacked, checksum), target)
    return target


def _reason(error: BaseException) -> str:
    """The innermost error: the network's libraries wrap it several times."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
