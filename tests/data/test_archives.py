"""Archives and pickles, damaged or hostile."""

import gzip
import io
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest

from needle.data import (
    archives,
)
from needle.data.archives import read_pickle, unpack

# --- archives


def tar_with(*members, compress=True):
    """The bytes of a tar archive with members of a name, content, and other attributes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if compress else "w") as tar:
        for name, content, *attributes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in dict(*attributes).items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content) if member.size == len(content) else None)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([("../evil", b"x")], r"'../evil' lies outside of the folder"),
        ([("a/../../evil", b"x")], "lies outside of the folder"),
        ([("/tmp/evil", b"x")], "'/tmp/evil' lies outside of the folder"),
        ([("a\\..\\evil", b"x")], "its name is not portable"),
        ([("C:evil", b"x")], "its name is not portable"),
        ([("link", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})],
         "'link' is a symbolic link, allowed are files and folders"),
        ([("link", b"", {"type": tarfile.LNKTYPE, "linkname": "a"})], "'link' is a hard link"),
        ([("null", b"", {"type": tarfile.CHRTYPE})], "'null' is a device"),
        ([("disk", b"", {"type": tarfile.BLKTYPE})], "'disk' is a device"),
        ([("pipe", b"", {"type": tarfile.FIFOTYPE})], "'pipe' is a pipe"),
        ([("odd", b"", {"type": b"Z"})], "a kind other than"),
        ([("a", b"x"), ("a", b"y")], "two members 'a'"),
        ([("a", b"x"), ("a/b", b"y")], "a folder and a file"),
        ([("a/b", b"x"), ("a", b"y")], "a folder and a file"),
        ([(".", b"x")], "has no name"),
        ([("big", b"", {"size": 2**40})], "more than 1073741824 bytes"),
    ],
)  # fmt: skip
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path, members, text):
    archive = tmp_path / "some.tar.gz"
    archive.write_bytes(tar_with(("good", b"fine"), *members))
    with pytest.raises(ValueError, match=text) as caught:
        unpack(archive, tmp_path / "folder")
    assert str(archive) in str(caught.value)
    assert os.listdir(tmp_path / "folder") == []
    assert sorted(os.listdir(tmp_path)) == ["folder", "some.tar.gz"]


def test_bombs_cost_no_memory_and_no_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_FILES", 20)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 300_000_000
    bombs = [
        header.tobuf() + bytes(30_000_000),  # a header that is read at once
        tar_with(*[(f"{i}", b"") for i in range(22)], compress=False),
        tar_with(("a", b"b"), compress=False) + bytes(30_000_000),
    ]
    for number, content in enumerate(bombs):
        archive = tmp_path / f"bomb-{number}"
        archive.write_bytes(gzip.compress(content, 1))
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"states a part of 3000|20 members|goes on after"):
            unpack(archive, tmp_path / "folder")
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [True, False])
def test_damaged_archives_are_refused(tmp_path, compress):
    content = tar_with(("a/b", b"x" * 3000), ("c", b"y" * 3000), compress=compress)
    archive = tmp_path / "cut.tar"
    for length in (0, 5, 100, 700, 3000) if not compress else range(0, len(content), 12):
        archive.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.tar is (damaged|not unpacked)"):
            unpack(archive, tmp_path / "folder")
        assert os.listdir(tmp_path / "folder") == []
    archive.write_bytes(content)
    unpack(archive, tmp_path / "folder")
    assert (tmp_path / "folder" / "a" / "b").read_bytes() == b"x" * 3000
    unpack(archive, tmp_path / "folder")  # over what is there
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "nowhere", tmp_path)


# --- pickles


class Evil:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch pwned",)),
        (eval, ("open('pwned', 'w')",)),
        (getattr, (dict, "clear")),
        (np.load, ("pwned",)),
        (np.frombuffer, (b"abc",)),
        (bytearray, (10,)),
        (complex, (1, 2)),
        (np.random.seed, (3,)),
    ],
)
def test_pickles_run_no_code(tmp_path, monkeypatch, protocol, function, arguments):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Evil(function, *arguments)}, protocol))
    with pytest.raises(ValueError, match=r"data_batch_1 is not read: it asks for \S+; allowed are"):
        read_pickle(path)
    assert os.listdir(tmp_path) == ["data_batch_1"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "calls something that is not a function"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00U\x01btR.", "unknown kind"),
        (b"cnumpy\ndtype\n(U\x02O8tR.", "dtype 'O8', allowed are numbers"),
        (b"cnumpy\ndtype\n(U\x02V8tR.", "dtype 'V8'"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aU\x03hextR.", "the encoding b'hex'"),
        (b"c_codecs\nencode\n}(U\x01aK\x01ub.", "damaged or not a pickle"),
        (b"cneedle.data.archives\n_Array\n)R.", "asks for needle.data.archives._Array"),
        (b"c__builtin__\neval\n.", "asks for __builtin__.eval"),
        (b"cos\nsystem\n.", "asks for os.system"),
        (b"Pname\n.", "damaged or not a pickle"),
        (b"\x82\x01.", "damaged or not a pickle"),
        (b"r\xff\xff\xff\x7f.", "damaged or not a pickle"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x0fabc.", "damaged or not a pickle"),
        (b"", "damaged or not a pickle"),
        (b"<html>", "damaged or not a pickle"),
        (b"\x80\x02}", "damaged or not a pickle"),
    ],
)
def test_pickles_by_hand(tmp_path, content, text):
    (tmp_path / "p").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=text):
        read_pickle(tmp_path / "p")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_numbers_texts_and_arrays_are_read(tmp_path, protocol):
    value = {
        b"bytes": b"\x00\xff",
        "text": "ü",
        "list": [1, -2, 3.5, None, True, 2**70],
        "dict": {"tuple": (1, "a")},
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    (tmp_path / "p").write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(tmp_path / "p")
    for name, part in value.items():
        np.testing.assert_array_equal(found[name], part)
    assert found["big"].dtype == np.dtype(">i4")
