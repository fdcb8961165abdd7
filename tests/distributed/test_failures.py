"""A rank that fails: the others stop, and say why."""

import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from needle.distributed import DistributedError, failures, set_timeout
from needle.distributed.failures import _ENDED, _LINE, Board, Watch
from tests.distributed.launch import ended, start_ranks

WAYS = {
    "raises": "rank 1 of 2 failed, all ranks stop: ValueError: no such file\n",
    "raises before MPI": "rank 1 of 2 failed, all ranks stop: ValueError: no such file\n",
    "is killed": r"rank 1 of 2 was killed by SIGKILL, all ranks stop: process \d+ on ",
    "leaves": r"rank 1 of 2 has left by os\._exit\(0\) or the like, all ranks stop: process \d+",
    "has another model": r"rank 0: all_reduce\('sum'\) of float32 \(2,\)\n"
    r" *rank 1: all_reduce\('sum'\) of float32 \(3,\)",
    "hangs": r"failing.py\", line 23 in <module>[\s\S]*rank 1 has done nothing for \d s",
    "loops": r"rank 1 of 2 failed, all ranks stop: DistributedError: an endless .* line 2[45]",
}


def started(way):
    command = ("-m", "tests.distributed.programs.failing", way)
    return start_ranks(2, *command, env={"NEEDLE_DISTRIBUTED_IDLE": "1"})


@pytest.mark.parametrize("ways", [
    ["raises"], ["raises before MPI"], ["is killed"], ["leaves"], ["has another model"],
    ["hangs", "loops"],  # together, since they take their time
], ids=", ".join)  # fmt: skip
def test_the_others_stop(ways):
    start = time.perf_counter()
    for way, process in [(way, started(way)) for way in ways]:
        done = ended(process)
        assert done.returncode != 0
        assert re.search(WAYS[way], done.stderr + done.stdout)
        while left_of(f"programs.failing {way}"):  # the last may be ending
            assert time.perf_counter() - start < 15
            time.sleep(0.1)


def left_of(program):
    """The processes that run a program."""
    found = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True).stdout
    lines = [line.split(maxsplit=2) for line in found.splitlines()]
    return [args for _, state, args in lines if program in args and state[0] != "Z"]


# the rest without MPI: a board in ordinary memory, on which other ranks are other processes


def board(*processes, is_whole=True):
    """The board of rank 0 and of these processes as the others."""
    lines = [np.zeros(1, _LINE) for _ in range(len(processes) + 1)]
    for rank, process in enumerate((os.getpid(), *processes)):
        lines[rank][:] = (rank, process, 0.0, b"")
    return Board(lines, 0, is_whole)


@pytest.fixture
def process():
    """process(code) runs Python code in a process, which ends with the test."""
    started = []

    def start(code):
        command = [sys.executable, "-c", f"print(flush=True)\n{code}"]
        each = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        each.stdout.readline()
        started.append(each)
        return each.pid

    yield start
    for each in started:
        os.killpg(each.pid, signal.SIGKILL)
        each.stdout.close()
        each.wait()


@pytest.fixture(autouse=True)
def _short_times(monkeypatch):
    for name, value in {"_FIRST": 0.02, "_EVERY": 0.05, "_ARRIVAL": 0.2, "_DEADLOCK": 0.3}.items():
        monkeypatch.setattr(failures, name, value)
    monkeypatch.setattr(failures, "_GRACE", 0.05)
    monkeypatch.setenv("NEEDLE_DISTRIBUTED_TIMEOUT", "20")
    monkeypatch.setenv("NEEDLE_DISTRIBUTED_IDLE", "0.4")


def watched(board, doing="barrier()", seconds=3.0):
    """The error that a watch raises within some seconds, as text."""
    end = time.monotonic() + seconds
    with Watch(board, doing) as look:
        while time.monotonic() < end:
            try:
                look()
            except DistributedError as error:
                return str(error)
            time.sleep(0.01)
    return None


def test_a_rank_that_sleeps(process):
    text = watched(board(process("import time; time.sleep(60)")))
    assert re.match(
        r"rank 1 has done nothing for \d s \(process \d+\):\n"
        r"  rank 0 waits for barrier\(\), since \d s\n  rank 1 does not wait$",
        text,
    )


def test_a_rank_that_is_stopped(process):
    number = process("import time; time.sleep(60)")
    os.kill(number, signal.SIGSTOP)
    assert watched(board(number)).startswith(f"rank 1 is stopped (process {number})")


