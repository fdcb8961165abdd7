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
functions = runpy.run_path({monitor.__file__!r}, run_name="monitor")
class Node:
    Get_rank = staticmethod(lambda: 1)
    bcast = staticmethod(lambda given: bytes.fromhex(sys.argv[1]))
functions["join_monitor"](Node, int(sys.argv[2]), 3)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ranks(capfd):
    """(the monitor, three ranks); it writes to the standard error of this process."""
    address = monitor._started(3)
    assert address is not None
    started = []
    for rank in range(3):
        command = [sys.executable, "-c", RANK, address.hex(), str(rank)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        started.append(process)
    yield monitor._STARTED.pop(), started
    for process in started:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def test_the_first_is_named(ranks, capfd):
    process, (first, second, third) = ranks
    os.kill(process.pid, signal.SIGSTOP)  # it is late
    for killed in (second, first, third):
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(10) == 0
    text = f"rank 1 of 3 was killed by SIGKILL, all ranks stop: process {second.pid} on "
    assert capfd.readouterr().err.startswith(text)


def test_nothing_is_said_of_ranks_that_end(ranks, capfd):
    process, started = ranks
    for each in started:
        each.stdin.close()
        assert each.wait(10) == 0
    assert process.wait(10) == 0
    assert capfd.readouterr().err == ""
