"""Each fuzz program runs a short while with a fixed seed; `python -m tests.fuzz` runs on."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import checked, programs, repeated

SECONDS = 2.0


# between a file's opening and the `with` that closes it, an interruption leaves it to the collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", programs())
def test_no_finding(name):
    if name in ("layers", "optimizers"):
        pytest.importorskip("torch")
    if name == "ranks":
        pytest.importorskip("mpi4py")
    end = time.monotonic() + SECONDS
    counts = programs()[name].run(np.random.default_rng(0), lambda: time.monotonic() >= end)
    assert sum(counts.values()) > 0


def test_findings_name_the_seed():
    def case(rng):
        assert rng.random() < 0.5, "too large"
        return {"draws": 1}

    with pytest.raises(AssertionError, match=r"too large[^$]*--case \d+") as caught:
        repeated(case)(np.random.default_rng(0), lambda: False)
    seed = int(str(caught.value).split()[-1])
    with pytest.raises(AssertionError, match="too large"):
        checked(case, seed)


def test_counts_are_added_up():
    ends = iter([False, False, True])
    counts = repeated(lambda rng: {"draws": 2})(np.random.default_rng(0), lambda: next(ends))
    assert counts == {"draws": 6, "cases": 3}


def test_command_line():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0.02", "--seed", "1"]
    ran = subprocess.run(
        [*command, "--only", "files"], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("seed 1, 0.02 minutes, programs: files\nfiles: ")
    assert ran.stdout.endswith("minutes, 0 findings\n")
