"""The Trainer on models of a user's own: metrics, callbacks, stopping, the way back, sequences."""

import signal
import threading

import numpy as np
import pytest
from tqdm import tqdm

import needle as ndl
from needle import data, nn, optim
from needle.training import (
    Callback,
    Checkpoints,
    EarlyStopping,
    Interruption,
    Results,
    SaveBest,
    Trainer,
    TrainingError,
    accuracy,
    progress,
    stopping_signals,
)
from needle.training.metrics import samples_in


def loaders(batch=200, **options):
    train = data.DataLoader(data.Digits(), batch, shuffle=True, **options)
    return train, data.DataLoader(data.Digits(train=False), 100)


def digits_trainer(seed=0, lr=0.2, cls=Trainer, **options):
    ndl.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 10)
    )
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    options = {"metrics": {"accuracy": accuracy}, "verbose": False, **options}
    return cls(model, nn.CrossEntropyLoss(), optimizer, **options)


def weights(trainer):
    return np.concatenate([each.numpy().ravel() for each in trainer.model.parameters()])


def by_hand(epochs, lr=0.2):
    trainer = digits_trainer(lr=lr)
    model, optimizer = trainer.model, trainer.optimizer
    loader, _ = loaders()
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            optimizer.reset_grad()
            nn.CrossEntropyLoss()(model(images), labels).backward(create_graph=False)
            optimizer.step()
    return weights(trainer)


def test_it_is_the_loop_by_hand():
    trainer = digits_trainer()
    epochs = trainer.fit(*loaders(), epochs=2)
    np.testing.assert_array_equal(weights(trainer), by_hand(2))
    assert [list(epoch) for epoch in epochs] == [
        ["epoch", "samples", "train_loss", "validation_loss", "validation_accuracy", "seconds"]
    ] * 2
    assert [epoch["samples"] for epoch in epochs] == [1437] * 2


def test_compiled_it_is_the_same_to_rounding():
    trainer = digits_trainer(compile="numpy")
    trainer.fit(*loaders(), epochs=1)
    np.testing.assert_allclose(weights(trainer), by_hand(1), atol=1e-4)


def test_metrics_are_means_over_the_samples():
    def first_is_right(outputs, targets):
        return (outputs.argmax(axis=1) == targets).mean()

    def error(outputs, targets):
        return 100 - accuracy(outputs, targets)

    trainer = digits_trainer(metrics={"hits": first_is_right, "error": error})
    found = trainer.evaluate(data.DataLoader(data.Digits(train=False), 70))
    images, labels = data.Digits(train=False)[:]
    outputs = trainer.model(ndl.Tensor(images)).numpy()
    hits = np.mean(outputs.argmax(axis=1) == labels)
    assert found["hits"] == pytest.approx(hits)
    assert found["error"] == pytest.approx(100 * (1 - hits))
    assert not trainer.model.training


def test_evaluation_without_batches():
    with pytest.raises(ValueError, match="evaluate: the loader gave no batches"):
        digits_trainer().evaluate([])
    with pytest.raises(ValueError, match="fit: the loader gave no batches"):
        digits_trainer().fit([])


class Log(Callback):
    def __init__(self):
        self.events = []

    def on_fit_start(self, trainer):
        self.events.append("start")

    def on_batch_end(self, trainer, loss):
        assert isinstance(loss, float)
        self.events.append("batch")

    def on_epoch_end(self, trainer, epoch):
        self.events.append(epoch["epoch"])

    def on_fit_end(self, trainer):
        self.events.append("end")


def test_callbacks_are_objects_or_functions():
    log, seen = Log(), []
    trainer = digits_trainer(callbacks=[log, lambda trainer, epoch: seen.append(epoch)])
    epochs = trainer.fit(*loaders(800), epochs=2)
    assert log.events == ["start", "batch", "batch", 1, "batch", "batch", 2, "end"]
    assert seen == epochs


