"""All checks of the programs under mpiexec, in one start for each number of ranks."""

import pytest

from tests.distributed.launch import run_checks

PROGRAMS = ("collectives", "layers", "averaging", "sharding", "trainers")


@pytest.mark.parametrize("ranks", [2, 3])
def test_all_checks(ranks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_checks(",".join(PROGRAMS), ranks, timeout=240)
