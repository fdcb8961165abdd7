"""Executors, the table of ops, and kernels that run without being compiled."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from needle.compiler import recorded_step
from tests.compiler import comparison
from tests.compiler.interpreter import interpreted_kernels
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
def interpreted() -> Iterator[None]:
    """Kernels run in plain Python, without compiling: any program takes milliseconds."""
    with interpreted_kernels():
        yield
