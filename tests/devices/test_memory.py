"""Memory that arrays leave is kept for the next ones."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import needle

def steps(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        arrays = [np.zeros(500_000, np.float32) + 1 for _ in range(4)]  # 2 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

steps(5)
print(steps(20))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of glibc")
def test_freed_memory_is_used_again() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 1000  # new pages: 4,000 a step, where none are kept
