"""The benchmark's workloads: a compiled step trains like an eager one."""

import numpy as np
import pytest

import needle as ndl
from benchmarks.workload import find_workloads

NAMES = sorted(find_workloads().keys() - {"epoch"})  # an epoch is steps of mlp


@pytest.mark.parametrize("name", NAMES)
def test_a_workload(name, executor, close):
    workload = find_workloads()[name]
    found = []
    for is_compiled in (False, True):
        np.random.seed(0)
        job = workload.contenders["needle"](workload.problem(True))
        step = ndl.compile(job.step, executor=executor) if is_compiled else job.step
        losses = [step().item() for _ in range(3)]
        weights = [] if job.weights is None else job.weights()
        found.append((losses, weights))
    (eager, expected), (compiled, weights) = found
    np.testing.assert_allclose(compiled, eager, 1e-5)
    close(weights, expected)
