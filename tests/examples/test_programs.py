"""The programs that people copy from, run as they would run them."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from train_mnist import read

import needle as ndl
from needle import nn
from needle.training.config import SOURCES, build_model


@pytest.fixture
def run(empty_machine, examples):
    """run(name, *arguments): the standard output of a program that ends well and silently."""

    def start(name, *arguments):
        command = [sys.executable, str(examples / name), *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    return start


def test_custom_loop_learns_the_digits(run, empty_machine):
    lines = run("custom_loop.py", "--save", "weights.safetensors").splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch 1: ")
    assert float(lines[-1].split()[2]) >= 97
    weights = ndl.load(empty_machine / "weights.safetensors")
    assert weights["hidden.weight"].shape == (64, 128)
    assert "norm.running_mean" in weights


def test_custom_loop_trains_on_mnist(run, mnist_folder, monkeypatch):
    monkeypatch.setenv("NEEDLE_DATA", str(mnist_folder))
    assert len(run("custom_loop.py", "--mnist", "--epochs", "2").splitlines()) == 2


def test_custom_loop_saves_only_when_told(run, without_safetensors, empty_machine):
    run("custom_loop.py", "--epochs", "1")
    assert [path.name for path in empty_machine.iterdir()] == ["stubs"]


def test_custom_loop_is_short(examples):
    assert len((examples / "custom_loop.py").read_text().splitlines()) < 60


def test_regression_finds_the_curve_and_stops_early(run, empty_machine):
    epochs, error, plot = run("regression.py").splitlines()
    assert int(epochs.split()[0]) < 2000
    distance = float(error.partition(": ")[2].partition(",")[0])
    assert distance < 0.1  # less than the noise of the points
    if importlib.util.find_spec("matplotlib"):
        assert plot == "plot: runs/regression/regression.png"
        png = (empty_machine / "runs/regression/regression.png").read_bytes()
        assert png.startswith(b"\x89PNG")


def test_regression_without_matplotlib(run, without_matplotlib, empty_machine):
    *_, plot = run("regression.py", "--epochs", "3", "--results", "out").splitlines()
    assert plot == "plot: not drawn, matplotlib is missing: pip install '.[plot]'"
    assert not (empty_machine / "out").exists()


def test_regression_without_epochs(examples):
    command = [sys.executable, str(examples / "regression.py"), "--epochs", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.endswith("error: --epochs is 1 or more, got 0\n")


def test_sequence_classifier_remembers(run, examples):
    *_, last = run("sequence_classifier.py", "--epochs", "4").splitlines()
    assert last.startswith("epoch 4: ")
    assert float(last.split()[2]) >= 90
    assert len((examples / "sequence_classifier.py").read_text().splitlines()) < 100


def test_forecast_is_better_than_the_naive_ones(run, examples):
    lines = run("forecast.py", "--epochs", "3").splitlines()
    value, period, network = [float(line.split()[-1]) for line in lines]
    assert network < period < value
    assert len((examples / "forecast.py").read_text().splitlines()) < 100


def residual_block(dim, hidden):
    path = nn.Sequential(
        nn.Linear(dim, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, dim),
        nn.BatchNorm1d(dim),
    )
    return nn.Sequential(nn.Residual(path), nn.ReLU())


def test_mlp_resnet_yaml_is_the_network_of_the_course():
    config = read("mlp_resnet.yaml", [])
    ndl.manual_seed(1)
    ours = build_model(config.model, SOURCES["mnist"].sizes)
    ndl.manual_seed(1)
    blocks = [residual_block(100, 50) for _ in range(3)]
    first, last = nn.Linear(784, 100), nn.Linear(100, 10)
    theirs = nn.Sequential(nn.Flatten(), first, nn.ReLU(), *blocks, last)
    images = ndl.init.rand(5, 28, 28, 1)
    # the same numbers in the same order, though not drawn in it
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data = mine.data
    np.testing.assert_array_equal(ours.eval()(images).numpy(), theirs.eval()(images).numpy())
    assert sum(parameter.size for parameter in ours.parameters()) == 110_860


@pytest.mark.usefixtures("no_curve")
@pytest.mark.parametrize("config", ["mlp_resnet.yaml", "gru.yaml"])
def test_configs_that_learn_the_digits(train, config):
    options = ("--set", "dataset=digits", "--epochs", "4")
    code, out, err = train("--config", config, *options)
    assert (code, err) == (0, "")
    accuracy = float(out.partition("Digits: test accuracy ")[2].split()[0])
    assert accuracy >= 90


def test_train_mnist_is_short(examples):
    assert len((examples / "train_mnist.py").read_text().splitlines()) <= 100
