"""A multilayer perceptron with ReLU and the softmax loss, trained by SGD, in every library.

Each function is what a user of that library would write. It imports the library itself, so
that a worker process loads no other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from .workload import Job, Transform, as_it_is

__all__ = ["TRAINERS", "Perceptron", "Trainer", "make_perceptron", "on_one_batch"]


@dataclass(frozen=True)
class Perceptron:
    """The numbers to start from: float32 images (N, D), int64 labels (N,) and the layers.

    A layer is a weight (in, out) and a bias (out,) or None; ReLU stands between layers.
    With momentum, u ← momentum·u + grad and θ ← θ - learning_rate·u.
    """

    images: np.ndarray
    labels: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray | None]]
    learning_rate: float
    momentum: float = 0.0

    def parameters(self) -> list[np.ndarray]:
        """Copies of the weights and biases, in order."""
        arrays = [array for layer in self.layers for array in layer]
        return [array.copy() for array in arrays if array is not None]


@dataclass(frozen=True)
class Trainer:
    """A network in one library.

    Attributes:
        train: one step on a batch of the library's own arrays; returns the loss.
        batch: makes the library's own arrays of images and labels.
        weights: the parameters as NumPy arrays.
    """

    train: Callable[[Any, Any], Any]
    batch: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]
    weights: Callable[[], list[np.ndarray]] | None


def make_perceptron(
    sizes: list[int],
    bias: bool,
    learning_rate: float,
    momentum: float = 0.0,
    images: int = 100,
) -> Perceptron:
    """Random images, four pixels in five of them black, and Kaiming's normal weights."""
    rng = np.random.default_rng(0)
    pixels = rng.random((images, sizes[0]), np.float32)
    pixels *= rng.random((images, sizes[0]), np.float32) < 0.2
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        weight = rng.standard_normal((fan_in, fan_out), np.float32) * np.float32(
            np.sqrt(2 / fan_in)
        )
        layers.append((weight, np.full(fan_out, 0.01, np.float32) if bias else None))
    labels = rng.integers(sizes[-1], size=images)
    return Perceptron(pixels, labels, layers, learning_rate, momentum)


def with_needle(problem: Perceptron, transform: Transform = as_it_is) -> Trainer:
    import needle as ndl

    modules: list[ndl.nn.Module] = []
    for weight, bias in problem.layers:
        linear = ndl.nn.Linear(*weight.shape, bias=bias is not None)
        linear.weight.data = ndl.Tensor(weight)
        if bias is not None:
            linear.bias.data = ndl.Tensor(bias.reshape(1, -1))
        modules += [linear, ndl.nn.ReLU()]
    model = ndl.nn.Sequential(*modules[:-1])
    loss_function = ndl.nn.SoftmaxLoss()
    optimizer = ndl.optim.SGD(
        model.parameters(), lr=problem.learning_rate, momentum=problem.momentum, dampening=0
    )

    def train(images: ndl.Tensor, labels: ndl.Tensor) -> ndl.Tensor:
        optimizer.reset_grad()
        loss = loss_function(model(images), labels)
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    train = transform(train)

    def batch(images: np.ndarray, labels: np.ndarray) -> tuple[ndl.Tensor, ndl.Tensor]:
        return ndl.Tensor(images, requires_grad=False), ndl.Tensor(labels, requires_grad=False)

    def weights() -> list[np.ndarray]:
        return [parameter.numpy().squeeze() for parameter in model.parameters()]

    return Trainer(train, batch, weights)


def with_numpy(problem: Perceptron) -> Trainer:
    parameters = problem.parameters()
    bias = problem.layers[0][1] is not None
    weights = parameters[:: 1 + bias]
    biases = parameters[1::2] if bias else []
    momentum, learning_rate = problem.momentum, problem.learning_rate
    velocities = [np.zeros_like(parameter) for parameter in parameters]

    def update(index: int, gradient: np.ndarray) -> None:
        if momentum:
            velocity = velocities[index]
            velocity *= momentum
            velocity += gradient
            np.multiply(velocity, learning_rate, out=gradient)
        else:
            gradient *= learning_rate
        parameters[index] -= gradient

    def train(images: np.ndarray, labels: np.ndarray) -> np.floating:
        rows = np.arange(len(labels))
        activations = [images]
        for index, weight in enumerate(weights):
            z = activations[-1] @ weight
            if bias:
                z += biases[index]
            if index < len(weights) - 1:
                np.maximum(z, 0, out=z)
            activations.append(z)

        z = activations.pop()
        z -= z.max(axis=1, keepdims=True)
        adjoint = np.exp(z)
        total = adjoint.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - z[rows, labels]).mean()
        adjoint /= total
        adjoint[rows, labels] -= 1
        adjoint /= len(labels)

        for index in reversed(range(len(weights))):
            activation = activations[index]
            gradient = activation.T @ adjoint
            if bias:
                update(2 * index + 1, adjoint.sum(axis=0))
            if index:
                adjoint = adjoint @ weights[index].T
                adjoint *= activation > 0
            update((1 + bias) * index, gradient)
        return loss

    return Trainer(train, _unchanged, lambda: parameters)


def with_products_alone(problem: Perceptron) -> Trainer:
    weights = [weight.copy() for weight, _ in problem.layers]
    gradients = [np.empty_like(weight) for weight in weights]

    def buffers(rows: int) -> list[np.ndarray]:
        return [np.zeros((rows, weight.shape[1]), np.float32) for weight in weights]

    rows = min(100, len(problem.labels))
    activations, adjoints = buffers(rows), buffers(rows)

    def train(images: np.ndarray, labels: np.ndarray) -> float:
        inputs = [images, *activations]
        for weight, given, made in zip(weights, inputs, activations, strict=False):
            np.matmul(given, weight, out=made)
        for index in reversed(range(len(weights))):
            np.matmul(inputs[index].T, adjoints[index], out=gradients[index])
            if index:
                np.matmul(adjoints[index], weights[index].T, out=adjoints[index - 1])
        return 0.0

    return Trainer(train, _unchanged, None)


