"""The whole program, short: processes, check, turns, reports."""

import importlib.util
import json
import os

import pytest

from benchmarks import footprint, harness
from benchmarks.__main__ import main
from benchmarks.contenders import (
    CONTENDERS,
    KERNEL_SETTINGS,
    Contender,
    limit_threads,
    thread_settings,
)
from benchmarks.harness import BenchmarkError, Worker, run_workload
from benchmarks.workload import find_workloads


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("WARM_UP_SECONDS", "TURN_SECONDS", "PAUSE_SECONDS", "PROFILE_SECONDS"):
        monkeypatch.setattr(harness, name, 0.001)
    monkeypatch.setattr(footprint, "IMPORTS", 1)
    for name in thread_settings(1):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    for name in KERNEL_SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_a_run(tmp_path, capsys):
    arguments = "--workload tiny_ops --contender numpy --contender needle --contender floor"
    assert (
        main([*arguments.split(), "--rounds", "2", "--threads", "1", "--out", str(tmp_path)]) == 0
    )

    results = json.loads((tmp_path / "results.json").read_text())
    assert results["command"].endswith(f"{arguments} --rounds 2 --threads 1 --out {tmp_path}")
    assert results["versions"]["numpy"] == CONTENDERS["numpy"].version()
    rows = results["workloads"]["tiny_ops"]["contenders"]
    assert list(rows) == ["needle", "numpy"]
    for row in rows.values():
        low, high = row["quartiles_seconds"]
        assert 0 < min(row["samples_seconds"]) <= low <= row["median_seconds"] <= high < 1
        assert len(row["samples_seconds"]) == 2
        assert row["peak_memory_bytes"] >= row["import_memory_bytes"] > 2**20
    assert rows["needle"]["ratio_to_needle"] == 1
    assert rows["needle"]["median_seconds"] > rows["numpy"]["median_seconds"]
    assert set(results["footprint"]) == {"needle", "numpy"}

    report = (tmp_path / "report.md").read_text()
    assert report.strip() == capsys.readouterr().out.strip()
    assert "| needle | " in report
    assert "Skipped matrix products alone: this workload is not written for it." in report
    assert (tmp_path / "chart.svg").exists() == bool(importlib.util.find_spec("matplotlib"))


@pytest.mark.parametrize("keeps", [False, True])
def test_settings_that_slow_one_library_down(monkeypatch, capsys, keeps):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    arguments = "--workload tiny_ops --contender needle --rounds 1 --threads 1"
    assert main([*arguments.split(), *(["--keep-kernel-settings"] if keeps else [])]) == 0
    report = capsys.readouterr().out
    assert "`OPENBLAS_CORETYPE=Haswell`" in report
    assert ("Taken out of the environment" in report) is not keeps
    assert ("OPENBLAS_CORETYPE" in os.environ) is keeps


def test_the_profile_as_a_command(capsys):
    assert main(["--profile", "tiny_ops", "--threads", "1"]) == 0
    assert "EWiseMul.compute" in capsys.readouterr().out


def test_a_missing_library_is_skipped(monkeypatch):
    missing = Contender("Missing", "no_such_library", "no-such-library", "no-such-library")
    monkeypatch.setitem(CONTENDERS, "torch", missing)
    workload = find_workloads()["tiny_ops"]
    result = run_workload("tiny_ops", workload, ["torch", "numpy"], rounds=1, threads=1)
    assert result["skipped"] == {"torch": "not installed: pip install 'no-such-library'"}
    assert list(result["contenders"]) == ["numpy"]


def test_a_failing_contender_leaves_no_report(tmp_path):
    (tmp_path / "measured").write_bytes(b"")
    with (
        Worker("tiny_ops", "numpy", tmp_path, threads=1) as worker,
        pytest.raises(BenchmarkError, match=r"(?s)numpy failed:.*EOFError"),
    ):
        worker.ask("measure", 1)


def test_disagreement_leaves_no_report(monkeypatch, capsys):
    def disagree(checks):
        raise BenchmarkError("losses of numpy and needle differ")

    monkeypatch.setattr(harness, "check_agreement", disagree)
    assert main(["--workload", "tiny_ops", "--contender", "needle", "--contender", "numpy"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No report: losses of numpy and needle differ" in captured.err


@pytest.mark.parametrize("option", ["--rounds", "--threads"])
def test_numbers_below_one_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        main([option, "0"])
    assert "must be 1 or more, got 0" in capsys.readouterr().err


def test_threads_are_set_for_all_libraries(monkeypatch):
    settings = thread_settings(2)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    assert {settings[name] for name in names} == {"2"}
    assert "multi_thread_eigen=false" in thread_settings(1)["XLA_FLAGS"]
    given = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: given.append(cores), False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {7, 3, 5}, False)
    limit_threads("numpy", 2)
    assert given == [[3, 5]]
