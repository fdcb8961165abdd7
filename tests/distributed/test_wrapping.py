"""wrap() with one rank; test_under_mpiexec.py has those with several."""

import pytest

from tests.distributed.programs import averaging

ALONE = ["check_every_optimizer", "check_lbfgs", "check_starts_as_rank_0", "check_wrong_arguments"]


@pytest.mark.parametrize("name", ALONE)
def test_with_one_rank(name):
    getattr(averaging, name)()
