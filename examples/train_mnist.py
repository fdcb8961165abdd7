"""Train a network on MNIST from a config, and write the results.

    python examples/train_mnist.py --config mlp
    python examples/train_mnist.py --config mlp --set optimizer.lr=0.1 --epochs 3 --force
    python examples/train_mnist.py --config mlp --set 'checkpoint={every: 1}' --resume
    python examples/train_mnist.py --config mlp --evaluate runs/mlp/weights-mnist.npz

The three functions at the top are the training itself, to copy from. The rest reads the config,
shows progress and writes files.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from trainer import results
from trainer.checkpoints import Checkpoints, check_can_be_saved
from trainer.config import parse_override, read_config
from trainer.datasets import load
from trainer.errors import UserError
from trainer.lock import locked
from trainer.parts import build_model, check_last_batch
from trainer.progress import Interruption, Progress, check_finite, stopping_signals
from trainer.run import Run

import needle as ndl
from needle import Tensor, data, nn

OnBatch = Callable[[float, int], bool]
"""Called after every batch with its mean loss and its size; returns whether to stop."""

EVALUATION_BATCH = 1000  # large, because no graph is kept
INTERRUPTED = 130  # the exit code of programs ended by Ctrl-C


def train_epoch(
    model: nn.Module,
    batches: Iterable[data.Batch],
    loss_function: nn.Module,
    optimizer: ndl.optim.Optimizer,
    on_batch: OnBatch,
) -> None:
    """One pass over the batches of a loader: forward, backward, step."""
    model.train()
    for images, labels in batches:
        optimizer.reset_grad()
        loss = loss_function(model(images), labels)
        loss.backward(create_graph=False)
        optimizer.step()
        if on_batch(loss.item(), len(labels)):
            break


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


def evaluate(
    model: nn.Module, loader: data.DataLoader, loss_function: nn.Module
) -> tuple[float, float]:
    """The mean loss over all images of `loader`, and the accuracy in percent."""
    model.eval()
    count = correct = 0
    total_loss = 0.0
    with ndl.no_grad():
        for images, labels in loader:
            logits = model(images)
            count += len(labels)
            total_loss += loss_function(logits, labels).item() * len(labels)
            correct += (logits.argmax(axis=1) == labels).sum().item()
    return total_loss / count, 100 * correct / count


def loop(config: SimpleNamespace, train_set: Any, run: Run) -> Callable[[OnBatch], None]:
    """The rest of an epoch, by the loop that the config names, as a function of `on_batch`."""
    model, optimizer = run.model, run.optimizer
    if config.loop == "train_epoch":
        size, shuffle = config.batch_size, config.shuffle
        loader = data.DataLoader(train_set, size, shuffle, generator=run.generator)

        def rest_of_epoch(on_batch: OnBatch) -> None:
            train_epoch(model, run.batches(loader), nn.SoftmaxLoss(), optimizer, on_batch)

        return rest_of_epoch

    X = train_set.images.reshape(len(train_set), -1)
    _, first, _, second = model.modules  # Flatten, Linear, ReLU, Linear

    def rest_of_two_layer_epoch(on_batch: OnBatch) -> None:
        done = run.position.images
        weights = (first.weight, second.weight)
        left = (X[done:], train_set.labels[done:])
        W1, W2 = nn_epoch(*left, *weights, optimizer.lr, config.batch_size, on_batch)
        first.weight.data, second.weight.data = W1, W2

    return rest_of_two_layer_epoch


def train(
    config: SimpleNamespace, run: Run, train_set: Any, test_set: Any, interrupted: Interruption
) -> None:
    """Train for the remaining epochs of the config, or until `interrupted`."""
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH)
    rest_of_epoch = loop(config, train_set, run)
    for number in range(len(run.epochs) + 1, config.epochs + 1):
        title = f"{run.source.name} epoch {number}/{config.epochs}"
        with Progress(title, len(train_set), interrupted, run.position) as progress:
            rest_of_epoch(partial(run.after_batch, progress))
        is_cut_short = progress.images < len(train_set)
        if is_cut_short:
            run.save()
        test_loss, test_accuracy = evaluate(run.model, test_loader, nn.SoftmaxLoss())
        check_finite(test_loss, f"on the test images after {title}")
        epoch = {
            "epoch": number,
            "images": progress.images,
            "train_loss": progress.loss,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "seconds": progress.seconds,
        }
        print(f"{title}{_cut_short(progress)}  {_numbers(epoch)}", flush=True)
        if is_cut_short:
            run.epochs.append(epoch)
        else:
            run.after_epoch(epoch, number == config.epochs or interrupted.is_set())
        if interrupted.is_set():
            break


def _cut_short(progress: Progress) -> str:
    is_whole = progress.images == progress.total
    return "" if is_whole else f" stopped after {progress.images:,} of {progress.total:,} images"


def _numbers(epoch: dict[str, Any]) -> str:
    return (
        f"train loss {epoch['train_loss']:.4f}  test loss {epoch['test_loss']:.4f}  "
        f"test accuracy {epoch['test_accuracy']:.2f} %  {epoch['seconds']:.1f} s"
    )


def finish(config: SimpleNamespace, run: Run, interrupted: Interruption) -> None:
    """Write weights, metrics and learning curve, and print a summary."""
    name, epochs, last = run.source.name, run.epochs, run.epochs[-1]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    stopped = f", stopped by {interrupted.name}" if interrupted.is_set() else ""
    outcome = (
        f"{name}: test accuracy {last['test_accuracy']:.2f} % after {len(epochs)} of "
        f"{config.epochs} epochs in {seconds:.1f} s{stopped}"
    )
    metrics = {
        "dataset": name,
        "config": config.name,
        "test_accuracy": last["test_accuracy"],
        "test_loss": last["test_loss"],
        "train_loss": last["train_loss"],
        "seconds": seconds,
        "interrupted": interrupted.is_set(),
        "epochs": epochs,
        "settings": config.stated,
    }
    folder = Path(config.results)
    weights = folder / f"weights-{name.lower()}.npz"
    curve = folder / f"learning-curve-{name.lower()}.png"
    results.write_weights(weights, run.model, name)
    results.write_metrics(folder / "metrics.json", metrics)
    is_drawn = results.write_curve(curve, f"{config.name} on {outcome}", epochs)
    print(outcome)
    if run.checkpoints is not None:
        print(f"{name} checkpoints, for --resume: {run.checkpoints.folder}")
    print(f"{name} weights: {weights}")
    print(f"{name} metrics: {folder / 'metrics.json'}")
    missing = "not drawn, matplotlib is missing: pip install '.[plot]'"
    print(f"{name} learning curve: {curve if is_drawn else missing}")


def run_training(config: SimpleNamespace, resume: bool, force: bool) -> int:
    """Train and write the results; returns the exit code.

    Args:
        config: what `read_config` gives.
        resume: continue from the newest checkpoint.
        force: replace the files of an earlier run.
    """
    if resume and config.checkpoint is None:
        raise UserError(
            f"--resume: {config.name} asks for no checkpoints, allowed: configs with an entry "
            "such as checkpoint: {every: 1, keep: 3}"
        )
    if not resume:
        results.check_free(config.results, force, Checkpoints(config.results, keep=1).files())
    if config.checkpoint is not None:
        check_can_be_saved(config.results)
    parts = [True, False]
    source, (train_set, test_set) = load(config.dataset, config.offline, config.data_dir, parts)
    check_last_batch(config.model, source, (len(train_set) - 1) % config.batch_size + 1)
    ndl.manual_seed(config.seed)
    run = Run(config, source, train_set)
    print(
        f"{config.name}: {source.name}, {len(train_set):,} images to train on, "
        f"{len(test_set):,} to test with; "
        f"{sum(parameter.size for parameter in run.model.parameters()):,} weights",
        flush=True,
    )
    if resume:
        run.resume(force)
    elif run.checkpoints is not None and run.checkpoints.files():
        print(
            f"starting over: this run's checkpoints will replace those in "
            f"{run.checkpoints.folder}, from which --resume continues",
            flush=True,
        )
    with stopping_signals() as interrupted:
        train(config, run, train_set, test_set, interrupted)
        finish(config, run, interrupted)
        return interrupted.exit_code


def run_evaluation(config: SimpleNamespace, weights: str) -> int:
    """Evaluate the weights of a file on the test images; returns the exit code."""
    arrays = results.read_weights(weights)
    source, (test_set,) = load(config.dataset, config.offline, config.data_dir, [False])
    model = build_model(config.model, source)
    results.apply_weights(weights, model, arrays)
    loader = data.DataLoader(test_set, EVALUATION_BATCH)
    loss, accuracy = evaluate(model, loader, nn.SoftmaxLoss())
    print(
        f"{source.name}: test loss {loss:.4f}, test accuracy {accuracy:.2f} % on "
        f"{len(test_set):,} images, with the weights of {weights}"
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
    options = _parser().parse_args(arguments)
    try:
        # no warnings: overflow shows in the loss, which is checked after every batch
        with np.errstate(all="ignore"):
            return _run(options)
    except (UserError, OSError) as error:
        print(f"train_mnist: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_mnist: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    overrides = [parse_override(text) for text in options.set]
    if options.epochs is not None:
        overrides.append(parse_override(f"epochs={options.epochs}"))
    if options.data_dir is not None:
        overrides.append(("data_dir", options.data_dir))
    config = read_config(options.config, overrides)
    if options.evaluate is not None:
        return run_evaluation(config, options.evaluate)
    with locked(config.results):
        return run_training(config, options.resume, options.force)


if __name__ == "__main__":
    sys.exit(main())