def with_torch(problem: Perceptron, transform: Transform = as_it_is) -> Trainer:
    import torch
    from torch import nn
    from torch.nn import functional as F

    modules: list[nn.Module] = []
    for weight, bias in problem.layers:
        linear = nn.Linear(*weight.shape, bias=bias is not None)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            if bias is not None:
                linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, nn.ReLU()]
    model = nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=problem.learning_rate, momentum=problem.momentum
    )

    forward = transform(model)

    def train(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    def batch(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(images), torch.tensor(labels)

    def weights() -> list[np.ndarray]:
        return [parameter.detach().numpy().T for parameter in model.parameters()]

    return Trainer(train, batch, weights)


def with_jax(problem: Perceptron) -> Trainer:
    import jax
    import jax.numpy as jnp

    def objective(layers: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        x = images
        for index, (weight, bias) in enumerate(layers):
            x = x @ weight if bias is None else x @ weight + bias
            if index < len(layers) - 1:
                x = jax.nn.relu(x)
        picked = jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1)
        return -picked.mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(layers: Any, velocities: Any, images: jax.Array, labels: jax.Array) -> Any:
        loss, gradients = jax.value_and_grad(objective)(layers, images, labels)
        if problem.momentum:
            gradients = velocities = jax.tree.map(
                lambda u, g: problem.momentum * u + g, velocities, gradients
            )
        layers = jax.tree.map(lambda w, g: w - problem.learning_rate * g, layers, gradients)
        return loss, layers, velocities

    layers = jax.tree.map(jnp.array, problem.layers)
    velocities = jax.tree.map(jnp.zeros_like, layers) if problem.momentum else None

    def train(images: jax.Array, labels: jax.Array) -> jax.Array:
        nonlocal layers, velocities
        loss, layers, velocities = update(layers, velocities, images, labels)
        return jax.block_until_ready(loss)

    def batch(images: np.ndarray, labels: np.ndarray) -> tuple[jax.Array, jax.Array]:
        return jnp.asarray(images), jnp.asarray(labels, jnp.int32)

    def weights() -> list[np.ndarray]:
        return [np.array(leaf) for leaf in jax.tree.leaves(layers)]

    return Trainer(train, batch, weights)


def with_mygrad(problem: Perceptron) -> Trainer:
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()  # as its manual advises where speed matters
    parameters = [mg.tensor(array) for array in problem.parameters()]
    velocities = [np.zeros_like(parameter.data) for parameter in parameters]
    bias = problem.layers[0][1] is not None
    depth = len(problem.layers)

    def train(images: np.ndarray, labels: np.ndarray) -> mg.Tensor:
        x: Any = images
        remaining = iter(parameters)
        for index in range(depth):
            x = mg.matmul(x, next(remaining))
            if bias:
                x = x + next(remaining)
            if index < depth - 1:
                x = relu(x)
        loss = softmax_crossentropy(x, labels)
        loss.backward()
        for parameter, velocity in zip(parameters, velocities, strict=True):
            change = parameter.grad
            if problem.momentum:
                velocity *= problem.momentum
                velocity += change
                change = velocity
            parameter.data -= problem.learning_rate * change
        return loss

    return Trainer(train, _unchanged, lambda: [parameter.data for parameter in parameters])


def with_autograd(problem: Perceptron) -> Trainer:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    one_hot = np.eye(problem.layers[-1][0].shape[1], dtype=np.float32)
    parameters = problem.parameters()
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    bias = problem.layers[0][1] is not None
    depth = len(problem.layers)

    def objective(parameters: Any, images: np.ndarray, targets: np.ndarray) -> Any:
        x = images
        remaining = iter(parameters)
        for index in range(depth):
            x = anp.dot(x, next(remaining))
            if bias:
                x = x + next(remaining)
            if index < depth - 1:
                x = anp.maximum(x, 0)
        return anp.mean(logsumexp(x, axis=1) - anp.sum(x * targets, axis=1))

    loss_and_gradients = value_and_grad(objective)

    def train(images: np.ndarray, targets: np.ndarray) -> Any:
        loss, gradients = loss_and_gradients(parameters, images, targets)
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            change = gradient
            if problem.momentum:
                velocity *= problem.momentum
                velocity += change
                change = velocity
            parameter -= problem.learning_rate * change
        return loss

    def batch(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images, one_hot[labels]

    return Trainer(train, batch, lambda: parameters)


def _unchanged(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images, labels


TRAINERS: Mapping[str, Callable[..., Trainer]] = MappingProxyType(
    {
        "needle": with_needle,
        "floor": with_products_alone,
        "numpy": with_numpy,
        "torch": with_torch,
        "jax": with_jax,
        "mygrad": with_mygrad,
        "autograd": with_autograd,
    }
)


def _on_one_batch(
    make_trainer: Callable[..., Trainer], problem: Perceptron, **options: Transform
) -> Job:
    trainer = make_trainer(problem, **options)
    batch = trainer.batch(problem.images.copy(), problem.labels.copy())
    return Job(partial(trainer.train, *batch), trainer.weights)


def on_one_batch() -> dict[str, Callable[[Perceptron], Job]]:
    """Contenders that train again and again on the problem's own images."""
    return {name: partial(_on_one_batch, trainer) for name, trainer in TRAINERS.items()}
