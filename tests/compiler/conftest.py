"""Executors, the table of ops, and kernels that run without being compiled."""

from collections.abc import Callable
from typing import Any

import pytest

from needle.compiler import numba_executor, recorded_step
from needle.compiler.native import parts, threads
from tests.compiler import comparison
from tests.compiler.interpreter import Interpreter
from tests.ops import table


@pytest.fixture(params=["numpy", "numba"])
def executor(request: pytest.FixtureRequest) -> str:
    """The name of an executor, each in turn."""
    if request.param == "numba":
        pytest.importorskip("numba")
        kinds = recorded_step.EXECUTORS
        if kinds["numba"] is kinds["numpy"]:
            pytest.skip("there is no executor that uses Numba yet")
    return request.param


@pytest.fixture
def close() -> Callable[..., None]:
    """close(actual, expected): equal structures, numbers up to rounding."""
    return comparison.close


@pytest.fixture
def agree(executor: str) -> Callable[..., Any]:
    """agree(build, batches): compare a compiled step with an eager one; see `comparison.agree`."""
    return lambda build, batches, **options: comparison.agree(build, batches, executor, **options)


@pytest.fixture
def rows() -> dict[str, list[table.Case]]:
    """The rows of the table of ops by name: a list of choices of shapes."""
    rows: dict[str, list[table.Case]] = {}
    for case in table.CASES:
        rows.setdefault(case.name, []).append(case)
    return rows


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels run in plain Python, without compiling: any program takes milliseconds.

    All that can be divided is divided, for three threads.
    """
    interpreter = Interpreter()
    monkeypatch.setattr(numba_executor, "counts", lambda: threads.Counts(3, 3))
    monkeypatch.setattr(numba_executor, "team", interpreter.team)
    monkeypatch.setattr(parts, "LEAST_WORK", 1)
    monkeypatch.setattr(parts, "LEAST_PRODUCT", 1)
    monkeypatch.setattr(numba_executor, "load", interpreter.load)
    monkeypatch.setattr(numba_executor, "runner", interpreter.runner)
