"""Collectives under mpiexec, and with one rank."""

import pytest

from tests.distributed.launch import run_checks
from tests.distributed.programs import collectives


@pytest.mark.parametrize("ranks", [2, 3])
def test_under_mpiexec(ranks):
    run_checks("collectives", ranks)


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
