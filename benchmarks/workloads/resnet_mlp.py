"""A residual perceptron with batch normalisation, dropout and Adam: small layers, all overhead."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workload import Job, Workload

DIM, HIDDEN, BLOCKS, CLASSES, BATCH = 784, 100, 3, 10, 100


@dataclass(frozen=True)
class Problem:
    """Images, labels, and the matrices of the Linear layers in order, (in, out); biases are 0.

    Checked without dropout, whose draws differ between libraries, and with an `eps` that keeps
    Adam from blowing up rounding errors of gradients that are zero.
    """

    images: np.ndarray
    labels: np.ndarray
    matrices: list[np.ndarray]
    learning_rate: float
    dropout: float
    eps: float


def problem(checking: bool) -> Problem:
    rng = np.random.default_rng(0)
    pairs = [(DIM, HIDDEN)]
    for _ in range(BLOCKS):
        pairs += [(HIDDEN, HIDDEN // 2), (HIDDEN // 2, HIDDEN)]
    pairs.append((HIDDEN, CLASSES))
    matrices = [
        rng.standard_normal(pair, np.float32) * np.float32(np.sqrt(2 / pair[0])) for pair in pairs
    ]
    images = rng.random((BATCH, DIM), np.float32)
    labels = rng.integers(CLASSES, size=BATCH)
    if checking:
        return Problem(images, labels, matrices, learning_rate=1e-3, dropout=0.0, eps=1e-3)
    return Problem(images, labels, matrices, learning_rate=1e-7, dropout=0.1, eps=1e-8)


def network(nn: Any, residual: Any, dropout: float) -> Any:
    """The network in terms of `nn`, which has the same names in both libraries."""

    def block() -> Any:
        return nn.Sequential(
            residual(
                nn.Sequential(
                    nn.Linear(HIDDEN, HIDDEN // 2),
                    nn.BatchNorm1d(HIDDEN // 2),
                    nn.ReLU(),
                    nn.Dropout(dropout),
                    nn.Linear(HIDDEN // 2, HIDDEN),
                    nn.BatchNorm1d(HIDDEN),
                )
            ),
            nn.ReLU(),
        )

    blocks = [block() for _ in range(BLOCKS)]
    return nn.Sequential(nn.Linear(DIM, HIDDEN), nn.ReLU(), *blocks, nn.Linear(HIDDEN, CLASSES))


def linear_layers(model: Any, nn: Any) -> list[Any]:
    return [module for _, module in model.named_modules() if isinstance(module, nn.Linear)]


def with_needle(problem: Problem) -> Job:
    import needle as ndl
    from needle import nn

    model = network(nn, nn.Residual, problem.dropout)
    layers = linear_layers(model, nn)
    for layer, matrix in zip(layers, problem.matrices, strict=True):
        layer.weight.data = ndl.Tensor(matrix)
        layer.bias.data = ndl.init.zeros_like(layer.bias)
    optimizer = ndl.optim.Adam(model.parameters(), lr=problem.learning_rate, eps=problem.eps)
    loss_function = nn.SoftmaxLoss()
    images = ndl.Tensor(problem.images, requires_grad=False)
    labels = ndl.Tensor(problem.labels, requires_grad=False)

    def step() -> ndl.Tensor:
        optimizer.reset_grad()
        loss = loss_function(model(images), labels)
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    return Job(step, lambda: [layer.weight.numpy() for layer in layers])


def with_torch(problem: Problem) -> Job:
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Residual(nn.Module):
        def __init__(self, fn: nn.Module) -> None:
            super().__init__()
            self.fn = fn

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fn(x) + x

    model = network(nn, Residual, problem.dropout)
    layers = linear_layers(model, nn)
    with torch.no_grad():
        for layer, matrix in zip(layers, problem.matrices, strict=True):
            layer.weight.copy_(torch.from_numpy(matrix.T))
            layer.bias.zero_()
    optimizer = torch.optim.Adam(model.parameters(), lr=problem.learning_rate, eps=problem.eps)
    images, labels = torch.tensor(problem.images), torch.tensor(problem.labels)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Job(step, lambda: [layer.weight.detach().numpy().T for layer in layers])


WORKLOAD = Workload(
    "784→100, three residual blocks with BatchNorm and Dropout 0.1, →10, batch 100, Adam",
    problem,
    {"needle": with_needle, "torch": with_torch},
    draws=True,
)
