"""Folders of results and configs, for models of a user's own."""

import json

import numpy as np
import pytest

import needle as ndl
from needle import data, nn
from needle.training import (
    Callback,
    EarlyStopping,
    Results,
    Trainer,
    TrainingError,
    config,
    results,
    run_program,
)


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    monkeypatch.setattr(results, "write_curve", lambda *arguments: False)


class Difference(nn.Module):
    """What number the first digit is above the second."""

    def __init__(self, width):
        super().__init__()
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Dropout(0.1))
        self.out = nn.Linear(2 * width, 1)

    def forward(self, left, right):
        return self.out(ndl.cat([self.encode(left), self.encode(right)], 1)).reshape((-1,))


def absolute_error(outputs, targets):
    return abs(outputs - targets).mean()


def same_sign(outputs, targets):
    return 100 * (outputs.sign() == targets.sign()).astype("float32").mean()


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_epoch_end(self, trainer, epoch):
        epoch["lr"] = np.float32(trainer.optimizer.lr)
        self.rates.append(trainer.optimizer.lr)

    def state_dict(self):
        return {"rates": self.rates}

    def load_state_dict(self, state):
        self.rates = state["rates"]


def loaders():
    images, labels = data.Digits()[:]
    left, right = np.random.default_rng(0).integers(len(labels), size=(2, 600))
    targets = labels[left].astype("float32") - labels[right]
    pairs = data.TensorDataset(images[left], images[right], targets)
    train, validation = data.Subset(pairs, range(500)), data.Subset(pairs, range(500, 600))
    return data.DataLoader(train, 50, shuffle=True), data.DataLoader(validation, 50)


def make_trainer(**options):
    ndl.manual_seed(0)
    model = Difference(16)
    optimizer = ndl.optim.Adam(model.parameters(), lr=0.01)
    metrics = {"absolute_error": absolute_error, "same_sign": same_sign}
    stopping = EarlyStopping(2, metric="validation_absolute_error", restore_best=True)
    trainer = Trainer(
        model, nn.MSELoss(), optimizer, metrics=metrics, callbacks=[Rates(), stopping], **options
    )
    trainer.formats = {"same_sign": "{:.1f} %"}
    return trainer


def run(folder, epochs, **ways):
    trainer = make_trainer(name="Pairs")
    with Results(folder, checkpoint={"every": 1}, **ways) as results:
        assert results.fit(trainer, *loaders(), epochs, settings={"width": 16}) == 0
    found = json.loads((folder / "metrics.json").read_text())
    return [{**epoch, "seconds": 0} for epoch in found["epochs"]], trainer


def test_a_model_with_two_inputs_and_two_metrics_is_stopped_and_resumed(tmp_path, capsys):
    pytest.importorskip("safetensors")
    epochs, whole = run(tmp_path / "whole", 40)
    assert 2 < len(epochs) < 40
    errors = [epoch["validation_absolute_error"] for epoch in epochs]
    assert min(errors) == errors[-3]
    out = capsys.readouterr().out
    assert out.startswith("Pairs: 500 samples to train on, 100 to test with; 1,073 weights\n")
    assert f"the best validation_absolute_error, {min(errors):.4f}\n" in out
    last = epochs[-1]
    assert (
        f"Pairs: validation absolute error {errors[-1]:.4f}, validation same sign "
        f"{last['validation_same_sign']:.1f} % after {len(epochs)} of 40 epochs in " in out
    )
    run(tmp_path / "parts", 3)
    resumed, trainer = run(tmp_path / "parts", 40, resume=True)
    assert resumed == epochs
    assert trainer.callbacks[0].rates == [0.01] * len(epochs)
    found = ndl.load(tmp_path / "parts/weights-pairs.npz")
    for name, tensor in whole.model.state_dict().items():
        np.testing.assert_array_equal(found[name].numpy(), tensor.numpy())
    with pytest.raises(TrainingError, match="--resume continues it, --force replaces its files"):
        run(tmp_path / "parts", 40)
    run(tmp_path / "parts", 1, force=True)


def test_without_name_metrics_and_validation(tmp_path, capsys):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, nn.MSELoss(), ndl.optim.SGD(model.parameters(), lr=0.1))
    batch = ndl.ones((4, 1)), ndl.ones((4, 1))
    with Results(tmp_path) as results:
        results.fit(trainer, [batch])
    first, *_, outcome, _, _, _ = capsys.readouterr().out.splitlines()
    assert first == "Linear: 2 weights"
    assert outcome.startswith("Linear: train loss ")
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "weights-linear.npz"}


def test_a_training_that_never_began_leaves_nothing(tmp_path):
    class Stops(Callback):
        def on_fit_start(self, trainer):
            trainer.stop()

    trainer = make_trainer(verbose=False)
    trainer.callbacks = [Stops()]
    with Results(tmp_path / "new") as results:
        assert results.fit(trainer, *loaders(), 2) == 0
    assert not list(tmp_path.iterdir())


CONFIG = """
{seed: 0, dataset: digits, epochs: 2, batch_size: 50, shuffle: true, results: out, width: 20,
 optimizer: {name: Adam, lr: 0.01}, scheduler: {name: CosineAnnealingLR, T_max: epochs}}
"""


def test_a_config_for_a_model_of_ones_own(tmp_path, capsys):
    (tmp_path / "own.yaml").write_text(CONFIG)
    schema = {**config.SCHEMA, "width": config.Entry((config.whole(1),))}
    del schema["model"]

    def settings_of(*arguments):
        def read(file, overrides):
            return config.read_training(file, overrides, schema=schema, folder=tmp_path)

        return config.command_line("A model.", read, ["--config", "own", *arguments])[0]

    settings = settings_of("--set", "width=10")
    source, (train_set,) = config.load_data(settings, True)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, settings.width), nn.Linear(10, 10))
    optimizer = config.build_optimizer(settings.optimizer, model.parameters())
    options = config.trainer_options(settings, source, train_set, optimizer)
    assert options["settings"]["width"] == 10
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, **options)
    epochs = trainer.fit(config.build_loader(settings, train_set), epochs=settings.epochs)
    assert epochs[-1]["train_loss"] < 1
    assert optimizer.lr < 1e-6
    assert run_program("own", lambda: settings_of("--set", "width=0") and 0) == 1
    assert capsys.readouterr().err == (
        "own: own.yaml: width: found 0, allowed: a whole number of at least 1\n"
    )
