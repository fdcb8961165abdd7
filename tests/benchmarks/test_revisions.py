"""Another git revision of needle is measured beside the working tree's."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import needle
from benchmarks import footprint, harness, report
from benchmarks.__main__ import main
from benchmarks.harness import Worker, run_workload
from benchmarks.revisions import Revision, check_out, compare
from benchmarks.workload import BenchmarkError, find_workloads

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments):
    identity = ["-c", "user.name=N", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits of a package `needle` that has just enough for a worker to import it."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a git hook runs tests
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "--quiet")
    package = tmp_path / "needle"
    package.mkdir()
    for version in ("old", "new"):
        (package / "__init__.py").write_text(f'VERSION = "{version}"\n')
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--message", version)
        git(tmp_path, "tag", version)
    return tmp_path


def test_revisions_are_checked_out_and_removed(repository):
    (repository / "needle" / "__init__.py").write_text("changed\n")
    with check_out(["old", "HEAD", "old"], repository) as revisions:
        assert [each.name for each in revisions] == ["needle at old", "needle at HEAD"]
        assert revisions[0].commit == git(repository, "rev-parse", "old")
        sources = [each.folder / "needle" / "__init__.py" for each in revisions]
        assert [path.read_text() for path in sources] == ['VERSION = "old"\n', 'VERSION = "new"\n']
    assert not any(path.exists() for path in sources)
    assert git(repository, "status", "--porcelain") == "M needle/__init__.py"
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("name", ["no-such-tag", "--help", ""])
def test_unknown_revisions_are_refused(repository, name):
    with (
        pytest.raises(BenchmarkError, match=re.escape(f"no commit {name!r}")),
        check_out([name], repository),
    ):
        pass


def test_a_revision_without_needle_is_refused(repository):
    git(repository, "rm", "--quiet", "-r", "needle")
    git(repository, "commit", "--quiet", "--message", "empty")
    with pytest.raises(BenchmarkError, match="no needle/ in HEAD"), check_out(["HEAD"], repository):
        pass


def test_without_git(monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", failing := Failing())
    assert main(["--workload", "tiny_ops", "--against", "old"]) == 1
    assert (
        "No report: another revision needs git, which is not installed" in capsys.readouterr().err
    )
    assert failing.command[:2] == ["git", "-C"]


class Failing:
    """Stands for `subprocess.run` on a machine without git."""

    def __call__(self, command, **options):
        self.command = command
        raise FileNotFoundError(command[0])


def test_a_worker_imports_the_revision(tmp_path):
    package = tmp_path / "needle"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this is the old needle')\n")
    revision = Revision("needle at old", "0" * 40, tmp_path)
    with (
        Worker("tiny_ops", "needle", tmp_path, 1, revision) as worker,
        pytest.raises(BenchmarkError, match=r"(?s)needle at old failed:.*this is the old needle"),
    ):
        worker.ask("measure", 1)


def test_a_folder_that_is_not_imported_from_is_an_error(tmp_path):
    revision = Revision("needle at old", "0" * 40, tmp_path)  # without a package
    with (
        Worker("tiny_ops", "needle", tmp_path, 1, revision) as worker,
        pytest.raises(BenchmarkError, match=r"needle was imported from .*, not from"),
    ):
        worker.ask("measure", 1)


def test_a_run_against_the_last_commit(tmp_path, capsys, monkeypatch):
    """The package under test, committed in a repository of its own."""
    for name in ("WARM_UP_SECONDS", "TURN_SECONDS", "PAUSE_SECONDS", "PROFILE_SECONDS"):
        monkeypatch.setattr(harness, name, 0.001)
    monkeypatch.setattr(footprint, "IMPORTS", 1)
    repository = tmp_path / "repository"
    repository.mkdir()
    copy_of_needle(repository)
    monkeypatch.setattr(check_out.__wrapped__, "__defaults__", (repository,))

    arguments = ["--workload", "tiny_ops", "--contender", "floor", "--against", "HEAD"]
    assert main([*arguments, "--rounds", "4", "--threads", "1", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["revisions"] == {"needle at HEAD": git(repository, "rev-parse", "HEAD")}
    workload = results["workloads"]["tiny_ops"]
    assert list(workload["contenders"]) == ["needle", "needle at HEAD"]
    assert workload["agreement"]["contenders"] == ["needle", "needle at HEAD"]
    assert workload["agreement"]["largest_difference"] == 0
    low, high = workload["revisions"]["needle at HEAD"]["quartiles_by_round"]
    assert 0.02 < low <= workload["revisions"]["needle at HEAD"]["ratio_by_round"] <= high < 50
    table = capsys.readouterr().out
    assert "| needle at HEAD | " in table
    assert "**needle against needle at HEAD** (" in table

    profile = ["--profile", "tiny_ops", "--against", "HEAD", "--threads", "1"]
    assert main(profile) == 0
    assert capsys.readouterr().out.count("EWiseMul.compute") == 2


def test_a_workload_that_the_revision_cannot_run(tmp_path, monkeypatch):
    for name in ("WARM_UP_SECONDS", "TURN_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(harness, name, 0.001)
    package = tmp_path / "needle"
    package.mkdir()
    (package / "__init__.py").write_text("")
    revision = Revision("needle at old", "0" * 40, tmp_path)
    workload = find_workloads()["tiny_ops"]
    result = run_workload("tiny_ops", workload, ["needle"], 1, 1, [revision])
    reason = "AttributeError: module 'needle' has no attribute 'Tensor'"
    assert result["skipped"] == {"needle at old": reason}
    assert list(result["contenders"]) == ["needle"]
    assert result["revisions"] == {}

    results = {"revisions": {"needle at old": revision.commit}, "workloads": {"tiny_ops": result}}
    row = report.revision_table("needle at old", results).splitlines()[-1]
    assert re.fullmatch(r"\| tiny_ops \| \| [\d.]+ .s \| \| \| not at old \|", row)
    assert f"Skipped needle at old: {reason}." in report.workload_table("tiny_ops", result)

    impossible = replace(workload, problem=lambda checking: None)
    with pytest.raises(BenchmarkError, match="needle failed:"):
        run_workload("tiny_ops", impossible, ["needle"], 1, 1, [revision])


def copy_of_needle(repository):
    source = Path(needle.__file__).parent
    shutil.copytree(
        source, repository / "needle", ignore=shutil.ignore_patterns("__pycache__", "*.gz")
    )
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "now")


OLD = np.array([1.0, 2.0, 4.0, 1.0, 2.0])  # the machine's load changes from round to round


@pytest.mark.parametrize(
    ("factors", "ratio", "verdict"),
    [
        ([1.0, 1.0, 1.0, 1.0, 1.0], 1.0, "within 3%"),
        ([0.8, 0.8, 0.8, 0.8, 0.8], 0.8, "within 3%"),
        ([1.0, 1.02, 1.03, 1.2, 1.2], 1.03, "within 3%"),
        ([1.04, 1.04, 1.05, 1.06, 1.0], 1.04, "slower by more than 3%"),
        ([1.0, 1.02, 1.05, 1.06, 1.06], 1.05, "not clear: measure more rounds on a quiet machine"),
    ],
)
def test_the_verdict_is_that_of_the_rounds(factors, ratio, verdict):
    comparison = compare(list(OLD * factors), list(OLD))
    assert comparison["ratio_by_round"] == pytest.approx(ratio)
    assert comparison["verdict"] == verdict
    low, high = comparison["quartiles_by_round"]
    assert low <= comparison["ratio_by_round"] <= high


def test_the_table():
    comparison = {
        "ratio_of_medians": 1.25,
        "ratio_by_round": 1.2,
        "quartiles_by_round": [1.1, 1.3],
        "verdict": "slower by more than 3%",
    }
    results = {
        "revisions": {"needle at old": "0123456789abcdef"},
        "workloads": {
            "mlp": {
                "contenders": {
                    "needle": {"median_seconds": 2.5e-3},
                    "needle at old": {"median_seconds": 2e-3},
                },
                "skipped": {},
                "revisions": {"needle at old": comparison},
            }
        },
    }
    title, _, *_, row = report.revision_table("needle at old", results).splitlines()
    assert title == "**needle against needle at old** (0123456789ab), time of a step:"
    assert row == (
        "| mlp | 2.00 ms | 2.50 ms | 1.250 | 1.200 (1.100–1.300) | slower by more than 3% |"
    )
