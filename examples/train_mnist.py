"""Train a network on MNIST from a config, and write the results.

    python examples/train_mnist.py --config mlp
    python examples/train_mnist.py --config mlp --set optimizer.lr=0.1 --epochs 3 --force
    python examples/train_mnist.py --config mlp --set 'checkpoint={every: 1}' --resume
    python examples/train_mnist.py --config mlp --evaluate runs/mlp/weights-mnist.npz

`needle.training` has the loop; custom_loop.py shows one by hand. This program reads the config,
builds what it names, and writes files.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from trainer import results
from trainer.config import read
from trainer.datasets import Source, labels_of, load

import needle as ndl
from needle import Tensor, data, distributed, nn
from needle.training import (
    Checkpoints,
    Interruption,
    Trainer,
    TrainingError,
    accuracy,
    apply_weights,
    locked,
    read_weights,
    stopping_signals,
    write_weights,
)
from needle.training import (
    config as configs,
)

OnBatch = Callable[[float, int], bool]
"""Called after every batch with its mean loss and its size; returns whether to stop."""

EVALUATION_BATCH = 1000  # large, because no graph is kept
INTERRUPTED = 130  # the exit code of programs ended by Ctrl-C

# the entries of a config on which the weights depend; `epochs` only says when to stop
DECISIVE = (
    "seed", "transforms", "model", "loop", "compile", "optimizer", "scheduler", "clip_norm",
    "label_smoothing", "batch_size", "shuffle", "generator",
)  # fmt: skip


def nn_epoch(
    X: np.ndarray,
    y: np.ndarray,
    W1: Tensor,
    W2: Tensor,
    lr: float = 0.1,
    batch: int = 100,
    on_batch: OnBatch | None = None,
) -> tuple[Tensor, Tensor]:
    """One pass of gradient descent over ReLU(X·W1)·W2 with the softmax loss, without shuffling.

    Args:
        X: images, (N, pixels), float32.
        y: class numbers, (N,), integers.
        W1: (pixels, hidden); not modified.
        W2: (hidden, classes); not modified.
        lr: step size; not divided by `batch`, because the loss is already a mean.
        batch: images per step; the last batch may be smaller.
        on_batch: called after every step; see `OnBatch`.

    Returns:
        The new W1 and W2.

    Raises:
        ValueError: `batch` is less than 1, or shapes or labels do not match.
    """
    if batch < 1:
        raise ValueError(f"batch is 1 or more, got {batch}")
    if len(X) != len(y):
        raise ValueError(f"X and y have equally many rows, got {len(X)} and {len(y)}")
    W1, W2 = Tensor(W1), Tensor(W2)
    loss_function = nn.SoftmaxLoss()
    for start in range(0, len(X), batch):
        images = Tensor.make_const(X[start : start + batch])
        labels = Tensor.make_const(y[start : start + batch])
        loss = loss_function(ndl.relu(images @ W1) @ W2, labels)
        loss.backward(create_graph=False)
        W1.data = W1.data - lr * W1.grad
        W2.data = W2.data - lr * W2.grad
        if on_batch is not None and on_batch(loss.item(), len(labels)):
            break
    return W1, W2


class MnistTrainer(Trainer):
    """A Trainer of a config, whose second data are those to test with."""

    validation = "test"

    def __init__(self, config: SimpleNamespace, source: Source, batches: int, **options: Any):
        self.unit = source.unit
        words = {**source.sizes, "epochs": config.epochs, "batches": config.epochs * batches}
        with nn.init.scheme(config.init):
            model = configs.build_model(config.model, words)
        optimizer = configs.build_optimizer(config.optimizer, model.parameters())
        scheduler, per = None, "epoch"
        if config.scheduler is not None:
            per = config.scheduler.per
            scheduler = configs.build_schedule(config.scheduler, optimizer, words)
            _check_length(scheduler, per, words["epochs" if per == "epoch" else "batches"])
        loss = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
        settings = {key: configs.plain(getattr(config, key), words) for key in DECISIVE}
        checkpoints = None
        if config.checkpoint is not None:
            checkpoints = Checkpoints(Path(config.results) / "checkpoints", **config.checkpoint)
        super().__init__(
            model,
            lambda logits, labels: loss(*_rows(logits, labels)),
            optimizer,
            metrics={"accuracy": accuracy},
            scheduler=scheduler,
            scheduler_per=per,
            clip_norm=config.clip_norm,
            compile=config.compile,
            checkpoints=checkpoints,
            settings=settings,
            name=source.name,
            **options,
        )


class TwoLayerTrainer(MnistTrainer):
    """Takes its steps by `nn_epoch`."""

    def train_step(self, batch: Any) -> Tensor:
        if distributed.size() > 1:
            raise TrainingError("loop: found nn_epoch, allowed with several ranks: train_epoch")
        _, first, _, second = self.model  # Flatten, Linear, ReLU, Linear
        images, labels = (part.numpy() for part in batch)
        images, losses = images.reshape(len(images), -1), []

        def on_batch(loss: float, count: int) -> bool:
            return losses.append(loss) or True

        weights = (first.weight, second.weight)
        W1, W2 = nn_epoch(images, labels, *weights, self.optimizer.lr, len(labels), on_batch)
        first.weight.data, second.weight.data = W1, W2
        return Tensor(losses[0])


def _rows(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Those of a text, (N, T, classes) and (N, T), as rows."""
    if logits.ndim == 2:
        return logits, labels
    return logits.reshape((-1, logits.shape[-1])), labels.reshape((-1,))


