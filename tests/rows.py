"""Rows of a table that one test runs one after another.

A test of its own for each row would take longer to collect and report than to run.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest


class Rows(tuple[Any, ...]):
    """The value of a parameter: the test function is called once for each entry in its place."""


def parameters(cases: Iterable[Any]) -> dict[str, list[Any]]:
    """What `parametrize` takes to run a test on all rows of a table: a test for each function."""
    groups: dict[str, list[Any]] = {}
    for case in cases:
        groups.setdefault(case.name.split()[0], []).append(case)
    return {"argvalues": [Rows(group) for group in groups.values()], "ids": list(groups)}


def call_for_each_row(item: pytest.Function) -> bool:
    """Call the function of a test for each of its Rows; False if it has none.

    Each call begins with the same random state. An error says which row it is of.
    """
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    names = [name for name, value in arguments.items() if isinstance(value, Rows)]
    if not names:
        return False
    (name,) = names
    for row in arguments[name]:
        np.random.seed(0)
        try:
            item.obj(**{**arguments, name: row})
        except Exception as error:
            error.add_note(f"{name}: {row.name} of shapes {row.shapes}")
            raise
    return True
