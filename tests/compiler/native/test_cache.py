"""Compiled code in files: whole or not there, found again, replaced when damaged, bounded."""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.interruption import interrupted

pytest.importorskip("numba")

from needle.compiler.native import cache, compiler
from needle.compiler.native.runner import runner

SOURCE = """
def kernel(arguments):
    out = operand(arguments, 0, float64, 0)
    out[0] = {number}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder and a process that has compiled nothing."""
    monkeypatch.setenv("NEEDLE_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_addresses", {})
    cache._warn.cache_clear()
    return tmp_path / "compiled"


@pytest.fixture
def compiled(monkeypatch):
    """The names of the kernels that were compiled, in order."""
    names = []
    original = compiler.compile_source

    def compile_source(source, name):
        names.append(name)
        return original(source, name)

    monkeypatch.setattr(compiler, "compile_source", compile_source)
    return names


def value(number):
    """The number that a kernel compiled for it writes."""
    (address,) = cache.load([SOURCE.format(number=number)])
    out = np.zeros(1)
    program = np.array([address, 1, out.ctypes.data, 0], np.int64)
    runner()(program.ctypes.data)
    return out[0]


def forget():
    """What a new process knows."""
    cache._addresses.clear()


def test_compiled_once_in_a_process(compiled):
    sources = [SOURCE.format(number=n) for n in (1, 2, 1)]
    first, second, again = cache.load(sources)
    assert first == again != second
    assert cache.load(sources) == [first, second, first]
    assert len(compiled) == 2


def test_found_in_the_folder(compiled, folder):
    assert value(1.5) == 1.5
    assert len(list(folder.iterdir())) == len(compiled)
    count = len(compiled)
    forget()
    assert value(1.5) == 1.5
    assert len(compiled) == count


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    ],
)
def test_damaged_files_are_compiled_again(compiled, folder, damage):
    value(2.5)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    for path, content in files.items():
        path.write_bytes(damage(content))
    compiled.clear()
    forget()
    assert value(2.5) == 2.5
    assert len(compiled) == 1
    assert cache._read(SOURCE.format(number=2.5)) is not None


@pytest.mark.parametrize("variable", ["NUMBA_OPT", "NUMBA_CPU_NAME"])
def test_other_settings_are_other_files(monkeypatch, variable):
    before = cache._path("source")
    monkeypatch.setenv(variable, "generic")
    cache._surroundings.cache_clear()
    try:
        assert cache._path("source") != before
    finally:
        monkeypatch.delenv(variable)
        cache._surroundings.cache_clear()
    assert cache._path("source") == before


def test_a_folder_that_cannot_be_written_to(folder):
    folder.parent.joinpath("compiled").write_text("no folder")
    with pytest.warns(RuntimeWarning, match="compiled code is not kept in"):
        assert value(3.5) == 3.5
    with warnings.catch_warnings():  # one warning
        warnings.simplefilter("error")
        assert value(4.5) == 4.5


def test_a_full_disk(folder, monkeypatch):
    def write_bytes(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        assert value(5.5) == 5.5
    assert list(folder.iterdir()) == []


def test_unused_files_go(folder):
    value(6.5)
    old, used = folder / "old.kernel", folder / "used.kernel"
    for path in (old, used):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - cache.UNUSED - 10,) * 2)
    value(7.5)
    assert not old.exists()
    assert used.exists()


def test_the_oldest_files_go_when_there_is_no_room(folder, monkeypatch):
    value(6.5)
    monkeypatch.setattr(cache, "ROOM", 25_000)
    for age in range(5):
        path = folder / f"{age}.kernel"
        path.write_bytes(bytes(10_000))
        os.utime(path, (time.time() - 1000 * (age + 1),) * 2)
    value(7.5)
    assert sum(path.stat().st_size for path in folder.glob("*.kernel")) <= 25_000
    assert not (folder / "4.kernel").exists()
    assert (folder / "0.kernel").exists()


def test_files_in_use_are_kept(folder):
    value(6.5)
    path = cache._path(SOURCE.format(number=6.5))
    os.utime(path, (time.time() - cache.UNUSED + 100,) * 2)
    forget()
    value(6.5)
    assert path.stat().st_mtime > time.time() - 100


@pytest.mark.parametrize("at", [1, 30, 60, 100, 150, 200, 300])
def test_interrupted(folder, at):
    """Ctrl-C while a kernel is compiled or written leaves nothing half done."""
    runner()
    source = SOURCE.format(number=1000 + at)

    def is_inside(frame):
        return Path(frame.f_code.co_filename).parts[-2:-1] == ("native",)

    interrupted(lambda: cache.load([source]), at, "line", is_inside)
    assert [path for path in folder.glob("*") if path.suffix != ".kernel"] == []
    assert value(1000 + at) == 1000 + at
    forget()
    assert value(1000 + at) == 1000 + at


SCRIPT = """
import numpy as np
from needle.compiler.native.cache import load
from needle.compiler.native.runner import runner
source = '''{source}'''
sources = [source.format(number=n) for n in range(8)]
out = np.zeros(1)
for address in load(sources):
    program = np.array([address, 1, out.ctypes.data, 0], np.int64)
    runner()(program.ctypes.data)
    print(out[0])
"""


def test_processes_at_once():
    command = [sys.executable, "-c", SCRIPT.replace("{source}", SOURCE)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        printed, _ = process.communicate(timeout=120)
        assert [float(number) for number in printed.split()] == list(range(8))
        assert process.returncode == 0


def test_without_numba_where_all_is_in_the_folder():
    """llvmlite links; Numba, which takes longer to import, only compiles."""
    script = SCRIPT.replace("{source}", SOURCE) + "import sys; print('numba' in sys.modules)"
    for imported in ("True", "False"):
        printed = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        assert printed.split()[-1] == imported


def test_import_needle_imports_no_compiler():
    script = "import needle, needle.compiler.native.runner, sys\nprint(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numba", "llvmlite"} & set(printed)
