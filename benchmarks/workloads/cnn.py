"""A convolutional network: most of its time goes into convolutions and passes over images."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workload import Job, Transform, Workload, as_it_is

CHANNELS, LAYERS, SIZE, CLASSES = 32, 5, 32, 10


@dataclass(frozen=True)
class Problem:
    """Images, labels, and the weights of the convolutions and of the last layer, (out, in, ...)."""

    images: np.ndarray
    labels: np.ndarray
    kernels: list[np.ndarray]
    matrix: np.ndarray
    learning_rate: float
    eps: float


def problem(checking: bool) -> Problem:
    """Checked in float64: ReLUs of many pixels turn rounding errors of float32 into other steps."""
    rng = np.random.default_rng(0)
    batch = 8 if checking else 64
    channels = [3] + [CHANNELS] * LAYERS
    kernels = [
        rng.standard_normal((outputs, inputs, 3, 3), np.float32)
        * np.float32((2 / 9 / inputs) ** 0.5)
        for inputs, outputs in pairwise(channels)
    ]
    matrix = rng.standard_normal((CLASSES, CHANNELS), np.float32) * np.float32(0.1)
    images = rng.standard_normal((batch, 3, SIZE, SIZE), np.float32)
    labels = rng.integers(CLASSES, size=batch)
    if checking:
        images, matrix, *kernels = [each.astype(np.float64) for each in (images, matrix, *kernels)]
        return Problem(images, labels, kernels, matrix, learning_rate=1e-3, eps=1e-3)
    return Problem(images, labels, kernels, matrix, learning_rate=1e-7, eps=1e-8)


def network(nn: Any) -> Any:
    """The network in terms of `nn`, which has the same names in both libraries."""
    channels = [3] + [CHANNELS] * LAYERS
    layers = []
    for inputs, outputs in pairwise(channels):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
        ]  # fmt: skip
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CLASSES)]
    return nn.Sequential(*layers, *head)


def layers_of(model: Any, nn: Any) -> list[Any]:
    kinds = nn.Conv2d, nn.Linear
    return [module for _, module in model.named_modules() if isinstance(module, kinds)]


def with_needle(problem: Problem, transform: Transform = as_it_is) -> Job:
    import needle as ndl
    from needle import nn

    model = network(nn)
    model.to(dtype=problem.images.dtype)
    layers = layers_of(model, nn)
    weights = [*problem.kernels, problem.matrix.T]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data = ndl.Tensor(weight)
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

    def found() -> list[np.ndarray]:
        *kernels, matrix = [layer.weight.numpy() for layer in layers]
        return [*kernels, matrix.T]

    return Job(transform(step), found)


def with_torch(problem: Problem, transform: Transform = as_it_is) -> Job:
    import torch
    from torch import nn
    from torch.nn import functional as F

    model = network(nn).to(torch.from_numpy(problem.images).dtype)
    layers = layers_of(model, nn)
    with torch.no_grad():
        for layer, weight in zip(layers, [*problem.kernels, problem.matrix], strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.zero_()
    optimizer = torch.optim.Adam(model.parameters(), lr=problem.learning_rate, eps=problem.eps)
    images, labels = torch.tensor(problem.images), torch.tensor(problem.labels)

    forward = transform(model)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Job(step, lambda: [layer.weight.detach().numpy() for layer in layers])


WORKLOAD = Workload(
    "5×(Conv 3×3 with 32 channels, BatchNorm, ReLU) on 64 images of 3×32×32, mean, →10, Adam",
    problem,
    {"needle": with_needle, "torch": with_torch},
)
