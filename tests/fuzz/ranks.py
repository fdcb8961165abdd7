"""Trainings on one to three ranks, of which one is killed at random moments, or told to end.

Resumed, they come to what a training comes to that is left alone, and no process is left.
"""

import functools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.distributed.launch import ROOT, run_ranks, start_ranks

from . import repeated

KILLS = 2  # of a case
LONGEST = 15  # seconds after which all ranks have ended

# every moment has an effect: statistics, momentum, a schedule, an order that is drawn
CONFIG = """
seed: 5
dataset: digits
model:
  - Flatten
  - Linear: {in_features: pixels, out_features: 32}
  - BatchNorm1d: {dim: 32}
  - Tanh
  - Linear: {in_features: 32, out_features: classes}
optimizer: {name: SGD, lr: 0.05, momentum: 0.9, weight_decay: 0.0001}
scheduler: {name: CosineAnnealingLR, per: batch, T_max: 1000}
clip_norm: 1.0
epochs: 5
batch_size: 32
shuffle: true
checkpoint: {every: 1, every_batches: 7, keep: 3}
results: out
"""


def command(folder: Path) -> list[str]:
    """The training whose results are in a folder, begun or continued."""
    config = folder.with_suffix(".yaml")
    config.write_text(CONFIG)
    script = ROOT / "examples" / "train_mnist.py"
    return [str(script), f"--config={config}", f"--set=results={folder}", "--resume"]


def outcome(folder: Path) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """The epochs and the weights that a training came to."""
    epochs = json.loads((folder / "metrics.json").read_text())["epochs"]
    with np.load(next(folder.glob("weights-*.npz"))) as archive:
        arrays = {name: archive[name] for name in archive if name != "dataset"}
    return [{**epoch, "seconds": 0.0} for epoch in epochs], arrays


@functools.cache
def undisturbed() -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """What one process comes to that nobody kills."""
    with tempfile.TemporaryDirectory() as folder:
        done = run_ranks(1, *command(Path(folder) / "whole"), timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return outcome(Path(folder) / "whole")


def check_outcome(folder: Path) -> None:
    epochs, arrays = outcome(folder)
    expected, weights = undisturbed()
    assert len(epochs) == len(expected)
    for epoch, other in zip(epochs, expected, strict=True):
        assert epoch.keys() == other.keys()
        for name, value in epoch.items():
            np.testing.assert_allclose(value, other[name], rtol=1e-6, err_msg=name)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-5, atol=1e-5, err_msg=name)


def processes_of(folder: Path) -> list[int]:
    """The ranks of the training in a folder."""
    shown = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True).stdout
    lines = [line.split(maxsplit=2) for line in shown.splitlines()]
    return [
        int(pid)
        for pid, state, args in lines
        if str(folder) in args and "python" in args.split()[0] and state[0] != "Z"
    ]


def case(rng: np.random.Generator) -> Counter[str]:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "killed"
        for _ in range(KILLS):
            ranks = int(rng.integers(1, 4))
            process = start_ranks(ranks, *command(folder))
            if rng.random() < 0.8:
                process.stdout.readline()  # from here on it trains and writes
            time.sleep(rng.uniform(0, 1.0))
            chosen = processes_of(folder)
            if process.poll() is None and chosen:
                way = signal.SIGTERM if rng.random() < 0.3 else signal.SIGKILL
                os.kill(int(rng.choice(chosen)), way)
                found["kills" if way == signal.SIGKILL else "requests to end"] += 1
                found["with a checkpoint"] += any(folder.glob("checkpoints/*.safetensors"))
            start = time.monotonic()
            _, err = process.communicate(timeout=120)
            if process.returncode == 0:
                check_outcome(folder)
                found["ended before"] += 1
                continue
            while processes_of(folder):  # the last may be ending
                assert time.monotonic() - start < LONGEST, f"processes are left\n{err}"
                time.sleep(0.1)
            found["named"] += bool(re.search(r"rank \d of \d was killed by SIGKILL", err))
        ranks = int(rng.integers(1, 4))
        done = run_ranks(ranks, *command(folder), timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        check_outcome(folder)
        found[f"resumed with {ranks} ranks"] += 1
    return found


run = repeated(case)
