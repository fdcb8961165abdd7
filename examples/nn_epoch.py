"""The two-layer network of the 10-714 course, ReLU(X·W1)·W2, and a Trainer that takes its steps."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor, distributed, nn
from needle.training import Trainer, TrainingError

OnBatch = Callable[[float, int], bool]
"""Called after every batch with its mean loss and its size; returns whether to stop."""


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


class TwoLayerTrainer(Trainer):
    """Takes its steps by `nn_epoch`."""

    def train_step(self, batch: Any) -> Tensor:
        if distributed.size() > 1:
            raise TrainingError("loop: found nn_epoch, allowed with several ranks: train_epoch")
        _, first, _, second = self.model  # Flatten, Linear, ReLU, Linear
        images, labels = (part.numpy() for part in batch)
        images, losses = images.reshape(len(images), -1), []
        first.weight.data, second.weight.data = nn_epoch(
            images,
            labels,
            first.weight,
            second.weight,
            lr=self.optimizer.lr,
            batch=len(labels),
            on_batch=lambda loss, count: bool(losses.append(loss)),
        )
        return Tensor(losses[0])


def check_loop(config: SimpleNamespace) -> None:
    """Raise if `nn_epoch` is to train another network than its own, or in another way."""
    if config.loop != "nn_epoch":
        return
    layers, optimizer = config.model, config.optimizer
    is_two_layer = [layer.name for layer in layers] == ["Flatten", "Linear", "ReLU", "Linear"]
    if not is_two_layer or layers[1].arguments["bias"] or layers[3].arguments["bias"]:
        raise TrainingError(
            "model: loop: nn_epoch allows only Flatten, Linear, ReLU, Linear, with bias: false"
        )
    if optimizer.name != "SGD" or any({**optimizer.arguments, "lr": None}.values()):
        raise TrainingError("optimizer: loop: nn_epoch allows only SGD with lr and nothing else")
    for key in ("compile", "shuffle", "clip_norm", "label_smoothing"):
        if getattr(config, key):
            raise TrainingError(
                f"{key}: found {getattr(config, key)}, allowed: none with loop: nn_epoch"
            )
