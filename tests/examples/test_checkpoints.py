"""Checkpoints: what a resumed run takes over, what it passes over, and what it refuses."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle.training import checkpoints
from needle.training.progress import Progress

pytestmark = pytest.mark.usefixtures("no_curve")


def files(folder="out"):
    return sorted(path.name for path in Path(folder, "checkpoints").iterdir())


def numbered(*numbers):
    return [f"checkpoint-{number:08}.safetensors" for number in numbers]


# optimizers, schedules and loops with memories of different kinds
TRAININGS = {
    "momentum, a step per epoch": (
        "optimizer={name: SGD, lr: 0.1, momentum: 0.9}",
        "scheduler={name: StepLR, step_size: 1, gamma: 0.5}",
    ),
    "a plateau": (
        "optimizer={name: RMSprop, lr: 0.003, centered: true}",
        "scheduler={name: ReduceLROnPlateau, patience: 0, threshold: 1, factor: 0.5}",
    ),
    "one schedule after another": (
        "optimizer={name: AdamW, betas: [0.8, 0.99]}",
        "scheduler={name: SequentialLR, per: batch, milestones: [30], schedulers: ["
        "{name: LinearLR, total_iters: 30}, {name: CosineAnnealingLR, T_max: 62}]}",
    ),
    "one cycle": (),
    "no schedule, no shuffling": ("scheduler=null", "shuffle=false", "optimizer={name: Lion}"),
    "generators": ("generator=3", "model.4.Dropout.generator=7"),
    "nn_epoch": (
        "model=[Flatten, {Linear: {in_features: pixels, out_features: 20, bias: false}}, ReLU, "
        "{Linear: {in_features: 20, out_features: classes, bias: false}}]",
        "loop=nn_epoch",
        "shuffle=false",
        "optimizer={name: SGD, lr: 0.2}",
        "scheduler={name: ExponentialLR, gamma: 0.7}",
    ),
}


@pytest.fixture(params=TRAININGS.values(), ids=TRAININGS)
def options(request, checkpointed):
    """A way to train, in four epochs."""
    return (f"--config={checkpointed}", *(f"--set={change}" for change in request.param))


def test_a_run_in_two_parts_is_the_run_in_one(train, options, assert_same_outcome):
    assert train(*options, "--set=results=whole")[0] == 0
    assert train(*options, "--epochs=2")[0] == 0
    code, out, err = train(*options, "--resume")
    assert (code, err) == (0, "")
    file = f"out/checkpoints/{numbered(2)[0]}"
    assert f"continuing after 2 of 4 epochs, from {file}\n" in out
    assert "epoch 2/4" not in out
    assert_same_outcome("out", "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_an_epoch(
    train, options, assert_same_outcome, monkeypatch, number
):
    assert train(*options, "--set=results=whole")[0] == 0

    def pressed_after_seven_batches(self, loss, count, batch=Progress.__call__):
        batch(self, loss, count)
        if self.title == "Digits epoch 2/4" and self.position.batches == 7:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "__call__", pressed_after_seven_batches)
        code, out, _ = train(*options)
    assert code == 128 + number
    assert "Digits epoch 2/4 stopped after 448 of 1,437 images" in out
    assert "Digits checkpoints, for --resume: out/checkpoints" in out
    code, out, err = train(*options, "--resume")
    assert (code, err) == (0, "")
    assert "continuing after 1 of 4 epochs and 448 images of the next, from out/" in out
    assert_same_outcome("out", "whole")


def test_a_finished_run_has_nothing_left_to_do(train, checkpointed, assert_same_outcome):
    train("--config", checkpointed, "--set=results=whole")
    train("--config", checkpointed)
    Path("out/metrics.json").unlink()
    code, out, _ = train("--config", checkpointed, "--resume")
    assert code == 0
    assert "continuing after 4 of 4 epochs" in out
    assert "epoch 4/4" not in out
    assert_same_outcome("out", "whole")
    assert files() == numbered(2, 3, 4)


@pytest.mark.parametrize(
    ("checkpoint", "left"),
    [
        ("{}", (2, 3, 4)),
        ("{keep: 1}", (4,)),
        ("{keep: 10}", (1, 2, 3, 4)),
        ("{every: 3}", (1, 2)),  # after epoch 3, and the end
        ("{every: 100}", (1,)),
        ("{every_batches: 10, keep: 4}", (9, 10, 11, 12)),  # 23 batches an epoch
    ],
)
def test_how_many_there_are(train, checkpointed, checkpoint, left):
    assert train("--config", checkpointed, f"--set=checkpoint={checkpoint}")[0] == 0
    assert files() == numbered(*left)


def test_none_without_the_key(train, checkpointed, empty_machine):
    code, out, _ = train("--config", checkpointed, "--set=checkpoint=null")
    assert code == 0
    assert "checkpoint" not in out.removeprefix("checkpointed.yaml")
    assert not (empty_machine / "out/checkpoints").exists()


def test_a_run_that_starts_anew_says_so_and_keeps_the_former_ones_until_it_has_its_own(
    train, checkpointed, monkeypatch
):
    train("--config", checkpointed)
    seen = []

    def watched(self, state, save=ndl.save):
        seen.append(files())
        save(self, state)

    monkeypatch.setattr(checkpoints, "save", watched)
    code, out, _ = train("--config", checkpointed, "--set=seed=6", "--force")
    assert code == 0
    assert "starting over: this run's checkpoints will replace those in out/checkpoints" in out
    assert seen[:2] == [numbered(2, 3, 4), numbered(5)]
    assert files() == numbered(6, 7, 8)


def test_without_any_a_resumed_run_starts_at_the_beginning(
    train, checkpointed, assert_same_outcome
):
    train("--config", checkpointed, "--set=results=whole")
    code, out, err = train("--config", checkpointed, "--resume")
    assert (code, err) == (0, "")
    assert "no valid checkpoint in out/checkpoints: starting from the beginning\n" in out
    assert_same_outcome("out", "whole")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a flipped bit": flip_a_bit,
    "text": lambda path: path.write_text("weights"),
    "another content": lambda path: ndl.save({"model": {}}, path),
    "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "another library's": lambda path: path.write_bytes(b"\x02\0\0\0\0\0\0\0{}"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_reported_and_the_one_before_is_used(
    train, checkpointed, assert_same_outcome, damage
):
    train("--config", checkpointed, "--set=results=whole")
    train("--config", checkpointed, "--epochs", "3")
    newest, before = (Path("out/checkpoints") / name for name in numbered(3, 2))
    damage(newest)
    code, out, err = train("--config", checkpointed, "--resume")
    assert (code, err) == (0, "")
    report, continued = out.splitlines()[1:3]
    assert report.startswith("skipped: ")
    assert f"'{newest}'" in report
    assert continued == f"continuing after 2 of 4 epochs, from {before}"
    assert_same_outcome("out", "whole")
    assert files() == numbered(2, 4, 5)


def test_all_damaged(train, checkpointed):
    train("--config", checkpointed)
    for name in files():
        Path("out/checkpoints", name).write_text("")
    code, _, err = train("--config", checkpointed, "--resume")
    assert code == 1
    assert err.startswith("train_mnist: results: out/metrics.json is of an earlier run: --force")
    code, out, _ = train("--config", checkpointed, "--resume", "--force")
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()[1:5]] == [
        *["skipped"] * 3,
        "no valid checkpoint in out/checkpoints",
    ]


def test_what_killed_runs_left_is_removed(train, checkpointed):
    train("--config", checkpointed, "--epochs", "1")
    left = [
        Path("out/checkpoints/.checkpoint-00000002.safetensors.0123.part"),
        Path("out/.metrics.json.0123.part"),
    ]
    others = [Path("out/.mine.part"), Path("out/checkpoints/notes.txt")]
    for path in (*left, *others):
        path.write_text("half")
    assert train("--config", checkpointed, "--resume")[0] == 0
    assert [path.exists() for path in (*left, *others)] == [False, False, True, True]


REFUSED = [
    ("seed=6", "seed: 5 there, 6 here"),
    ("batch_size=32", "batch_size: 64 there, 32 here"),
    ("shuffle=false", "shuffle: True there, False here"),
    ("generator=3", "generator: nothing there, 3 here"),
    ("optimizer.amsgrad=false", "optimizer.amsgrad: True there, False here"),
    ("optimizer.lr=0.5", "optimizer.lr: 0.01 there, 0.5 here"),
    ("scheduler.max_lr=0.03", "scheduler.max_lr: 0.02 there, 0.03 here"),
    ("scheduler.per=epoch", "scheduler.per: 'batch' there, 'epoch' here"),
    ("model.4.Dropout.p=0.3", "model.4.Dropout.p: 0.2 there, 0.3 here"),
    ("model.4.Dropout.generator=7", "model.4.Dropout.generator: nothing there, 7 here"),
    ("model.3=Tanh", "model.3.ReLU: {} there, nothing here; model.3.Tanh: nothing there, {} here"),
]


@pytest.mark.parametrize(("change", "difference"), REFUSED, ids=[change for change, _ in REFUSED])
def test_another_training_is_refused(train, checkpointed, change, difference):
    train("--config", checkpointed, "--epochs", "1")
    before = files()
    code, _, err = train("--config", checkpointed, "--resume", "--set", change)
    file = f"out/checkpoints/{numbered(1)[0]}"
    assert code == 1
    assert err == f"train_mnist: resume: {file} is of another training: {difference}\n"
    assert files() == before


def test_a_wholly_different_model_is_refused_in_one_readable_line(train, checkpointed):
    train("--config", checkpointed, "--epochs", "1")
    change = "model=[Flatten, {Linear: {in_features: pixels, out_features: classes}}]"
    code, _, err = train("--config", checkpointed, "--resume", "--set", change)
    assert code == 1
    assert err.endswith(" more\n")
    assert err.count("\n") == 1
    assert len(err) < 500


def test_the_dataset_that_was_really_used_counts(train, checkpointed, mnist_folder):
    options = ("--config", checkpointed, "--set=dataset=mnist", "--set=offline=digits")
    train(*options, "--epochs", "1")
    code, _, err = train(*options, "--resume", "--data-dir", mnist_folder)
    assert code == 1
    assert "dataset.name: 'Digits' there, 'MNIST' here; dataset.images: 1437 there, 300" in err
    code, out, _ = train(*options, "--resume", "--epochs", "2")
    assert (code, "continuing after 1 of 2 epochs" in out) == (0, True)


def test_fewer_epochs_than_there_were(train, checkpointed):
    train("--config", checkpointed, "--epochs", "3")
    code, _, err = train("--config", checkpointed, "--resume", "--epochs", "2")
    assert code == 1
    assert err.startswith("train_mnist: epochs: found 2, allowed: at least 3, the epochs that out/")


def test_words_of_the_length_tie_a_training_to_it(train, checkpointed):
    options = ("--config", checkpointed, "--set=scheduler.total_steps=batches")
    train(*options, "--epochs", "1")
    code, _, err = train(*options, "--resume")
    assert code == 1
    assert "scheduler.total_steps: 23 there, 92 here" in err


def test_resume_needs_the_key(train):
    code, out, err = train("--config", "digits.yaml", "--resume")
    assert (code, out) == (1, "")
    assert err.startswith("train_mnist: --resume: digits.yaml asks for no checkpoints, allowed: ")


def test_resume_or_evaluate(train, checkpointed, capsys):
    with pytest.raises(SystemExit):
        train("--config", checkpointed, "--resume", "--evaluate", "weights.npz")
    assert "not allowed with argument" in capsys.readouterr().err


def test_without_safetensors_a_line_says_what_brings_it(
    without_safetensors, finished, checkpointed
):
    code, out, err = finished("--config", checkpointed)
    assert (code, out) == (1, "")
    assert err == (
        "train_mnist: checkpoints need the package safetensors: pip install 'needle-dl[save]'\n"
    )
    code, _, err = finished("--config", checkpointed, "--set=checkpoint=null", "--epochs=1")
    assert (code, err) == (0, "")


def test_a_folder_that_cannot_be_made(train, checkpointed):
    Path("out").mkdir()
    Path("out/checkpoints").write_text("")
    code, out, err = train("--config", checkpointed)
    assert (code, out) == (1, "")
    assert err.startswith("train_mnist: results: found 'out/checkpoints', allowed: a folder that")


def test_a_full_disk_ends_the_run_in_one_line(train, checkpointed, monkeypatch):
    def full(state, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save", full)
    code, _, err = train("--config", checkpointed)
    assert code == 1
    file = f"out/checkpoints/{numbered(1)[0]}"
    assert err == f"train_mnist: {file}: cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("checkpoint=3", "checkpoint: found 3, allowed: a mapping of every (epochs), "),
        ("checkpoint.every=0", "checkpoint.every: found 0, allowed: a whole number of at least 1"),
        ("checkpoint.keep=0", "checkpoint.keep: found 0, allowed: a whole number of at least 1"),
        ("checkpoint.each=2", "checkpoint: unknown key 'each', allowed: every, every_batches, k"),
    ],
)
def test_entries_that_are_not_allowed(train, checkpointed, change, text):
    code, out, err = train("--config", checkpointed, "--set", change)
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: {checkpointed}: {text}")


def test_weights_hold_the_buffers_too(train, checkpointed):
    _, out, _ = train("--config", checkpointed)
    with np.load("out/weights-digits.npz") as weights:
        assert "2.running_mean" in weights
    scored = train("--config", checkpointed, "--evaluate", "out/weights-digits.npz")[1]
    accuracy = out.partition("Digits: test accuracy ")[2].partition(" %")[0]
    assert f"test accuracy {accuracy} %" in scored


@pytest.mark.parametrize(("size", "code"), [(4, 1), (5, 0)])
def test_a_last_batch_of_a_single_image(train, checkpointed, size, code):
    # 1437 = 359·4 + 1: batch normalisation has nothing to normalise with
    options = ("--epochs=1", f"--set=batch_size={size}")
    ended, _, err = train("--config", checkpointed, *options)
    assert ended == code
    text = "train_mnist: batch_size: the last batch of an epoch on Digits has a size of 1, too few"
    assert err.startswith(text) is (code == 1)


def test_the_order_of_the_images_comes_from_the_generator_of_the_config(
    train, checkpointed, assert_same_outcome
):
    for folder, seed in (("one", 3), ("two", 3), ("other", 4), ("none", "null")):
        options = (f"--set=results={folder}", f"--set=generator={seed}", "--epochs=1")
        assert train(f"--config={checkpointed}", *options)[0] == 0
    assert_same_outcome("one", "two")
    for folder in ("other", "none"):
        with pytest.raises(AssertionError):
            assert_same_outcome("one", folder)


@pytest.mark.parametrize("seed", ["-1", "1.5", "true", "text"])
def test_a_generator_takes_a_seed(train, seed):
    code, _, err = train("--config", "digits.yaml", f"--set=generator={seed}")
    assert code == 1
    assert "generator: found" in err
    assert "allowed: a seed for a Generator, a whole number of at least 0 or null" in err
