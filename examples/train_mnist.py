"""Train a network on MNIST as a config says, and keep the results.

    python examples/train_mnist.py --config mlp.yaml
    python examples/train_mnist.py --config mlp.yaml --set optimizer.lr=0.1 --epochs 3
    python examples/train_mnist.py --config mlp.yaml --evaluate runs/mlp/weights-mnist.npz

The three functions at the top are the training itself, to copy from; what follows reads the
config, shows progress and writes files.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
from trainer import results
from trainer.config import parse_override, read_config
from trainer.datasets import Source, load
from trainer.errors import UserError
from trainer.parts import build_model
from trainer.progress import Progress, check_finite, ctrl_c_as_event

import needle as ndl
from needle import Tensor, data, nn

OnBatch = Callable[[float, int], bool]
"""Called after every batch with its mean loss and its size; answers whether to stop there."""

EVALUATION_BATCH = 1000  # large, because nothing is kept for a backward pass
INTERRUPTED = 130  # the exit code of programs that Ctrl-C ended


def train_epoch(
    model: nn.Module,
    loader: data.DataLoader,
    loss_function: nn.Module,
    optimizer: ndl.optim.Optimizer,
    on_batch: OnBatch,
) -> None:
    """One pass over the batches of `loader`: forward, backward, step."""
    model.train()
    for images, labels in loader:
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
        W1: (pixels, hidden); left as it is.
        W2: (hidden, classes); left as it is.
        lr: step size; the loss is a mean over the batch, so that it needs no division by `batch`.
        batch: images a step; the last batch may be smaller.
        on_batch: called after every step; see `OnBatch`.

    Returns:
        The new W1 and W2.

    Raises:
        ValueError: `batch` is less than 1, or shapes or labels do not fit each other.
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


def loop(
    config: SimpleNamespace, train_set: Any, model: nn.Module, optimizer: ndl.optim.Optimizer
) -> Callable[[OnBatch], None]:
    """One epoch by the loop that the config names, as a function of `on_batch` alone."""
    if config.loop == "train_epoch":
        loader = data.DataLoader(train_set, config.batch_size, config.shuffle)
        return partial(train_epoch, model, loader, nn.SoftmaxLoss(), optimizer)

    X = train_set.images.reshape(len(train_set), -1)
    _, first, _, second = model.modules  # Flatten, Linear, ReLU, Linear

    def two_layer_epoch(on_batch: OnBatch) -> None:
        weights = (first.weight, second.weight)
        batch = config.batch_size
        W1, W2 = nn_epoch(X, train_set.labels, *weights, optimizer.lr, batch, on_batch)
        first.weight.data, second.weight.data = W1, W2

    return two_layer_epoch


def train(
    config: SimpleNamespace,
    source: Source,
    train_set: Any,
    test_set: Any,
    model: nn.Module,
    interrupted: Event,
) -> list[dict[str, Any]]:
    """Train for the epochs of the config, or until `interrupted`; what each epoch came to."""
    test_loader = data.DataLoader(test_set, EVALUATION_BATCH)
    optimizer = config.optimizer.cls(model.parameters(), **config.optimizer.arguments)
    run_epoch = loop(config, train_set, model, optimizer)
    epochs = []
    for number in range(1, config.epochs + 1):
        start = time.perf_counter()
        title = f"{source.name} epoch {number}/{config.epochs}"
        with Progress(title, len(train_set), interrupted) as progress:
            run_epoch(progress)
        optimizer.lr *= config.lr_decay
        test_loss, test_accuracy = evaluate(model, test_loader, nn.SoftmaxLoss())
        check_finite(test_loss, f"on the test images after {title}")
        epochs.append(
            {
                "epoch": number,
                "images": progress.images,
                "train_loss": progress.loss,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "seconds": time.perf_counter() - start,
            }
        )
        print(f"{title}{_cut_short(progress)}  {_numbers(epochs[-1])}", flush=True)
        if interrupted.is_set():
            break
    return epochs


def _cut_short(progress: Progress) -> str:
    is_whole = progress.images == progress.total
    return "" if is_whole else f" stopped after {progress.images:,} of {progress.total:,} images"


def _numbers(epoch: dict[str, Any]) -> str:
    return (
        f"train loss {epoch['train_loss']:.4f}  test loss {epoch['test_loss']:.4f}  "
        f"test accuracy {epoch['test_accuracy']:.2f} %  {epoch['seconds']:.1f} s"
    )


def finish(
    config: SimpleNamespace,
    source: Source,
    model: nn.Module,
    epochs: list[dict[str, Any]],
    interrupted: Event,
) -> None:
    """Write weights, metrics and learning curve, and say in a few lines what came out."""
    name, last = source.name, epochs[-1]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    stopped = ", stopped by Ctrl-C" if interrupted.is_set() else ""
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
    results.write_weights(weights, model, name)
    results.write_metrics(folder / "metrics.json", metrics)
    is_drawn = results.write_curve(curve, f"{config.name} on {outcome}", epochs)
    print(outcome)
    print(f"{name} weights: {weights}")
    print(f"{name} metrics: {folder / 'metrics.json'}")
    missing = "not drawn, matplotlib is missing: pip install '.[plot]' brings it"
    print(f"{name} learning curve: {curve if is_drawn else missing}")


def run_training(config: SimpleNamespace) -> int:
    """Train, keep the results, and give the exit code."""
    results.check_writable(config.results)
    parts = [True, False]
    source, (train_set, test_set) = load(config.dataset, config.offline, config.data_dir, parts)
    ndl.manual_seed(config.seed)
    model = build_model(config.model, source)
    print(
        f"{config.name}: {source.name}, {len(train_set):,} images to train on, "
        f"{len(test_set):,} to test with; "
        f"{sum(parameter.size for parameter in model.parameters()):,} weights",
        flush=True,
    )
    with ctrl_c_as_event() as interrupted:
        # what overflows shows in the loss, which is checked after every batch
        with np.errstate(over="ignore", invalid="ignore"):
            epochs = train(config, source, train_set, test_set, model, interrupted)
        finish(config, source, model, epochs, interrupted)
        return INTERRUPTED if interrupted.is_set() else 0


def run_evaluation(config: SimpleNamespace, weights: str) -> int:
    """Score the weights of a file on the test images, and give the exit code."""
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
    parser = argparse.ArgumentParser(description="Train a network on MNIST as a config says.")
    add = parser.add_argument
    add("--config", required=True, help="a YAML file: a path, or a name from examples/configs")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace an entry of the config, such as optimizer.lr=0.1; may be repeated",
    )
    add("--data-dir", metavar="FOLDER", help="where MNIST's files are; same as --set data_dir=...")
    add("--epochs", metavar="N", help="same as --set epochs=N")
    add("--evaluate", metavar="FILE", help="do not train: score the weights of an .npz file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the program and give its exit code; what a user did wrong is told in one line."""
    options = _parser().parse_args(arguments)
    try:
        overrides = [parse_override(text) for text in options.set]
        if options.epochs is not None:
            overrides.append(parse_override(f"epochs={options.epochs}"))
        if options.data_dir is not None:
            overrides.append(("data_dir", options.data_dir))
        config = read_config(options.config, overrides)
        if options.evaluate is not None:
            return run_evaluation(config, options.evaluate)
        return run_training(config)
    except (UserError, OSError) as error:
        print(f"train_mnist: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_mnist: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
