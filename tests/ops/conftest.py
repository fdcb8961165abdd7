"""Runs the tests of every op on the table of ops, which is in table/__init__.py."""

from collections.abc import Callable

import numpy as np
import pytest
from table import CASES, Case
from table import gradient_of as _gradient_of

from needle import Tensor
from tests.rows import parameters


@pytest.fixture
def gradient_of() -> Callable[[Tensor], np.ndarray]:
    """gradient_of(x): x.grad as an array, zeros where no gradient arrived."""
    return _gradient_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `case` runs on all of the table, and the others on the part they name."""
    parts = {
        "case": CASES,
        "smooth_case": [case for case in CASES if case.differentiable],
        "constant_case": [case for case in CASES if not case.differentiable],
        "integer_case": [case for case in CASES if not case.flags & {"floats", "unit"}],
    }
    for name, cases in parts.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, **parameters(cases))


@pytest.fixture
def all_cases() -> list[Case]:
    """The whole table."""
    return CASES
