"""Trainers on several ranks against what one process does."""

import signal
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle import data, distributed, nn, optim
from needle.distributed import DistributedError, SyncBatchNorm
from needle.training import Checkpoints, EarlyStopping, SaveBest, Trainer, TrainingError, accuracy

RANK, SIZE = distributed.rank(), distributed.size()


def trainer(alone=False, batch=64, verbose=False, samples=300, **options):
    """(trainer, loader, validation loader); on this rank alone it is that of one process."""
    ndl.manual_seed(3)
    digits = data.Digits()[:samples]
    train = data.DataLoader(data.NDArrayDataset(*digits), batch, shuffle=True)
    test = data.DataLoader(data.Digits(train=False), 101)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 10)
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = {"metrics": {"accuracy": accuracy}, "clip_norm": 1.0, **options}
    if alone:
        return model, train, test
    made = Trainer(model, nn.CrossEntropyLoss(), optimizer, verbose=verbose, **options)
    return made, train, test


def by_hand(epochs, batch=64, samples=300):
    """The weights after epochs of one process, and the losses and accuracies of each."""
    model, train, _ = trainer(True, batch, samples=samples)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found, loss_function = [], nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        total = 0.0
        for images, labels in train:
            optimizer.reset_grad()
            loss = loss_function(model(images), labels)
            loss.backward(create_graph=False)
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(labels)
        model.eval()
        images, labels = data.Digits(train=False)[:]
        with ndl.no_grad():
            logits = model(ndl.Tensor(images, requires_grad=False))
            labels = ndl.Tensor(labels, requires_grad=False)
            found.append((total / samples, loss_function(logits, labels).item(),
                          accuracy(logits, labels)))  # fmt: skip
    return model.state_dict(), found


def same(made, epochs, expected):
    weights, found = expected
    entries = ("train_loss", "validation_loss", "validation_accuracy")
    ours = [[epoch[name] for name in entries] for epoch in epochs]
    np.testing.assert_allclose(ours, found, rtol=2e-6)
    for name, array in made.model.state_dict().items():
        np.testing.assert_allclose(array.numpy(), weights[name].numpy(), 1e-5, 1e-5, err_msg=name)


def check_it_is_the_loop_of_one_process():
    for options in ({}, {"compile": "numpy"}):
        made, *loaders = trainer(**options)
        epochs = made.fit(*loaders, epochs=2)
        same(made, epochs, by_hand(2))
        assert [epoch["samples"] for epoch in epochs] == [300, 300]
        assert isinstance(made.model[2], SyncBatchNorm) == (SIZE > 1)


def check_a_last_batch_with_fewer_samples_than_ranks():
    made, *loaders = trainer(batch=99, samples=199 - (SIZE < 3))
    made.fit(*loaders, epochs=2)  # a last batch of one sample only with batch statistics of others
    made, *loaders = trainer(batch=149, samples=300, clip_norm=None)
    epochs = made.fit(*loaders, epochs=1)
    assert epochs[0]["samples"] == 300


def check_loaders_that_give_parts():
    made, train, test = trainer()
    part = data.DataLoader(train.dataset, 60 // SIZE, shuffle=True, shard=(RANK, SIZE))
    assert made.fit(part, test, epochs=1)[0]["samples"] == 300
    if SIZE > 1:
        with pytest.raises(TypeError, match=f"rank {RANK} of {SIZE} needs a DataLoader"):
            made.fit([next(iter(train))], epochs=2)


def check_evaluation():
    made, _, test = trainer()
    images, labels = data.Digits(train=False)[:]
    logits = made.model.eval()(ndl.Tensor(images, requires_grad=False))
    expected = accuracy(logits, ndl.Tensor(labels, requires_grad=False))
    assert made.evaluate(test)["accuracy"] == pytest.approx(expected)
    one = data.DataLoader(data.NDArrayDataset(images[:1], labels[:1]), 5)
    assert np.isfinite(made.evaluate(one)["loss"])


def check_any_rank_stops_all():
    made, *loaders = trainer(checkpoints=Checkpoints(folder("stopped"), every_batches=2))

    def on_batch_end(self, trainer, loss):
        if trainer.position.batches == 3 and not trainer.epochs and RANK == SIZE - 1:
            signal.raise_signal(signal.SIGINT)

    made.callbacks.append(type("Stop", (), {"on_batch_end": on_batch_end})())
    with ndl.training.stopping_signals() as interruption:
        epochs = made.fit(*loaders, epochs=2)
    assert interruption.name == "Ctrl-C"
    stop = 3 if SIZE == 1 else 4  # the others learn of it with the next step
    assert (len(epochs), epochs[0]["samples"]) == (1, min(64 * stop, 300))
    again, *loaders = trainer(checkpoints=made.checkpoints)
    again.callbacks.append(type("Same", (), {"on_batch_end": lambda *given: None})())
    epochs = again.fit(*loaders, epochs=2, resume=True)
    same(again, epochs, by_hand(2))


def folder(name):
    return Path(distributed.from_rank_0(Path.cwd)) / f"{name}-{SIZE}"


def check_files_are_written_once():
    best = SaveBest(folder("best") / "best.safetensors", "validation_accuracy", mode="max")
    stopping = EarlyStopping(patience=1, metric="validation_loss", restore_best=True)
    made, *loaders = trainer(checkpoints=folder("files"), callbacks=[best, stopping])
    made.fit(*loaders, epochs=3)
    distributed.barrier()
    assert len(made.checkpoints.files()) == 3
    state = ndl.load(best.path)
    assert list(state) == list(made.model.state_dict())
    weights = distributed.all_gather(made.model[1].weight.detach()).numpy()
    assert (weights == weights[0]).all()
    if SIZE > 1:
        folder("file").touch()
        made, *loaders = trainer(checkpoints=folder("file"))
        with pytest.raises(TrainingError, match="allowed: a folder that can be written"):
            made.fit(*loaders, epochs=1)  # on every rank


def check_a_rank_in_eval_mode_is_found():
    made, train, _ = trainer()
    images, labels = next(iter(train))
    made.model.train(RANK != 1)
    if SIZE > 1:
        made.model[2] = nn.Identity()  # batch normalisation would find it, too
        with pytest.raises(DistributedError, match=r"rank 1: backward.* with the model in eval"):
            made.train_step((images, labels))


def check_a_rank_with_fewer_batches_is_found():
    made, train, _ = trainer()
    batch = next(iter(train))
    if SIZE > 1:
        with pytest.raises(DistributedError, match=r"rank 1: barrier\(\)"):
            distributed.barrier() if RANK == 1 else made.train_step(batch)


def check_the_error_of_rank_0_is_raised_on_all():
    def make():
        assert RANK == 0
        raise ValueError("no space left")

    with pytest.raises(ValueError, match="no space left"):
        distributed.from_rank_0(make)
    with pytest.raises(ValueError, match="no space left"):
        distributed.rank_0_first(make)
    assert distributed.from_rank_0(lambda: RANK) == 0
    assert distributed.rank_0_first(lambda: RANK) == RANK
    distributed.agree("the same")
    if SIZE > 1:
        with pytest.raises(DistributedError, match=r"rank 1: text 1"):
            distributed.agree(f"text {RANK}")


def check_only_rank_0_is_heard():
    with distributed.output_of_rank_0():
        print(f"heard: rank {RANK}", flush=True)
