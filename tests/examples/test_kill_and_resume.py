"""Runs that are killed over and over and resumed end as one does that is left alone."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import train_mnist

KILLS = 18

# often enough for many kills to land while a checkpoint is written
OFTEN = (
    "--config=checkpointed.yaml",
    "--set=checkpoint.every_batches=3",
    "--set=epochs=16",
)


@pytest.fixture
def undisturbed(checkpointed, finished):
    """The folder of a run that nobody killed."""
    code, _, err = finished(*OFTEN, "--set=results=undisturbed")
    assert (code, err) == (0, "")
    return Path("undisturbed")


def test_killed_at_random_moments(program, finished, undisturbed, assert_same_outcome):
    rng = np.random.default_rng(0)
    landed = Counter()
    results = 0
    while landed["kills"] < KILLS:
        folder = Path(f"killed-{results}")
        process = program(*OFTEN, f"--set=results={folder}", "--resume")
        if rng.random() < 0.8:
            process.stdout.readline()  # from here on it trains and writes
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        _, err = process.communicate(timeout=120)
        assert err == ""
        if process.returncode == 0:  # it was done before
            assert_same_outcome(folder, undisturbed)
            results += 1
            continue
        assert process.returncode == -signal.SIGKILL
        landed["kills"] += 1
        landed["with a checkpoint"] += any(folder.glob("checkpoints/*.safetensors"))
    assert landed["with a checkpoint"] > KILLS / 4
    code, _, err = finished(*OFTEN, f"--set=results={folder}", "--resume")
    assert (code, err) == (0, "")
    assert_same_outcome(folder, undisturbed)


# the program kills itself before its n-th call of a function that writing a file goes through
KILLS_ITSELF = """
import os, runpy, signal, sys

name, calls = sys.argv[1], int(sys.argv[2])
original = getattr(os, name)

def counted(*arguments, **options):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(os, name, counted)
sys.argv = sys.argv[3:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# before a file is flushed; before it is moved into place; before an old one is removed
WITHIN_WRITING = [("fsync", 4), ("replace", 9), ("unlink", 2), ("replace", 1), ("fsync", 1)]


def test_killed_while_writing(finished, undisturbed, without_matplotlib, assert_same_outcome):
    folder = Path("killed")
    arguments = [train_mnist.__file__, *OFTEN, f"--set=results={folder}", "--resume"]
    leftovers = []
    for name, calls in WITHIN_WRITING:
        command = [sys.executable, "-c", KILLS_ITSELF, name, str(calls), *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (ended.returncode, ended.stderr) == (-signal.SIGKILL, "")
        leftovers.append(len(list(folder.glob("checkpoints/.*.part"))))
    assert leftovers == [1, 1, 0, 1, 1]
    code, _, err = finished(*OFTEN, f"--set=results={folder}", "--resume")
    assert (code, err) == (0, "")
    assert_same_outcome(folder, undisturbed)
    assert not list(folder.rglob("*.part"))
