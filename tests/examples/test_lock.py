"""Two runs in one folder of results: the second is refused, and the first does not notice."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from train_mnist import config

from needle.training import TrainingError, lock, locked

LONG = ("--config=digits", "--epochs=1000000")


def wait_for_training(process):
    for line in process.stdout:
        if "epoch 2/" in line:
            return


def test_a_second_run_is_refused_and_the_first_goes_on(program, finished, empty_machine):
    first = program(*LONG)
    wait_for_training(first)
    for spelled, *others in (
        ("runs/digits",),
        ("runs/digits", "--force"),
        ("runs/../runs/digits", "--set=checkpoint={every: 1}", "--resume"),
        (str(empty_machine / "runs/digits"),),
    ):
        code, out, err = finished(*LONG, f"--set=results={spelled}", *others)
        assert (code, out) == (1, "")
        assert err.startswith(
            f"train_mnist: results: {Path(spelled)} is in use by another run, process "
            f"{first.pid} on "
        )
        assert err.endswith("choose another folder\n")
        assert err.count("\n") == 1
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=120)
    assert (first.returncode, err) == (143, "")
    folder = empty_machine / "runs/digits"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "weights-digits.npz"]


def test_of_many_that_start_at_once_one_trains(program, empty_machine):
    runs = [program("--config=digits", "--epochs=20", f"--set=seed={seed}") for seed in range(4)]
    ended = [(*run.communicate(timeout=120), run.returncode) for run in runs]
    winners = [seed for seed, (_, _, code) in enumerate(ended) if code == 0]
    assert len(winners) == 1
    for out, err, code in ended:
        if code:
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert "is in use by another run" in err or "is of an earlier run" in err
    metrics = json.loads((empty_machine / "runs/digits/metrics.json").read_text())
    assert metrics["settings"]["seed"] == winners[0]


def test_a_killed_run_holds_nothing(program, train, no_curve):
    killed = program(*LONG)
    wait_for_training(killed)
    killed.kill()
    killed.communicate(timeout=120)
    assert train("--config=digits", "--epochs=1")[0] == 0
    assert not Path("runs/digits/.training.lock").exists()


def test_evaluation_needs_no_lock(train, no_curve):
    train("--config=digits", "--epochs=1")
    with locked("runs/digits"):
        weights = "runs/digits/weights-digits.npz"
        assert train("--config=digits", "--evaluate", weights)[0] == 0


def test_a_folder_that_stays_empty_is_removed(tmp_path):
    with locked(str(tmp_path / "new/results")):
        assert (tmp_path / "new/results").is_dir()
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyError), locked(str(tmp_path / "old/results")):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with locked(str(tmp_path / "old")):
        pass
    assert (tmp_path / "old").is_dir()
    with locked(str(tmp_path / "full")):
        (tmp_path / "full/metrics.json").write_text("{}")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["metrics.json"]


def test_one_at_a_time_among_many_that_come_and_go(tmp_path):
    """The file and the folder are removed while others are about to lock them."""
    holders, most, times = 0, 0, 0

    def come_and_go():
        nonlocal holders, most, times
        for _ in range(200):
            try:
                with locked(str(tmp_path / "results/of/all")):
                    holders += 1
                    most, times = max(most, holders), times + 1
                    os.stat(tmp_path)  # lets other threads run
                    holders -= 1
            except TrainingError:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (holders, most) == (0, 1)
    assert times > 100
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_system_without_locks(tmp_path, capsys, monkeypatch):
    def unsupported(file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock, "_lock", unsupported)
    with locked(str(tmp_path / "results")):
        pass
    assert capsys.readouterr().out == (
        f"{tmp_path / 'results'} cannot be locked (Operation not supported): start no other run "
        "in it\n"
    )


def test_a_full_disk_is_found_before_training(train, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock, "_reserve", full)
    monkeypatch.setattr(config, "load_data", None)
    code, out, err = train("--config=digits")
    assert (code, out) == (1, "")
    assert err.endswith("a folder that can be written (No space left on device)\n")
