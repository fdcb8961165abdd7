"""Starts programs under mpiexec. A program is a file of functions `check_...`, run on all ranks."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.executable).with_name("mpiexec")  # of the mpich wheel


def run_ranks(
    ranks: int, *command: str, timeout: float = 60, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess[str]:
    """`python *command` on some ranks of one thread each.

    A test that has not ended after `timeout` seconds fails with what the program wrote until then,
    and none of its processes is left.
    """
    return ended(start_ranks(ranks, *command, env=env, **options), timeout)


def ended(process: subprocess.Popen[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """What the ranks of `start_ranks` have come to."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # mpiexec ends its ranks, which have own sessions
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        pytest.fail(f"{process.args} did not end within {timeout} s\n{out}\n{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_ranks(
    ranks: int,
    *command: str,
    env: dict[str, str] | None = None,
    launcher: Sequence[str] = (),
    **options,
) -> subprocess.Popen[str]:
    """`python *command` on some ranks, while the test goes on."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    mpiexec = str(MPIEXEC) if MPIEXEC.exists() else "mpiexec"
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",  # there may be more ranks than cores
        "PYTHONPATH": os.pathsep.join(paths),
        **(env or {}),
    }
    return subprocess.Popen(
        [mpiexec, *launcher, "-n", str(ranks), sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=variables,
        start_new_session=True,
        **options,
    )


def run_checks(programs: str, ranks: int, *arguments: str, timeout: float = 60) -> None:
    """Run all checks of `programs/{program}.py`; fail with the report of the first that fails.

    Several programs, as in "averaging,sharding", run in the same processes: starts are slow.
    """
    command = ("-m", "tests.distributed.launch", programs, *arguments)
    done = run_ranks(ranks, *command, timeout=timeout)
    if done.returncode:
        pytest.fail(f"{programs} on {ranks} ranks:\n{done.stdout}\n{done.stderr}", pytrace=False)
    assert "checks passed" in done.stdout


def main(programs: str, *names: str) -> None:
    """Run the checks of programs on this rank, those with one of `names` if any are given."""
    import importlib
    import time
    import traceback
    import warnings

    import numpy as np

    from needle import distributed

    warnings.simplefilter("error")
    modules = [
        importlib.import_module(f"tests.distributed.programs.{program}")
        for program in programs.split(",")
    ]
    checks = {
        name: check
        for module in modules
        for name, check in vars(module).items()
        if name.startswith("check_") and (not names or name in names)
    }
    for name, check in checks.items():
        np.random.seed(0)
        start = time.perf_counter()
        try:
            check()
            distributed.barrier()
        except BaseException:
            print(f"{name} failed on rank {distributed.rank()}:", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            time.sleep(0.2)  # so that other ranks can report what they found
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(1)
            os._exit(1)
        if distributed.rank() == 0:
            print(f"{name}: {time.perf_counter() - start:.2f} s", flush=True)
    if distributed.rank() == 0:
        print(f"{len(checks)} checks passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
