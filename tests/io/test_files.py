"""Files that are written at once, by killed processes, through pipes, and crafted ones."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

from needle import Tensor, load, save
from needle.io import files, replacing
from needle.io.saving import _checksum

on_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- pipes and devices


@on_posix
def test_a_pipe_stays_and_gets_the_content(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    save({"w": np.ones(3)}, pipe)
    reader.join(10)
    assert pipe.is_fifo()
    (tmp_path / "copy").write_bytes(received[0])
    np.testing.assert_array_equal(load(tmp_path / "copy")["w"], np.ones(3))
    assert names(tmp_path) == ["copy", "pipe"]


@on_posix
def test_an_error_sends_nothing_through_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(KeyError), replacing(pipe) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyError
    assert pipe.is_fifo()


@on_posix
def test_a_device_stays():
    save({"w": np.ones(3)}, os.devnull)
    with open(os.devnull, "rb") as device:
        assert device.read() == b""


@on_posix
def test_standard_output_gets_the_content(tmp_path):
    program = "import needle as ndl; ndl.save({'n': 1}, '/dev/stdout')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    (tmp_path / "x").write_bytes(ran.stdout)
    assert load(tmp_path / "x") == {"n": 1}


# --- leftovers


WRITE_AND_WAIT = """
import sys, time
from needle.io import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"x" * 1000)
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """writer(path): a process that has written a temporary file for `path` and waits."""
    processes = []

    def start(path):
        command = [sys.executable, "-c", WRITE_AND_WAIT, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout.readline() == b"written\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@on_posix
def test_what_killed_processes_left_is_removed_by_the_next(tmp_path, writer):
    path = tmp_path / "model.safetensors"
    for _ in range(3):
        process = writer(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(tmp_path.glob(".*.part"))) == 1
    save({"n": 1}, path)
    assert names(tmp_path) == ["model.safetensors"]


@on_posix
def test_what_another_process_is_writing_stays(tmp_path, writer):
    path = tmp_path / "model.safetensors"
    writer(path)
    writer(path)
    save({"n": 1}, path)
    assert len(list(tmp_path.glob(".*.part"))) == 2
    assert load(path) == {"n": 1}


@on_posix
def test_what_is_left_of_other_files_stays(tmp_path, writer):
    writer(tmp_path / "model").kill()
    save({"n": 1}, tmp_path / "model.safetensors")
    save({"n": 1}, tmp_path / "mode")
    assert len(list(tmp_path.glob(".*.part"))) == 1


def test_a_temporary_file_that_was_removed_at_once_is_made_again(tmp_path, monkeypatch):
    lock = files._lock

    def late(file, **options):
        monkeypatch.setattr(files, "_lock", lock)
        os.unlink(file.name)
        return lock(file, **options)

    monkeypatch.setattr(files, "_lock", late)
    save({"n": 1}, tmp_path / "x")
    assert load(tmp_path / "x") == {"n": 1}


def test_a_system_without_locks_writes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    save({"n": 1}, tmp_path / "x")
    assert load(tmp_path / "x") == {"n": 1}
    assert names(tmp_path) == ["x"]


# --- at once


def _save_often(path, number):
    for _ in range(30):
        save({"w": np.full(2000, number)}, path)


@on_posix
def test_two_processes_that_save_one_path_leave_a_whole_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save({"w": np.zeros(2000)}, path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_save_often, args=(path, number)) for number in (1, 2)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert len(set(load(path)["w"].tolist())) == 1
        time.sleep(0.001)
    assert [process.exitcode for process in processes] == [0, 0]
    assert names(tmp_path) == ["model.safetensors"]


def test_threads_that_save_one_path_leave_a_whole_file(tmp_path):
    path = tmp_path / "model.safetensors"
    errors = []

    def work(number):
        try:
            _save_often(path, number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert len(set(load(path)["w"].tolist())) == 1
    assert names(tmp_path) == ["model.safetensors"]


# --- names and errors


@pytest.mark.parametrize("name", ["x" * 230, "x" * 255, "ü" * 127, "a.*[b]"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    path = tmp_path / name
    for number in range(2):
        save({"n": number}, path)
        assert load(path) == {"n": number}
    assert names(tmp_path) == [name]


class UsersError(OSError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "data.csv"),
        UsersError("what", 3),
        ConnectionError("reset"),
        PermissionError(errno.EPERM, "no"),
    ],
    ids=repr,
)
def test_errors_of_the_block_keep_what_they_say(tmp_path, error):
    args, filename = error.args, error.filename
    with pytest.raises(OSError) as caught, replacing(tmp_path / "x"):
        raise error
    assert caught.value is error
    assert (error.args, error.filename) == (args, filename)
    assert names(tmp_path) == []


# --- crafted files


def crafted(path, structure, **arrays):
    metadata = {"needle": structure, "needle-crc32": _checksum(arrays, structure)}
    path.write_bytes(to_bytes(arrays, metadata=metadata))
    return path


@pytest.mark.parametrize(
    "structure",
    [
        "5", "null", '"text"', "[]", "[1]", "{}", '{"dict": 5}', '{"dict": [[[1], 2]]}',
        '{"dict": [[{}, 2]]}', '{"dict": [1]}', '{"dict": [[1]]}', '{"list": null}',
        '{"array": "missing"}', '{"array": []}', '{"tensor": {"a": 1}}', '{"scalar": 1}',
        '{"what": 1}', '{"dict": [], "list": []}', "{", '{"array": "w"}', '{"list": []}',
        "[" * 100_000, '{"list":[' * 50_000 + "]}" * 50_000, "9" * 5000,
    ],
    ids=lambda structure: structure[:20],
)  # fmt: skip
def test_crafted_structures_are_value_errors(tmp_path, structure):
    path = crafted(tmp_path / "x", structure, w=np.ones(2))
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        load(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dtype", "F7"), ("dtype", 3), ("dtype", "BF16"), ("shape", [-1]), ("shape", [2**62, 0]),
        ("shape", [2**64]), ("shape", "x"), ("data_offsets", [4, 0]), ("data_offsets", [0, 2**40]),
        ("data_offsets", None), ("dtype", "C64"),
    ],
)  # fmt: skip
def test_crafted_headers_are_value_errors(tmp_path, key, value):
    content = to_bytes({"w": np.ones(2, np.float32)})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["w"][key] = value
    text = json.dumps(header).encode()
    path = tmp_path / "x"
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(ValueError, match=r"needle does not have|damaged or no safetensors file"):
        load(path)


def test_a_tensor_in_a_crafted_file_that_is_whole_is_read(tmp_path):
    path = crafted(tmp_path / "x", '{"dict": [["w", {"tensor": "w"}]]}', w=np.ones(2))
    assert isinstance(load(path)["w"], Tensor)
