"""Finding the files of MNIST on this machine, or downloading them."""

import os
import sys
import zlib
from contextlib import suppress

from .dataset import DatasetNotFoundError
from .idx import FilePath, open_unpacked

__all__ = ["mnist_files"]

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
"""URLs of folders with the four files, `.gz`; tried in this order."""

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

# what reading a damaged file or a failed download raises
_DAMAGED = (OSError, EOFError, zlib.error, ValueError)


def mnist_files(root: FilePath | None, train: bool, download: bool) -> list[str]:
    """Paths of the images and the labels of one part of MNIST, found as `MNIST` says.

    Both come from one place. Only files in the cache are verified by their checksums.
    """
    checksums = _TRAIN if train else _TEST
    looked = []
    for place, folder in (("root", root), ("$NEEDLE_DATA", os.environ.get("NEEDLE_DATA"))):
        if not folder:
            looked.append(f"{place}: not given")
            continue
        here = f"{place} {os.fspath(folder)}"
        found = {name: path for name in checksums if (path := _find(os.fspath(folder), name))}
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
    import pooch  # here and below: slow to import, and only downloads need it

    cache = os.path.join(pooch.os_cache("needle"), "mnist")
    looked.append(f"cache {cache}: no whole copy")
    return [_cached(cache, name, checksums[name], download, looked) for name in checksums]


def _find(folder: str, name: str) -> str | None:
    candidates = (os.path.join(folder, name), os.path.join(folder, f"{name}.gz"))
    return next(filter(os.path.isfile, candidates), None)


def _cached(cache: str, name: str, checksum: str, download: bool, looked: list[str]) -> str:
    """The path of a verified file in the cache, downloaded if necessary."""
    if path := _find(cache, name):
        with suppress(*_DAMAGED):
            return _verified(path, checksum)
    attempts = []
    for mirror in MIRRORS if download else ():
        url = f"{mirror}{name}.gz"
        try:
            return _fetch(url, os.path.join(cache, name), checksum)
        except _DAMAGED as error:
            attempts.append(f"{url}: {_reason(error)}")
    lines = [*looked, *(attempts or ["network: not used, because of download=False"])]
    raise DatasetNotFoundError(
        f"MNIST's {name} was not found{' and could not be downloaded' if download else ''}.\n"
        + "".join(f"  {line}\n" for line in lines)
        + "Ways out: give root= a folder with the four files (.gz or unpacked), set $NEEDLE_DATA "
        "to it, or use needle.data.Digits, which comes with needle."
    )


def _verified(path: str, checksum: str) -> str:
    """The path, if the decompressed content of the file has this SHA-256."""
    import hashlib  # imported here, as in `_fetch`, because `import needle` need not wait

    with open_unpacked(path) as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != checksum:
        raise ValueError(f"content has SHA-256 {actual}, expected {checksum}")
    return path


def _fetch(url: str, target: str, checksum: str) -> str:
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
        with open_unpacked(packed) as source, open(unpacked, "wb") as copy:
            shutil.copyfileobj(source, copy)
        os.replace(_verified(unpacked, checksum), target)
    return target


def _reason(error: BaseException) -> str:
    """The innermost error: the network's libraries wrap it several times."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