class Misspelled:
    def on_epoch_ends(self, trainer, epoch):
        pass


@pytest.mark.parametrize("callback", [Misspelled(), 3, "print"])
def test_callbacks_that_would_never_be_called(callback):
    with pytest.raises(TypeError, match="a callback is a function"):
        digits_trainer(callbacks=[callback])


def test_early_stopping_restores_the_best():
    kept = []

    def keep(trainer, epoch):
        kept.append((epoch["validation_loss"], weights(trainer)))

    stopping = EarlyStopping(patience=2, min_delta=0.01, restore_best=True)
    trainer = digits_trainer(lr=0.8, callbacks=[keep, stopping])
    epochs = trainer.fit(*loaders(), epochs=60)
    assert 3 < len(epochs) < 60
    losses = [epoch["validation_loss"] for epoch in epochs]
    best = len(losses) - 3
    assert stopping.best == losses[best]
    assert min(losses[-2:]) > losses[best] - 0.01
    np.testing.assert_array_equal(weights(trainer), kept[best][1])


def test_early_stopping_by_a_metric_that_should_grow():
    stopping = EarlyStopping(patience=1, metric="validation_accuracy", mode="max")
    trainer = digits_trainer(lr=0.0, callbacks=[stopping])
    assert len(trainer.fit(*loaders(), epochs=9)) == 2


def test_a_metric_that_is_not_there():
    trainer = digits_trainer(callbacks=[EarlyStopping(metric="val_loss")])
    with pytest.raises(ValueError, match="an epoch has no 'val_loss', but epoch, samples, train_"):
        trainer.fit(*loaders(), epochs=1)


