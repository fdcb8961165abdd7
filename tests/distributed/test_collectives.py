"""Collectives with one rank; test_under_mpiexec.py has those with several."""

import pytest

from tests.distributed.programs import collectives

ALONE = [
    name
    for name in vars(collectives)
    if name.startswith("check_")
    and "disagree" not in name
    and "messages" not in name
    and "parts" not in name
]


@pytest.mark.parametrize("name", ALONE)
def test_with_one_rank(name):
    getattr(collectives, name)()
