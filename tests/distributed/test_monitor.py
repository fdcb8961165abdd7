"""The monitor names the rank that was killed first, although all are killed; without MPI."""

import os
import signal
import subprocess
import sys

import pytest

from needle.distributed import monitor

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd")

# a rank that joins, says so, and ends as it should once its standard input has ended
RANK = f"""
import runpy, sys
rank, address = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
class Node:
    Get_rank = staticmethod(lambda: rank)
    bcast = staticmethod(lambda given: given or address)
functions = runpy.run_path({monitor.__file__!r}, run_name="monitor")
_started = functions["_started"]
def started(size):
    found = _started(size)
    print(found.hex(), functions["_STARTED"][0].pid, flush=True)
    return found
functions["join_monitor"].__globals__["_started"] = started
functions["join_monitor"](Node, rank, 3)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ranks():
    """(the number of the monitor's process, three ranks); it writes where rank 0 does."""
    processes = []

    def start(rank, address=""):
        pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
        command = [sys.executable, "-c", RANK, str(rank), address]
        processes.append(subprocess.Popen(command, text=True, **pipes))
        return processes[-1].stdout.readline()

    address, number = start(0).split()
    processes[0].stdout.readline()  # it has joined
    start(1, address)
    start(2, address)
    yield int(number), processes
    for process in processes:
        with process:  # closes its pipes, and waits
            process.kill()


def test_the_first_is_named(ranks):
    number, (first, second, third) = ranks
    os.kill(number, signal.SIGSTOP)  # it is late
    for killed in (second, first, third):
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    os.kill(number, signal.SIGCONT)
    text = f"rank 1 of 3 was killed by SIGKILL, all ranks stop: process {second.pid} on "
    written = first.stderr.read()  # until the monitor has ended
    assert written.startswith(text)
    assert written.count("\n") == 1


def test_nothing_is_said_of_ranks_that_end(ranks):
    _, processes = ranks
    for each in processes:
        each.stdin.close()
        assert each.wait(10) == 0
    assert processes[0].stderr.read() == ""
