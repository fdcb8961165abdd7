"""The folder of results: what is in it is kept, and one that cannot be written is found at once."""

import builtins
import os
import subprocess
import sys
from pathlib import Path

import pytest
import train_mnist

pytestmark = pytest.mark.usefixtures("no_curve")

DIGITS = ("--config", "digits", "--epochs", "1")


def content(folder="runs/digits"):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """nothing_is_loaded() is called once the runs that may load data are over."""

    def refuse(*arguments):
        raise AssertionError("data was loaded before the folder was checked")

    return lambda: monkeypatch.setattr(train_mnist.config, "load_data", refuse)


@pytest.mark.parametrize("left", ["metrics.json", "weights-digits.npz", "learning-curve-x.png"])
def test_a_finished_run_is_kept(train, nothing_is_loaded, left):
    train(*DIGITS)
    Path("runs/digits/learning-curve-x.png").write_text("")
    for name in content():
        if name != left:
            Path("runs/digits", name).unlink()
    before = content()
    nothing_is_loaded()
    code, out, err = train(*DIGITS, "--set=seed=1")
    assert (code, out) == (1, "")
    assert err == (
        f"train_mnist: results: runs/digits/{left} is of an earlier run: --force replaces its "
        "files, --set results=FOLDER keeps them\n"
    )
    assert content() == before


def test_force_replaces_it_and_another_folder_keeps_it(train):
    train(*DIGITS)
    before = content()
    assert train(*DIGITS, "--set=seed=1", "--set=results=other")[0] == 0
    assert content() == before
    assert train(*DIGITS, "--set=seed=1", "--force")[0] == 0
    assert content().keys() == before.keys()
    assert content()["weights-digits.npz"] == content("other")["weights-digits.npz"]


def test_a_tilde_is_the_home_folder(train, empty_machine, mnist_folder):
    folders = ("--set=results=~/out", "--data-dir=~/mnist")
    assert train("--config=mlp", "--epochs=1", *folders)[0] == 0
    assert (empty_machine / "out/weights-mnist.npz").exists()
    assert not Path("~").exists()


def test_a_run_that_was_killed_is_resumed_or_replaced(train, checkpointed):
    train("--config", checkpointed, "--epochs", "1")
    for name in ("metrics.json", "weights-digits.npz"):
        Path("out", name).unlink()
    before = content("out")
    code, out, err = train("--config", checkpointed)
    assert (code, out) == (1, "")
    assert err == (
        "train_mnist: results: out/checkpoints/checkpoint-00000001.safetensors is of an earlier "
        "run: --resume continues it, --force replaces its files, --set results=FOLDER keeps them\n"
    )
    assert content("out") == before
    assert train("--config", checkpointed, "--resume")[0] == 0
    assert train("--config", checkpointed, "--force")[0] == 0


def test_resume_without_checkpoints_keeps_a_finished_run(train, checkpointed):
    train("--config", checkpointed, "--set=checkpoint=null")
    before = content("out")
    code, _, err = train("--config", checkpointed, "--resume")
    assert code == 1
    assert err.startswith("train_mnist: results: out/metrics.json is of an earlier run: --force ")
    assert content("out") == before


def a_file(folder):
    folder.write_text("")


def a_link_to_nowhere(folder):
    folder.symlink_to("nowhere/at/all")


def a_link_to_itself(folder):
    folder.symlink_to(folder.name)


def a_folder_as_metrics(folder):
    (folder / "metrics.json").mkdir(parents=True)


def a_folder_as_lock(folder):
    (folder / ".training.lock").mkdir(parents=True)


UNWRITABLE = [a_file, a_link_to_nowhere, a_link_to_itself, a_folder_as_metrics, a_folder_as_lock]


@pytest.mark.parametrize("results", ["taken", "taken/run"])
@pytest.mark.parametrize("make", UNWRITABLE)
def test_where_nothing_can_be_written(train, empty_machine, nothing_is_loaded, make, results):
    if "run" in results and make in (a_folder_as_metrics, a_folder_as_lock):
        (empty_machine / "taken").mkdir()
        make(empty_machine / "taken/run")
    else:
        make(empty_machine / "taken")
    before = sorted(empty_machine.rglob("*"))
    nothing_is_loaded()
    code, out, err = train(*DIGITS, f"--set=results={results}", "--force")
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: results: found '{results}', allowed: a folder ")
    assert err.count("\n") == 1
    assert sorted(empty_machine.rglob("*")) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has no /proc")
@pytest.mark.parametrize("results", ["/proc/results", "x" * 300])
def test_where_the_system_allows_no_folder(train, nothing_is_loaded, results):
    nothing_is_loaded()
    code, out, err = train(*DIGITS, f"--set=results={results}")
    assert (code, out) == (1, "")
    assert err.startswith("train_mnist: results: found '")
    assert err.count("\n") == 1


def test_a_folder_without_permission(train, empty_machine, nothing_is_loaded, monkeypatch):
    def denied(path, *arguments, open=builtins.open, **options):
        if Path(path).parent.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", denied)
    nothing_is_loaded()
    code, out, err = train(*DIGITS, "--set=results=new/locked")
    assert (code, out) == (1, "")
    assert err == (
        "train_mnist: results: found 'new/locked', allowed: a folder that can be written "
        "(Permission denied)\n"
    )
    assert not (empty_machine / "new").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="has no permissions of this kind")
@pytest.mark.parametrize("mode", [0o555, 0o666])
def test_a_folder_that_belongs_to_others(empty_machine, mode):
    (empty_machine / "locked").mkdir()
    (empty_machine / "locked").chmod(mode)
    empty_machine.chmod(0o777)
    text = (
        "import os, sys; sys.path[:0] = sys.argv[1:]; import train_mnist\n"
        "train_mnist.ndl.manual_seed(0)\n"  # imports what only root may read here
        "os.geteuid() or os.setuid(65534)\n"  # root may write everywhere
        "sys.exit(train_mnist.main(['--config', 'digits', '--set=results=locked']))"
    )
    folders = [
        str(Path(train_mnist.__file__).parent),
        str(Path(train_mnist.ndl.__file__).parents[1]),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", text, *folders], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "train_mnist: results: found 'locked', allowed: a folder that can be written "
        "(Permission denied)\n"
    )
