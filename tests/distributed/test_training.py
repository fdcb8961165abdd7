"""Trainers under mpiexec, and the program train_mnist.py as a user starts it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.distributed.launch import ROOT, run_ranks
from tests.distributed.programs import trainers
from tests.fuzz.ranks import CONFIG

SCRIPT = str(ROOT / "examples" / "train_mnist.py")


@pytest.mark.parametrize("name", [name for name in vars(trainers) if name.startswith("check_")])
def test_with_one_rank(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    getattr(trainers, name)()


def test_the_program_resumes_with_another_number_of_ranks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not drawn, to save time')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcomes = []
    for results, runs in (("one", [(1, 2)]), ("many", [(2, 1), (3, 2)])):
        for ranks, epochs in runs:
            command = [SCRIPT, "--config=run.yaml", f"--set=results={results}", "--resume"]
            command.append("--set=checkpoint={every: 1}")
            done = run_ranks(ranks, *command, f"--epochs={epochs}")
            assert (done.returncode, done.stderr) == (0, "")
        metrics = json.loads((tmp_path / results / "metrics.json").read_text())
        arrays = dict(np.load(tmp_path / results / "weights-digits.npz"))
        outcomes.append((metrics["epochs"], arrays))
        names = sorted(path.name for path in (tmp_path / results).rglob("*") if path.is_file())
    assert "continuing after 1 of 2 epochs" in done.stdout
    assert done.stdout.count("Digits epoch 2/2") == 1
    assert [name for name in names if not name.endswith("png")] == [
        "checkpoint-00000001.safetensors", "checkpoint-00000002.safetensors", "metrics.json",
        "weights-digits.npz",
    ]  # fmt: skip
    (epochs, arrays), (other_epochs, others) = outcomes
    for epoch, other in zip(epochs, other_epochs, strict=True):
        for name in ("train_loss", "test_loss", "test_accuracy"):
            np.testing.assert_allclose(epoch[name], other[name], rtol=1e-6)
    for name in arrays.keys() - {"dataset"}:
        np.testing.assert_allclose(arrays[name], others[name], 1e-5, 1e-5)


def test_an_error_of_all_ranks_is_one_line(tmp_path):
    done = run_ranks(2, SCRIPT, "--config=nothing", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("train_mnist: no config nothing") == 1
    assert done.stdout == ""


def test_without_mpi4py(tmp_path):
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / "mpi4py.py").write_text("raise ImportError('No module named mpi4py')\n")
    # what a launcher leaves in the environment
    variables = {"PMI_RANK": "1", "PMI_SIZE": "2", "PYTHONPATH": f"{stubs}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--config=digits"], capture_output=True, text=True, timeout=60,
        env={**os.environ, **variables}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "train_mnist: this is rank 1 of 2 that a launcher of MPI has started, but mpi4py cannot be "
        "imported (No module named mpi4py), so the ranks cannot reach each other: "
        'pip install "needle-dl[mpi]"\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["stubs"]
