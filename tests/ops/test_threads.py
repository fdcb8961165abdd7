"""Pieces of work in several threads."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from needle.ops import columns, threads
from needle.ops.tall_products import tall_adjoint_product, tall_product
from needle.ops.threads import in_threads, scratch


@pytest.fixture(params=[1, 2, 3], autouse=True)
def count(request, monkeypatch):
    monkeypatch.setattr(threads, "_count", lambda: request.param)
    threads._pool.cache_clear()
    yield request.param
    threads._pool.cache_clear()


@pytest.mark.parametrize("pieces", [0, 1, 2, 50])
def test_results_are_in_order(pieces):
    assert in_threads(lambda piece: piece**2, range(pieces)) == [i**2 for i in range(pieces)]


def test_all_threads_work(count):
    meeting = threading.Barrier(count)
    found = in_threads(
        lambda _: meeting.wait(10) is not None and threading.get_ident(), range(count)
    )
    assert len(set(found)) == count


def test_errors_are_raised_and_the_threads_go_on():
    def fail(piece):
        if piece == 7:
            raise ValueError("the seventh")
        time.sleep(0.001)

    with pytest.raises(ValueError, match="the seventh"):
        in_threads(fail, range(20))
    assert in_threads(str, range(3)) == ["0", "1", "2"]


def test_pieces_may_have_pieces():
    def inner(piece):
        return sum(in_threads(lambda other: piece * other, range(10)))

    assert in_threads(inner, range(10)) == [45 * i for i in range(10)]


def test_the_errstate_of_the_caller_holds():
    with np.errstate(divide="raise"):
        for _ in range(5):
            with pytest.raises(FloatingPointError):
                in_threads(lambda _: np.ones(1) / np.zeros(1), range(4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    in_threads(str, range(4))
    memory = scratch("forked", np.zeros(1), (2,))
    memory[:] = 3
    child = os.fork()
    if not child:
        is_own = (memory == 3).all()
        memory[:] = 4
        is_running = in_threads(str, range(4)) == ["0", "1", "2", "3"]
        os._exit(0 if is_own and is_running else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (memory == 3).all()


def test_work_while_the_interpreter_ends(count):
    program = (
        "import atexit; from needle.ops import threads; threads._count = lambda: %d\n"
        "threads.in_threads(str, range(9))\n"
        "atexit.register(lambda: print(threads.in_threads(str, range(3))))"
    )
    run = [sys.executable, "-c", program % count]
    ended = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "['0', '1', '2']\n", ended.stderr


def test_scratch_is_the_same_memory_in_each_call_of_a_thread():
    like = np.zeros(1, "f4")
    one, two = scratch("a", like, (5, 3)), scratch("a", like, (2, 2))
    assert np.shares_memory(one, two)
    assert not np.shares_memory(one, scratch("b", like, (5, 3)))
    others = in_threads(lambda _: (threading.get_ident(), scratch("a", like, (5, 3))), range(9))
    for thread, other in others:
        assert np.shares_memory(one, other) == (thread == threading.get_ident())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rows", [1, 56, 341, 4096])
@pytest.mark.parametrize(("groups", "columns", "outputs"), [(1, 96, 32), (2, 9, 5)])
def test_products_in_stacks(dtype, rows, groups, columns, outputs):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((groups, rows, columns)).astype(dtype)
    b = rng.standard_normal((groups, columns, outputs)).astype(dtype)
    c = rng.standard_normal((groups, rows, outputs)).astype(dtype)
    tolerance = {"atol": 1e-4 if dtype == "f4" else 1e-12, "rtol": 1e-4}
    np.testing.assert_allclose(tall_product(a, b, np.empty_like(c)), a @ b, **tolerance)
    expected = a.swapaxes(1, 2) @ c
    np.testing.assert_allclose(tall_adjoint_product(a, c, columns // 3), expected, **tolerance)


def test_any_number_of_threads_normalizes_alike(monkeypatch):
    monkeypatch.setattr(columns, "_BLOCK", 2**12)
    x, g = np.random.default_rng(0).standard_normal((2, 5000, 8), "f4")
    weight = np.ones((1, 8), "f4")
    found = []
    for count in (1, 2):
        monkeypatch.setattr(threads, "_count", lambda count=count: count)
        y, *moments = columns.normalize_columns(x, weight, weight, 1e-5)
        average, _, scale = moments
        found.append(
            [y, *moments, *columns.normalize_columns_adjoint(g, x, average, scale, weight)]
        )
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
