"""Compiled steps in two threads, in a process whose BLAS has as many."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

BEGIN = """
import os, threading
import numpy as np
import needle as ndl
from needle import nn
from needle.compiler.native.blas import thread_functions
from needle.compiler.native.threads import counts

x = ndl.Tensor(np.random.default_rng(0).standard_normal((6, 32, 64), np.float32))

def trained(transform, steps=3):
    np.random.seed(0)
    model = nn.LSTM(64, 64)
    optimizer = ndl.optim.Adam(model.parameters(), lr=0.01)
    def step():
        optimizer.reset_grad()
        loss = (model(x)[0] ** 2).mean()
        loss.backward(create_graph=False)
        optimizer.step()
        return loss
    step = transform(step)
    def results():
        losses = [step().numpy() for _ in range(steps)]
        return [*losses, *[each.numpy() for each in model.parameters()]]
    return step, results

def compiled(function):
    return ndl.compile(function, executor="numba")

def equal(a, b):
    return all(np.array_equal(*pair) for pair in zip(a, b, strict=True))

def workers():
    return [each.name for each in threading.enumerate() if each.name.startswith("needle kernels")]

expected = trained(lambda step: step)[1]()
step, results = trained(compiled)
found = results()
for pair in zip(found, expected, strict=True):
    np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-5)
"""

CHECKS = {
    "one thread": "assert counts().used == 1 and not workers(), workers()",
    "two threads": """
assert counts() == (2, 2) and len(workers()) == 1, workers()
assert equal(found, trained(compiled)[1]()), "not reproducible"
""",
    "side by side": """
several = [trained(compiled, 20)[1] for _ in range(3)]
got = [None] * 3
def run(i):
    got[i] = several[i]()
threads = [threading.Thread(target=run, args=(i,)) for i in range(3)]
[each.start() for each in threads]
[each.join() for each in threads]
assert equal(got[0], got[1]) and equal(got[0], got[2])
assert counts().blas == 2, "BLAS did not get its threads back"
""",
    "other number": """
from threadpoolctl import threadpool_limits
with threadpool_limits(1):
    step()
    assert step._recorded().executable._counts == (1, 1)
step()
assert step._recorded().executable._counts == (2, 2)
""",
    "fork": """
child = os.fork()
if not child:
    again = trained(compiled)[1]()
    step()
    os._exit(0 if equal(again, found) and len(workers()) == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
step()
""",
    "ctrl-c": """
from tests.interruption import interrupted
from needle.compiler.native import threads
other = trained(compiled)[0]
at = 1
while interrupted(step, at, is_inside=lambda frame: frame.f_code.co_filename == threads.__file__):
    other()
    at += 1
assert at > 10, at
""",
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_threads(name):
    if name == "fork" and not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    if name != "one thread" and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core")
    count = "1" if name == "one thread" else "2"
    script = BEGIN + CHECKS[name]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": count}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=120)
