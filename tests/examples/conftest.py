"""Running the trainer: inside this process, and as the program that a user starts."""

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from needle.training import results

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = EXAMPLES / "train_mnist.py"

# as Python does for a program in that folder
sys.path.insert(0, str(EXAMPLES))

# nothing answers at this address, so that a download fails at once on every machine
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")


@pytest.fixture
def examples():
    """The folder of the programs."""
    return EXAMPLES


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """The current folder is empty, MNIST is nowhere, and there is no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name, value in NO_NETWORK.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.upper(), value)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def train(empty_machine, capsys):
    """train(*arguments) runs main() here: exit code, standard output, standard error."""
    import train_mnist

    def run(*arguments):
        code = train_mnist.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def no_curve(monkeypatch):
    """Runs in this process draw nothing, which takes longer than training on the digits."""
    monkeypatch.setattr(results, "write_curve", lambda *arguments: False)


@pytest.fixture
def without_matplotlib(tmp_path, monkeypatch):
    """Programs started from here find a matplotlib that cannot be imported."""
    _hide("matplotlib", tmp_path, monkeypatch)


@pytest.fixture
def without_safetensors(tmp_path, monkeypatch):
    """Programs started from here find a safetensors that cannot be imported."""
    _hide("safetensors", tmp_path, monkeypatch)


def _hide(package, folder, monkeypatch):
    stubs = folder / "stubs"
    stubs.mkdir(exist_ok=True)
    (stubs / f"{package}.py").write_text("raise ImportError('not installed')\n")
    paths = [str(stubs), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def program(empty_machine, without_matplotlib):
    """program(*arguments) starts the trainer as a user does, its output in pipes."""

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def finished(program):
    """finished(*arguments) is `program` to its end: exit code, standard output, standard error."""

    def run(*arguments):
        process = program(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run


# a model with buffers and random masks, an optimizer and a schedule with a memory
CHECKPOINTED = """
seed: 5
dataset: digits
model:
  - Flatten
  - Linear: {in_features: pixels, out_features: 32}
  - BatchNorm1d: {dim: 32}
  - ReLU
  - Dropout: {p: 0.2}
  - Linear: {in_features: 32, out_features: classes}
optimizer: {name: Adam, amsgrad: true}
scheduler: {name: OneCycleLR, per: batch, max_lr: 0.02, total_steps: 1000}
epochs: 4
batch_size: 64
shuffle: true
checkpoint: {every: 1, keep: 3}
results: out
"""


@pytest.fixture
def checkpointed(empty_machine):
    """A config that asks for checkpoints lies in the current folder; its name."""
    (empty_machine / "checkpointed.yaml").write_text(CHECKPOINTED)
    return "checkpointed.yaml"


def _outcome(folder):
    """What a run came to: arrays by name and the rest as JSON, times left out."""
    arrays = {}
    (weights,) = folder.glob("weights-*.npz")
    with np.load(weights) as archive:
        arrays |= {name: archive[name] for name in archive if name != "dataset"}
    metrics = json.loads((folder / "metrics.json").read_text())
    epochs = [{**epoch, "seconds": None} for epoch in metrics["epochs"]]
    return arrays, epochs


def _assert_same_outcome(one, other):
    arrays, epochs = _outcome(Path(one))
    other_arrays, other_epochs = _outcome(Path(other))
    assert epochs == other_epochs
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)


@pytest.fixture
def assert_same_outcome():
    """assert_same_outcome(folder, folder): two runs came to the same, to the bit."""
    return _assert_same_outcome


@pytest.fixture
def mnist_folder(tmp_path):
    """Four files in the format of MNIST: 300 random images to train on, 100 to test with."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 100)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), 1))
    return folder


def _numpy_epoch(X, y, W1, W2, lr, batch):
    """One pass over ReLU(X·W1)·W2; gives the weights and the loss of every step."""
    losses = []
    for start in range(0, len(X), batch):
        x, labels = X[start : start + batch], y[start : start + batch]
        rows = np.arange(len(x))
        hidden = np.maximum(x @ W1, 0)
        logits = hidden @ W2
        shifted = logits - logits.max(axis=1, keepdims=True)
        probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        losses.append(-np.log(probabilities[rows, labels]).mean())
        # d loss / d logits = (softmax - one-hot) / batch
        slope = probabilities
        slope[rows, labels] -= 1
        slope /= len(x)
        slope_hidden = (slope @ W2.T) * (hidden > 0)
        W1, W2 = W1 - lr * (x.T @ slope_hidden), W2 - lr * (hidden.T @ slope)
    return W1, W2, losses


@pytest.fixture
def numpy_epoch():
    """nn_epoch by hand."""
    return _numpy_epoch