@pytest.mark.parametrize(
    "options", [{"patience": 0}, {"mode": "least"}, {"min_delta": -1}, {"min_delta": float("nan")}]
)
def test_early_stopping_with_impossible_settings(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        EarlyStopping(**options)


def test_the_best_is_saved(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "new/best.safetensors"
    saved = SaveBest(path, "validation_accuracy", mode="max")
    trainer = digits_trainer(callbacks=[saved])
    trainer.fit(*loaders(), epochs=2)
    trainer.model.load_state_dict(ndl.load(path))
    found = trainer.evaluate(loaders()[1])
    assert found["accuracy"] == pytest.approx(saved.best)


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_in_the_middle_of_an_epoch_it_is_the_same_to_the_bit(tmp_path, workers):
    pytest.importorskip("safetensors")

    def parts():
        drawn = ndl.Generator(1)
        augmented = data.Digits(transforms=[data.RandomCrop(1, drawn)])
        train = data.DataLoader(augmented, 200, shuffle=True, num_workers=workers)
        return train, loaders()[1]

    def trainer_of(folder, *callbacks):
        trainer = digits_trainer(
            callbacks=[EarlyStopping(patience=9, restore_best=True), *callbacks],
            checkpoints=Checkpoints(tmp_path / folder, keep=2),
        )
        trainer.scheduler = optim.StepLR(trainer.optimizer, 1, gamma=0.7)
        return trainer

    class Stops(Callback):
        def on_batch_end(self, trainer, loss):
            if len(trainer.epochs) == 1 and trainer.position.batches == 3:
                trainer.stop()

    whole = trainer_of("whole", Callback())
    expected = whole.fit(*parts(), epochs=3)
    stopped = trainer_of("part", Stops()).fit(*parts(), epochs=3)
    assert [epoch["samples"] for epoch in stopped] == [1437, 600]
    again = trainer_of("part", Callback())
    epochs = again.fit(*parts(), epochs=3, resume=True)
    np.testing.assert_array_equal(weights(again), weights(whole))
    assert [{**each, "seconds": 0} for each in epochs] == [
        {**each, "seconds": 0} for each in expected
    ]
    finished = trainer_of("part", Callback())
    assert finished.fit(*parts(), epochs=3, resume=True) == epochs


def test_resume_of_another_training(tmp_path, capsys):
    pytest.importorskip("safetensors")
    options = {"checkpoints": tmp_path, "verbose": True}
    digits_trainer(settings={"width": 16}, **options).fit(*loaders(), epochs=1, resume=True)
    assert "no valid checkpoint in" in capsys.readouterr().out
    with pytest.raises(TrainingError, match="of another training: width: 16 there, 8 here"):
        digits_trainer(settings={"width": 8}, **options).fit(loaders()[0], epochs=2, resume=True)
    with pytest.raises(ValueError, match="pass checkpoints=folder"):
        digits_trainer().fit(loaders()[0], resume=True)


def pressed(trainer, loss):
    if trainer.position.batches == 2:
        signal.raise_signal(signal.SIGINT)


class Pressed(Callback):
    on_batch_end = staticmethod(pressed)


@pytest.fixture
def ctrl_c():
    """Python's own handler of Ctrl-C, which shells ignore for programs in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_program_after_the_step(tmp_path):
    pytest.importorskip("safetensors")
    trainer = digits_trainer(callbacks=[Pressed()], checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*loaders(), epochs=5)
    assert trainer.position.batches == 2
    assert len(trainer.checkpoints.files()) == 1
    trainer = digits_trainer(callbacks=[Pressed()])
    with stopping_signals() as stopped:
        (epoch,) = trainer.fit(*loaders(), epochs=5)
    assert (stopped.exit_code, epoch["samples"]) == (130, 400)


def test_in_another_thread():
    trainer, epochs = digits_trainer(), []
    thread = threading.Thread(target=lambda: epochs.extend(trainer.fit(loaders()[0])))
    thread.start()
    thread.join()
    assert len(epochs) == 1


def test_a_loss_that_is_no_number():
    with pytest.raises(TrainingError, match="loss became"), np.errstate(all="ignore"):
        digits_trainer(lr=1e30).fit(loaders()[0], epochs=2)


def test_gradients_are_clipped():
    trainer = digits_trainer(lr=1.0, clip_norm=1e-3)
    trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=1.0)
    before = weights(trainer)
    trainer.train_step(next(iter(loaders()[0])))
    assert np.linalg.norm(weights(trainer) - before) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(("per", "steps"), [("epoch", 2), ("batch", 16)])
def test_schedules(per, steps):
    trainer = digits_trainer(scheduler_per=per)
    trainer.scheduler = optim.ExponentialLR(trainer.optimizer, 0.5)
    trainer.fit(loaders()[0], epochs=2)
    assert trainer.optimizer.lr == pytest.approx(0.2 * 0.5**steps)


def test_a_plateau_of_a_metric():
    trainer = digits_trainer(lr=0.0, scheduler_metric="validation_loss")
    trainer.scheduler = optim.ReduceLROnPlateau(trainer.optimizer, patience=0)
    seen = []
    trainer.scheduler.step = seen.append
    epochs = trainer.fit(*loaders(), epochs=2)
    assert seen == [epoch["validation_loss"] for epoch in epochs]
    with pytest.raises(TrainingError, match="an epoch has no 'validation_loss'"):
        trainer.fit(loaders()[0], epochs=3)


class Tagger(nn.Module):
    """Of sequences with lengths: which symbol is the most frequent."""

    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(5, 8), nn.Linear(8, 5)

    def forward(self, tokens, lengths):
        steps = ndl.arange(tokens.shape[1])
        mask = (steps.reshape((1, -1)) < lengths.reshape((-1, 1))).astype("float32")
        x = self.embedding(tokens) * mask.reshape((*mask.shape, 1))
        return self.out(x.sum(axes=1) / lengths.reshape((-1, 1)))


class OfDicts(Trainer):
    def forward(self, batch):
        return self.model(batch["tokens"], batch["lengths"]), batch["label"]


def test_sequences_with_lengths_in_tuples_and_dicts():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 400)
    labels = rng.integers(0, 5, 400)
    tokens = np.where(rng.random((400, 8)) < 0.8, labels[:, None], rng.integers(0, 5, (400, 8)))
    tuples = data.DataLoader(data.TensorDataset(tokens, lengths.astype("float32"), labels), 40)
    dicts = [dict(zip(("tokens", "lengths", "label"), batch, strict=True)) for batch in tuples]
    results = []
    for cls, batches in ((Trainer, tuples), (OfDicts, dicts)):
        ndl.manual_seed(0)
        model = Tagger()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        loss = nn.CrossEntropyLoss()
        trainer = cls(model, loss, optimizer, metrics={"accuracy": accuracy}, verbose=False)
        results.append(trainer.fit(batches, batches, epochs=5))
        assert results[-1][-1]["validation_accuracy"] > 90
    plain = [[{**epoch, "seconds": 0} for epoch in epochs] for epochs in results]
    assert plain[0] == plain[1]


def test_the_lines(capsys):
    trainer = digits_trainer(verbose=True, name="Digits")
    trainer.fit(*loaders(), epochs=1)
    out, err = capsys.readouterr()
    assert out.startswith("Digits epoch 1/1  train loss ")
    assert "validation accuracy" in out
    assert " %  " in out
    assert err == ""


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 1437),
        ({"drop_last": True}, 1400),
        ({"shuffle": False, "sampler": data.RandomSampler(range(1437), True, 300)}, 300),
        ({"shuffle": False, "batch": 1, "batch_sampler": [[1, 2], [3]]}, 3),
        ({"shuffle": False, "sampler": map(int, range(150))}, None),
    ],
)
def test_the_bar_ends_with_the_samples_of_an_epoch(options, total, monkeypatch):
    totals = []

    def bar(total, **options):
        totals.append(total)
        return tqdm(disable=True)

    monkeypatch.setattr(progress, "tqdm", bar)
    options = {"batch": 100, "shuffle": True, **options}
    train = data.DataLoader(data.Digits(), options.pop("batch"), **options)
    (epoch,) = digits_trainer().fit(train, epochs=1)
    assert totals == [total]
    assert epoch["samples"] == (total or 150)


def test_a_loader_that_only_has_a_dataset():
    batches = [(ndl.rand(4, 8, 8, 1), ndl.Tensor(np.arange(4), requires_grad=False))]
    assert samples_in(batches) is None

    class Loader:
        dataset = range(4)

    assert samples_in(Loader()) == 4


def test_a_signal_of_one_process_counts_once_all_know_of_it():
    interruption = Interruption()
    flags = interruption.flags()
    interruption.received = signal.SIGTERM  # after the others were told that there is none
    interruption.note(flags)
    assert (interruption.is_set(), interruption.is_agreed) == (True, False)
    interruption.note(interruption.flags())
    assert (interruption.name, interruption.is_agreed) == ("SIGTERM", True)
    other = Interruption()
    other.note(interruption.flags())
    assert (other.name, other.is_agreed) == ("SIGTERM", True)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: EarlyStopping(3, mode="max"), "EarlyStopping(patience=3, mode='max', best=None)"),
        (lambda: SaveBest("best.safetensors"), "SaveBest(path='best.safetensors', best=None)"),
        (lambda: Checkpoints("runs", keep=2), "Checkpoints(folder='runs', keep=2)"),
        (
            lambda: Results("runs", force=True, checkpoint={"every": 2}),
            "Results(folder='runs', force=True, "
            "checkpoints=Checkpoints(folder='runs/checkpoints', every=2))",
        ),
        (Interruption, "Interruption()"),
        (digits_trainer, "Trainer(Sequential, CrossEntropyLoss, SGD; 0 epochs)"),
    ],
)
def test_repr_names_what_was_chosen(made, expected):
    assert repr(made()) == expected
