"""Ctrl-C and SIGTERM, the bar, and the loops themselves."""

import io
import json
import signal

import numpy as np
import pytest
from train_mnist import config

from needle import data, nn, optim
from needle.training import Trainer, TrainingError, accuracy, stopping_signals
from needle.training.progress import Progress


@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_stopped_run_leaves_the_results_so_far(program, empty_machine, number, name, code):
    process = program("--config", "digits.yaml", "--epochs", "1000000")
    for line in process.stdout:
        if "epoch 3/" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (code, "")
    assert f"stopped by {name}" in out

    folder = empty_machine / "runs/digits"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "weights-digits.npz"]
    result = json.loads((folder / "metrics.json").read_text())
    assert result["interrupted"] is True
    assert 3 <= len(result["epochs"]) < 1000000
    with np.load(folder / "weights-digits.npz", allow_pickle=False) as weights:
        assert all(np.isfinite(weights[name]).all() for name in weights if name != "dataset")


def test_an_epoch_that_was_cut_short_says_so(train, monkeypatch):
    def pressed_after_two_batches(self, loss, count, batch=Progress.__call__):
        batch(self, loss, count)
        if self.position.samples == 64:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "__call__", pressed_after_two_batches)
    code, out, _ = train("--config", "digits.yaml")
    assert code == 130
    lines = out.splitlines()
    assert lines[1].startswith("Digits epoch 1/30 stopped after 64 of 1,437 images  train loss")
    assert "after 1 of 30 epochs" in lines[2]


def test_ctrl_c_before_training_ends_at_once(train, monkeypatch):
    def pressed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "load_data", pressed)
    assert train("--config", "digits.yaml") == (130, "", "train_mnist: interrupted\n")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(first):
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with stopping_signals() as interrupted:
        assert not interrupted.is_set()
        assert interrupted.exit_code == 0
        signal.raise_signal(first)
        assert interrupted.is_set()
        assert interrupted.exit_code == 128 + first
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in former} == former


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "is_shown"), [(Terminal, True), (io.StringIO, False)])
def test_the_bar_shows_loss_and_speed_in_a_terminal_only(monkeypatch, stream, is_shown):
    screen = stream()
    monkeypatch.setattr("sys.stderr", screen)
    with Progress("Digits epoch 1/2", 300, unit="images") as progress:
        progress.bar.mininterval = 0
        for _ in range(2):
            progress(0.5, 100)
    assert progress.position.loss == 0.5
    shown = screen.getvalue()
    assert ("Digits epoch 1/2" in shown and "loss 0.5000" in shown) is is_shown
    assert ("images/s" in shown) is is_shown
    assert bool(shown) is is_shown


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training(loss):
    with (
        Progress("Digits epoch 1/2", 300, unit="images") as progress,
        pytest.raises(
            TrainingError, match=f"loss became {loss} after 100 images of Digits epoch 1/2"
        ),
    ):
        progress(loss, 100)


def test_divergence_is_told_in_one_line(train, empty_machine):
    code, _, err = train("--config", "digits.yaml", "--set", "optimizer.lr=1e+30")
    assert code == 1
    assert err.startswith("train_mnist: the loss became ")
    assert err.count("\n") == 1
    assert not (empty_machine / "runs").exists()


def test_evaluate_weighs_batches_by_their_size():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    test_set = data.Digits(train=False)
    optimizer = optim.SGD(model.parameters())
    trainer = Trainer(model, nn.SoftmaxLoss(), optimizer, metrics={"accuracy": accuracy})
    scores = [trainer.evaluate(data.DataLoader(test_set, size)) for size in (360, 100)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    logits = test_set.images.reshape(360, 64) @ model[1].weight.numpy()
    logits += model[1].bias.numpy()
    expected = 100 * np.mean(logits.argmax(1) == test_set.labels)
    assert scores[0]["accuracy"] == pytest.approx(expected)
    assert not model.training
