"""From config to files, on the digits that come with needle."""

import importlib.util
import json
import re

import numpy as np
import pytest

import needle as ndl
from needle import data, nn


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_digits_reach_95_percent_as_a_user_starts_them(finished, empty_machine):
    code, out, err = finished("--config", "digits.yaml")
    assert (code, err) == (0, "")  # no bar in a pipe
    lines = out.splitlines()
    assert len(lines) == 30 + 5
    assert all("Digits" in line for line in lines)
    assert re.fullmatch(
        r"Digits epoch 1/30  train loss \d\.\d{4}  test loss \d\.\d{4}  "
        r"test accuracy \d\d\.\d\d %  \d\.\d s",
        lines[1],
    )
    result = metrics(empty_machine / "runs/digits")
    assert result["dataset"] == "Digits"
    assert result["config"] == "digits.yaml"
    assert result["interrupted"] is False
    assert result["test_accuracy"] >= 95
    assert result["seconds"] < 10
    assert len(result["epochs"]) == 30
    assert result["epochs"][-1]["images"] == 1437
    assert f"test accuracy {result['test_accuracy']:.2f} %" in lines[-4]


def test_the_files_of_a_run(train, empty_machine):
    train("--config", "digits.yaml", "--epochs", "2", "--set", "results=here")
    names = {"weights-digits.npz", "metrics.json"}
    if importlib.util.find_spec("matplotlib"):
        names.add("learning-curve-digits.png")
        png = (empty_machine / "here/learning-curve-digits.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert b"digits.yaml on Digits" in png
    assert {path.name for path in (empty_machine / "here").iterdir()} == names
    with np.load(empty_machine / "here/weights-digits.npz", allow_pickle=False) as weights:
        assert weights["dataset"] == "Digits"
        assert {name: weights[name].shape for name in weights if name != "dataset"} == {
            "1.weight": (64, 64),
            "1.bias": (1, 64),
            "3.weight": (64, 10),
            "3.bias": (1, 10),
        }
        assert weights["1.weight"].dtype == "float32"


def test_without_matplotlib_a_line_says_what_brings_it(finished, empty_machine):
    code, out, _ = finished("--config", "digits.yaml", "--epochs", "1")
    assert code == 0
    assert out.splitlines()[-1] == (
        "Digits learning curve: not drawn, matplotlib is missing: pip install '.[plot]'"
    )
    assert not list(empty_machine.rglob("*.png"))


def test_a_run_repeats_to_the_bit_and_the_seed_changes_it(train, empty_machine):
    runs = []
    for number, seed in enumerate((3, 3, 4)):
        options = ("--set", f"seed={seed}", "--set", f"results=run{number}")
        train("--config", "digits.yaml", "--epochs", "1", *options)
        with np.load(empty_machine / f"run{number}/weights-digits.npz") as weights:
            runs.append(weights["1.weight"])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_set_and_epochs_override_entries(train, empty_machine):
    overrides = (
        "optimizer.lr=1e-3",
        "model.1.Linear.out_features=7",
        "model.3.Linear.in_features=7",
    )
    options = [part for override in overrides for part in ("--set", override)]
    code, out, _ = train("--config", "digits.yaml", "--epochs", "1", *options)
    assert code == 0
    assert "535 weights" in out
    settings = metrics(empty_machine / "runs/digits")["settings"]
    assert settings["epochs"] == 1
    assert settings["model"][1]["Linear"]["out_features"] == 7
    with np.load(empty_machine / "runs/digits/weights-digits.npz") as weights:
        ndl.manual_seed(0)
        first = ndl.nn.Linear(64, 7).weight.numpy()
        assert 0 < np.abs(weights["1.weight"] - first).max() < 0.02  # lr was small


def test_a_layer_inside_a_layer(train, empty_machine):
    (empty_machine / "residual.yaml").write_text(
        "{seed: 1, dataset: digits, epochs: 1, batch_size: 100, shuffle: true, results: out,"
        " optimizer: {name: SGD, lr: 0.1, nesterov: true, momentum: 0.9, dampening: 0}, model: "
        "[Flatten, {Residual: {fn: [{Linear: {in_features: pixels, out_features: pixels}}, Tanh]}},"
        " {Linear: {in_features: pixels, out_features: classes}}]}"
    )
    code, _, err = train("--config", "residual.yaml")
    assert (code, err) == (0, "")
    with np.load(empty_machine / "out/weights-digits.npz") as weights:
        assert "1.fn.0.weight" in weights


def test_evaluate_scores_what_training_left(train, finished, empty_machine):
    train("--config", "digits.yaml", "--epochs", "2")
    result = metrics(empty_machine / "runs/digits")
    file = "runs/digits/weights-digits.npz"
    code, out, err = finished("--config", "digits.yaml", "--evaluate", file)
    assert (code, err) == (0, "")
    assert out == (
        f"Digits: test loss {result['test_loss']:.4f}, test accuracy "
        f"{result['test_accuracy']:.2f} % on 360 images, with the weights of {file}\n"
    )


def test_needle_loads_what_training_left(train, empty_machine):
    train("--config", "digits.yaml", "--epochs", "2")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model.load_state_dict(ndl.load("runs/digits/weights-digits.npz"))
    images, labels = data.Digits(train=False)[:]
    accuracy = 100 * np.mean(model(ndl.Tensor(images)).numpy().argmax(axis=1) == labels)
    assert accuracy == metrics(empty_machine / "runs/digits")["test_accuracy"]


def test_two_layer_yaml_is_the_network_by_hand(train, empty_machine, numpy_epoch):
    code, _, err = train("--config", "two_layer.yaml", "--set", "dataset=digits", "--epochs", "2")
    assert (code, err) == (0, "")
    digits = data.Digits()
    X = digits.images.reshape(len(digits), -1)
    ndl.manual_seed(0)
    W1 = ndl.init.kaiming_uniform(64, 100).numpy()
    W2 = ndl.init.kaiming_uniform(100, 10).numpy()
    result = metrics(empty_machine / "runs/two_layer")
    for epoch in result["epochs"]:
        W1, W2, losses = numpy_epoch(X, digits.labels, W1, W2, 0.2, 100)
        mean = np.average(losses, weights=[100] * 14 + [37])
        assert epoch["train_loss"] == pytest.approx(mean, abs=1e-4)
    with np.load(empty_machine / "runs/two_layer/weights-digits.npz") as weights:
        np.testing.assert_allclose(weights["1.weight"], W1, atol=1e-4)
        np.testing.assert_allclose(weights["3.weight"], W2, atol=1e-4)


def test_mnist_from_a_folder(train, empty_machine, mnist_folder, monkeypatch):
    code, out, err = train("--config", "mlp.yaml", "--data-dir", mnist_folder, "--epochs", "1")
    assert (code, err) == (0, "")
    assert all("MNIST" in line for line in out.splitlines())
    assert "MNIST, 300 images to train on, 100 to test with; 235,146 weights" in out
    assert metrics(empty_machine / "runs/mlp")["dataset"] == "MNIST"
    assert (empty_machine / "runs/mlp/weights-mnist.npz").exists()
    monkeypatch.setenv("NEEDLE_DATA", str(mnist_folder))
    assert "MNIST, 300 images" in train("--config", "two_layer.yaml", "--epochs", "1")[1]


@pytest.mark.parametrize("config", ["mlp.yaml", "two_layer.yaml"])
def test_without_mnist_offline_digits_takes_over(train, empty_machine, config):
    code, out, _ = train("--config", config, "--epochs", "3")
    assert code == 0
    first, *others = out.splitlines()
    assert first == (
        "MNIST is neither on this machine nor downloadable: using Digits instead (offline: digits)"
    )
    assert all("Digits" in line and "MNIST" not in line for line in others)
    folder = empty_machine / "runs" / config.removesuffix(".yaml")
    assert metrics(folder)["dataset"] == "Digits"
    assert metrics(folder)["test_accuracy"] > 60
    assert (folder / "weights-digits.npz").exists()


def test_without_mnist_and_without_the_key_there_are_three_ways_out(finished, empty_machine):
    code, out, err = finished("--config", "mlp.yaml", "--set", "offline=null")
    assert (code, out) == (1, "")
    assert "MNIST" in err.splitlines()[0]
    assert "could not be downloaded" in err
    for way_out in ("--data-dir", "NEEDLE_DATA", "digits.yaml"):
        assert way_out in err
    assert "Traceback" not in err
    assert not (empty_machine / "runs").exists()


def test_a_config_is_looked_up_here_first(train, empty_machine):
    for name in ("digits.yaml", "mlp"):
        (empty_machine / name).write_text("mine: 1")
        for spelled in (name, name.removesuffix(".yaml")):
            _, _, err = train("--config", spelled)
            assert err.startswith(f"train_mnist: {name}: unknown key 'mine'")
    code, out, _ = train("--config", "two_layer.yaml", "--epochs", "1")
    assert (code, "two_layer.yaml: Digits" in out) == (0, True)


@pytest.mark.parametrize("ending", ["yaml", "yml"])
def test_the_ending_of_a_config_may_be_left_out(train, empty_machine, ending):
    code, out, _ = train("--config", "digits", "--epochs", "1")
    assert (code, out.startswith("digits.yaml: Digits")) == (0, True)
    (empty_machine / "folder").mkdir()
    (empty_machine / f"folder/mlp.v2.{ending}").write_text("mine: 1")
    assert f"mlp.v2.{ending}: unknown key 'mine'" in train("--config", "folder/mlp.v2")[2]
    code, _, err = train("--config", "digit")
    assert (code, "no config digit in the current folder" in err) == (1, True)


@pytest.mark.parametrize("scheme", ["needle", "pytorch"])
def test_initial_weights_by_a_scheme(scheme, monkeypatch, tmp_path):
    from train_mnist import build, config, read

    settings = read("digits.yaml", [("init", scheme), ("results", str(tmp_path))])
    np.random.seed(0)
    trainer = build(settings, config.SOURCES["digits"], data.Digits(train=True))
    np.random.seed(0)
    with nn.init.scheme(scheme):
        expected = nn.Linear(64, 64)
    np.testing.assert_array_equal(trainer.model[1].bias.numpy(), expected.bias.numpy())


@pytest.mark.parametrize("name", ["digits", "mlp", "mlp_resnet"])
def test_compiled_steps_train_like_eager_ones(name, train, empty_machine, no_curve):
    runs = []
    for folder in ("false-", "true-"):
        settings = [f"results={folder}", f"compile={folder[:-1]}", "dataset=digits"]
        sets = [part for each in settings for part in ("--set", each)]
        code, _, _ = train("--config", name, "--epochs", "2", *sets)
        assert code == 0
        runs.append(metrics(empty_machine / folder)["epochs"])
    for eager, compiled in zip(*runs, strict=True):
        assert compiled["train_loss"] == pytest.approx(eager["train_loss"], rel=1e-3)
        assert compiled["test_accuracy"] == pytest.approx(eager["test_accuracy"], abs=0.6)


def test_a_compiled_run_is_resumed_to_the_same_weights(train, empty_machine, no_curve):
    pytest.importorskip("safetensors")
    settings = ["compile=true", "checkpoint={every: 1}", "optimizer={name: Adam, lr: 0.01}"]
    sets = [part for each in settings for part in ("--set", each)]
    for folder, *arguments in (("a", "3"), ("b", "1"), ("b", "3", "--resume")):
        epochs = ["--epochs", *arguments, "--set", f"results={folder}"]
        assert train("--config", "digits", *sets, *epochs)[0] == 0
    with (
        np.load(empty_machine / "a/weights-digits.npz") as whole,
        np.load(empty_machine / "b/weights-digits.npz") as resumed,
    ):
        for name in whole:
            np.testing.assert_array_equal(whole[name], resumed[name])