def test_a_rank_that_computes_has_more_time(process, monkeypatch):
    number = process("while True: pass")
    assert watched(board(number), seconds=0.7) is None
    monkeypatch.setenv("NEEDLE_DISTRIBUTED_TIMEOUT", "0.5")
    assert watched(board(number)).startswith("the timeout of 0.5 s is over:\n")


def test_a_rank_whose_worker_computes_has_more_time(process):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    number = process(code)
    assert watched(board(number), seconds=0.7) is None


def test_a_rank_whose_process_is_gone(process):
    number = process("import time; time.sleep(60)")
    all_ranks = board(number)
    os.kill(number, signal.SIGKILL)
    assert watched(all_ranks).startswith("rank 1 is gone:")


def test_a_process_that_was_never_seen_is_not_missed():
    assert watched(board(2**22 + 1), seconds=0.5) is None


def test_a_rank_that_has_ended(process):
    all_ranks = board(process("while True: pass"))
    all_ranks.lines[1]["state"], all_ranks.lines[1]["since"] = _ENDED, time.monotonic()
    text = watched(all_ranks, "all_reduce('sum') of float32 (2,)")
    assert text == (
        "rank 1 has ended its program:\n"
        "  rank 0 waits for all_reduce('sum') of float32 (2,), since 0 s\n"
        "  rank 1 has ended its program"
    )


@pytest.mark.parametrize(("other", "is_whole", "found"), [
    ("recv(from_=0)", True, True), ("barrier()", True, False), ("recv(from_=0)", False, False),
])  # fmt: skip
def test_ranks_that_wait_for_each_other(process, other, is_whole, found):
    all_ranks = board(process("import time; time.sleep(60)"), is_whole=is_whole)
    all_ranks.lines[1]["state"], all_ranks.lines[1]["since"] = other, time.monotonic()
    text = watched(all_ranks, seconds=0.6)
    assert (text is not None) == found
    if found:
        assert text.startswith("the ranks wait for each other:\n  rank 0 waits for barrier()")
        assert "rank 1 waits for recv(from_=0), since" in text


def test_a_run_that_was_suspended_goes_on(process, monkeypatch):
    """As batch systems do: all ranks are stopped, and go on one after another."""
    monkeypatch.setattr(failures, "_STOPPED", 0.3)
    number = process("import time; time.sleep(60)")
    all_ranks = board(number)
    with Watch(all_ranks, "barrier()") as look:
        for _ in range(10):
            look()
            time.sleep(0.02)
        os.kill(number, signal.SIGSTOP)
        time.sleep(0.5)  # stopped, too
        for _ in range(10):
            look()
            time.sleep(0.02)
    assert all_ranks.own["since"][0] == 0


def test_other_machines_are_not_known(process, monkeypatch):
    monkeypatch.setenv("NEEDLE_DISTRIBUTED_TIMEOUT", "0.2")
    text = watched(board(process("while True: pass"), is_whole=False))
    assert text.endswith("\n  of ranks on other machines nothing is known")


def test_a_wait_that_ends_leaves_nothing_on_the_board(process):
    all_ranks = board(process("while True: pass"))
    assert watched(all_ranks, seconds=0.2) is None
    assert all_ranks.own["since"][0] == 0
    assert all_ranks.own["state"][0] == b""


def test_timeouts(monkeypatch):
    set_timeout(30, idle=5)
    assert os.environ["NEEDLE_DISTRIBUTED_TIMEOUT"] == "30"
    assert os.environ["NEEDLE_DISTRIBUTED_IDLE"] == "5"
    set_timeout(math.inf)
    assert failures._limit("NEEDLE_DISTRIBUTED_TIMEOUT") == math.inf
    for wrong in (0, -1, math.nan):
        with pytest.raises(ValueError, match="times above 0"):
            set_timeout(wrong)
    monkeypatch.setenv("NEEDLE_DISTRIBUTED_TIMEOUT", "soon")
    with pytest.raises(DistributedError, match="NEEDLE_DISTRIBUTED_TIMEOUT is a number of seconds"):
        failures._limit("NEEDLE_DISTRIBUTED_TIMEOUT")


def test_a_program_without_launcher_keeps_its_hook():
    hook = sys.excepthook
    failures.install()
    assert sys.excepthook is hook
