"""wrap() under mpiexec, and with one rank."""

import pytest

from tests.distributed.launch import run_checks
from tests.distributed.programs import averaging


@pytest.mark.parametrize("ranks", [2, 3])
def test_under_mpiexec(ranks):
    run_checks("averaging,sharding", ranks)


ALONE = ["check_every_optimizer", "check_lbfgs", "check_starts_as_rank_0", "check_wrong_arguments"]


@pytest.mark.parametrize("name", ALONE)
def test_with_one_rank(name):
    getattr(averaging, name)()