def _check_length(schedule: Any, per: str, steps: int) -> None:
    limit = getattr(schedule, "total_steps", steps)
    if limit < steps:
        raise TrainingError(
            f"scheduler.total_steps: found {limit}, allowed: at least {steps}, as it takes a step "
            f"per {per}"
        )


def build(config: SimpleNamespace, source: Source, train_set: Any) -> tuple[Trainer, Any]:
    """The trainer of a config, and the loader of its training data; draws the weights."""
    size, labels = config.batch_size, labels_of(train_set)
    kind = TwoLayerTrainer if config.loop == "nn_epoch" else MnistTrainer
    trainer = kind(config, source, -(-len(train_set) // size))
    trainer.settings["dataset"] = {
        "name": source.name,
        source.unit: len(train_set),
        "checksum": zlib.crc32(labels.tobytes()),
    }
    generator = configs.build_generator(config.generator)
    loader = data.DataLoader(
        train_set, size, config.shuffle, generator=generator, num_workers=config.workers
    )
    return trainer, loader


def finish(
    config: SimpleNamespace, trainer: Trainer, epochs: list[dict[str, Any]], stopped: Interruption
) -> None:
    """Write weights, metrics and learning curve, and print a summary."""
    name, last = trainer.name, epochs[-1]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    by = f", stopped by {stopped.name}" if stopped.is_set() else ""
    outcome = (
        f"{name}: test accuracy {last['test_accuracy']:.2f} % after {len(epochs)} of "
        f"{config.epochs} epochs in {seconds:.1f} s{by}"
    )
    metrics = {
        "dataset": name,
        "config": config.name,
        **{key: last[key] for key in ("test_accuracy", "test_loss", "train_loss")},
        "seconds": seconds,
        "interrupted": stopped.is_set(),
        "epochs": epochs,
        "settings": config.stated,
    }
    folder = Path(config.results)
    weights = folder / f"weights-{name.lower()}.npz"
    curve = folder / f"learning-curve-{name.lower()}.png"

    def write() -> bool:
        write_weights(weights, trainer.model, name)
        results.write_metrics(folder / "metrics.json", metrics)
        return results.write_curve(curve, f"{config.name} on {outcome}", epochs)

    is_drawn = distributed.from_rank_0(write)
    print(outcome)
    if trainer.checkpoints is not None:
        print(f"{name} checkpoints, for --resume: {trainer.checkpoints.folder}")
    print(f"{name} weights: {weights}")
    print(f"{name} metrics: {folder / 'metrics.json'}")
    missing = "not drawn, matplotlib is missing: pip install '.[plot]'"
    print(f"{name} learning curve: {curve if is_drawn else missing}")


def run_training(config: SimpleNamespace, resume: bool, force: bool) -> int:
    """Train and write the results; returns the exit code.

    Args:
        config: what `read` gives.
        resume: continue from the newest checkpoint.
        force: replace the files of an earlier run.
    """
    if resume and config.checkpoint is None:
        raise TrainingError(
            f"--resume: {config.name} asks for no checkpoints, allowed: configs with an entry "
            "such as checkpoint: {every: 1, keep: 3}"
        )
    checkpoints = Checkpoints(Path(config.results) / "checkpoints")
    found = distributed.from_rank_0(checkpoints.files)
    if not resume:
        distributed.from_rank_0(partial(results.check_free, config.results, force, found))
    if config.checkpoint is not None:
        distributed.from_rank_0(checkpoints.check)
    ndl.manual_seed(config.seed)
    transforms = configs.build_all(config.transforms)
    parts = partial(load, config.dataset, config.offline, config.data_dir, [True, False])
    # others need not download what rank 0 has downloaded
    source, (train_set, test_set) = distributed.rank_0_first(partial(parts, transforms))
    x, _ = source.example((len(train_set) - 1) % config.batch_size + 1)
    configs.check_last_batch(config.model, source.sizes, x, source.name)
    ndl.manual_seed(config.seed)
    trainer, loader = build(config, source, train_set)
    print(
        f"{config.name}: {source.name}, {len(train_set):,} {source.unit} to train on, "
        f"{len(test_set):,} to test with; "
        f"{sum(parameter.size for parameter in trainer.model.parameters()):,} weights",
        flush=True,
    )
    if resume and not trainer.resume(config.epochs):
        distributed.from_rank_0(partial(results.check_free, config.results, force))
    elif not resume and config.checkpoint is not None and found:
        print(
            f"starting over: this run's checkpoints will replace those in "
            f"{checkpoints.folder}, from which --resume continues",
            flush=True,
        )
    with stopping_signals() as stopped:
        test_loader = data.DataLoader(test_set, EVALUATION_BATCH)
        epochs = trainer.fit(loader, test_loader, config.epochs)
        finish(config, trainer, epochs, stopped)
        return stopped.exit_code


def run_evaluation(config: SimpleNamespace, weights: str) -> int:
    """Evaluate the weights of a file on the test images; returns the exit code."""
    arrays = read_weights(weights)
    source, (test_set,) = load(config.dataset, config.offline, config.data_dir, [False])
    trainer, _ = build(config, source, test_set)
    apply_weights(weights, trainer.model, arrays)
    found = trainer.evaluate(data.DataLoader(test_set, EVALUATION_BATCH))
    print(
        f"{source.name}: test loss {found['loss']:.4f}, test accuracy {found['accuracy']:.2f} % on "
        f"{len(test_set):,} {source.unit}, with the weights of {weights}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train a network on MNIST from a config.")
    add = parser.add_argument
    add("--config", required=True, help="a YAML file: a path, or a name such as mlp or digits")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace an entry of the config, such as optimizer.lr=0.1; may be repeated",
    )
    add("--data-dir", metavar="FOLDER", help="where MNIST's files are; same as --set data_dir=...")
    add("--epochs", metavar="N", help="same as --set epochs=N")
    add("--force", action="store_true", help="replace the files of an earlier run")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--resume", action="store_true", help="continue from the newest checkpoint")
    either("--evaluate", metavar="FILE", help="do not train: evaluate the weights of an .npz file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code. A user's errors are one line on standard error."""
    try:
        distributed.rank()
    except distributed.DistributedError as error:  # without mpi4py: not several runs at once
        print(f"train_mnist: {error}", file=sys.stderr)
        return 1
    try:
        # no warnings: overflow shows in the loss, which is checked after every batch
        with distributed.output_of_rank_0(), np.errstate(all="ignore"):
            return _run(_parser().parse_args(arguments))
    except (TrainingError, OSError) as error:
        distributed.agree(f"the error {error}")
        if distributed.rank() == 0:
            print(f"train_mnist: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_mnist: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    overrides = [configs.parse_override(text) for text in options.set]
    if options.epochs is not None:
        overrides.append(configs.parse_override(f"epochs={options.epochs}"))
    if options.data_dir is not None:
        overrides.append(("data_dir", options.data_dir))
    config = read(options.config, overrides)
    if options.evaluate is not None:
        return run_evaluation(config, options.evaluate)
    with distributed.on_rank_0(locked(config.results)):
        return run_training(config, options.resume, options.force)


if __name__ == "__main__":
    sys.exit(main())
