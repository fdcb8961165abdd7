"""Loader workers that fail or are killed, and what they leave behind: nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from needle.data import (
    DataLoader,
)
from tests.data.workers import KINDS, Each, left_behind

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

# --- errors


def fails(index):
    if index == 7:
        raise KeyError(f"image {index} is missing")
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_in_order_as_they_are_with_the_traceback_of_the_worker(kind):
    batches = iter(DataLoader(Each(fails), 3, num_workers=2, worker=kind))
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(KeyError, match="image 7 is missing") as caught:
        next(batches)
    notes = "\n".join(caught.value.__notes__)
    assert f"in worker {notes.split()[2]} of a DataLoader" in notes
    if kind == "process":
        assert "in fails\n" in notes
    else:
        assert caught.traceback[-1].name == "fails"
    assert next(batches, None) is None


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def odd_error(index):
    raise Unpicklable("this", "that")


def stops(index):
    raise StopIteration


def leaves(index):
    os._exit(3)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (odd_error, RuntimeError, "Unpicklable: this and that"),
        (stops, RuntimeError, "raised StopIteration"),
        (leaves, RuntimeError, r"DataLoader worker 0 \(process \d+\) exited with code 3"),
        (lambda index: lambda: 1, Exception, "real numbers|pickle"),
    ],
)
def test_odd_ends_of_a_worker_process(function, error, text):
    with pytest.raises(error, match=text):
        list(DataLoader(Each(function), 3, num_workers=1))


def test_a_killed_worker_is_an_error_that_says_so():
    def dies(index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    loader = DataLoader(Each(dies), 2, num_workers=2)
    text = r"DataLoader worker \d \(process \d+\) was killed by signal SIGKILL .* batch 2"
    with pytest.raises(RuntimeError, match=text):
        list(loader)


def test_a_worker_that_is_killed_from_outside():
    batches = iter(DataLoader(Each(lambda index: time.sleep(0.05) or index), num_workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(RuntimeError, match=r"was killed by signal SIGTERM"):
        list(batches)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_takes_too_long(kind):
    loader = DataLoader(
        Each(lambda _: time.sleep(0.3)), num_workers=1, worker=kind, timeout=0.05, prefetch_factor=1
    )
    with pytest.raises(RuntimeError, match=r"batch 0 was not ready within timeout=0.05 seconds"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"num_workers": -1}, ValueError, "num_workers is 0 or more, got -1"),
        ({"num_workers": 1.5}, TypeError, "num_workers is a whole number"),
        ({"prefetch_factor": 2}, ValueError, "need num_workers above 0"),
        ({"persistent_workers": True}, ValueError, "need num_workers above 0"),
        ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "prefetch_factor is 1 or more"),
        ({"num_workers": 1, "worker": "fibre"}, ValueError, '"thread", "process" or None'),
        ({"num_workers": 1, "timeout": -1}, ValueError, "timeout is 0 or more seconds, got -1"),
        ({"sampler": [0], "shuffle": True}, ValueError, "sampler excludes shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler excludes"),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "batch_sampler excludes"),
    ],
)
def test_settings_that_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        DataLoader([1, 2], **options)


# --- nothing is left behind


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_workers_end_with_the_loop(kind, persistent):
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    loader = DataLoader(Each(fails), num_workers=2, worker=kind, persistent_workers=persistent)
    for _ in loader:
        break
    if not persistent:
        assert left_behind(before) == set()
    with pytest.raises(KeyError):
        list(loader)
    if not persistent:
        assert left_behind(before) == set()
    iter(loader)  # never advanced
    del loader, _
    assert left_behind(before) == set()


def test_persistent_workers_stay_and_are_asked_once_to_begin():
    begun = []
    loader = DataLoader(
        Each(lambda _: os.getpid()), 3, num_workers=2, persistent_workers=True,
        worker_init_fn=begun.append,
    )  # fmt: skip
    pids = [{int(batch[0][0].item()) for batch in loader} for _ in range(2)]
    assert len(pids[0] | pids[1]) <= 2
    assert begun == []  # there, not here
    threads = DataLoader(
        [1, 2, 3], num_workers=1, worker="thread", persistent_workers=True,
        worker_init_fn=begun.append,
    )  # fmt: skip
    assert [len(list(threads)) for _ in range(2)] == [3, 3]
    assert begun == [0]


def test_two_passes_at_once_over_persistent_workers():
    loader = DataLoader(Each(lambda i: i), 2, num_workers=1, persistent_workers=True)
    first, second = iter(loader), iter(loader)
    pairs = [[a[0].tolist(), b[0].tolist()] for a, b in zip(first, second, strict=True)]
    assert pairs == [[[i, i + 1]] * 2 for i in range(0, 12, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_ends_the_workers(kind):
    code = f"""
        import os, signal, sys, threading, time
        from needle.data import DataLoader, Dataset

        class Slow(Dataset):
            def __len__(self): return 100
            def __getitem__(self, index): time.sleep(0.05); return index

        batches = iter(DataLoader(Slow(), 2, num_workers=2, worker={kind!r}))
        try:
            for batch in batches:
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
        del batches
        import multiprocessing
        print(threading.active_count(), multiprocessing.active_children())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("1 []\n", "")


def test_a_program_that_ends_in_the_middle_of_a_pass():
    code = """
        from needle.data import DataLoader
        batches = iter(DataLoader(list(range(100)), num_workers=2))
        print(next(batches)[0].item())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=20
    )
    assert (run.stdout, run.stderr) == ("0\n", "")


def test_workers_of_a_killed_program_end():
    code = """
        import multiprocessing, os, signal
        from needle.data import DataLoader
        batches = iter(DataLoader(list(range(100)), num_workers=2))
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    pids = run.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
