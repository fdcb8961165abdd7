"""A residual perceptron with batch normalisation, dropout and Adam: small layers, all overhead."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workload import Job, Transform, Workload, as_it_is

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


def with_needle(problem: Problem, transform: Transform = as_it_is) -> Job:
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

    return Job(transform(step), lambda: [layer.weight.numpy() for layer in layers])


def with_torch(problem: Problem, transform: Transform = as_it_is) -> Job:
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
    forward = transform(model)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Job(step, lambda: [layer.weight.detach().numpy().T for layer in layers])


def with_jax(problem: Problem) -> Job:
    import jax
    import jax.numpy as jnp

    drop, beta1, beta2 = problem.dropout, 0.9, 0.999

    def norm(x: jax.Array, scale: jax.Array, shift: jax.Array, running: Any) -> Any:
        mean, var = x.mean(0), x.var(0)
        running = (0.9 * running[0] + 0.1 * mean, 0.9 * running[1] + 0.1 * var)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * scale + shift, running

    def objective(
        parameters: Any, statistics: Any, key: jax.Array, images: Any, labels: Any
    ) -> Any:
        layers, norms = parameters
        moved = []
        x = jax.nn.relu(images @ layers[0][0] + layers[0][1])
        for block in range(BLOCKS):
            (w1, b1), (w2, b2) = layers[1 + 2 * block : 3 + 2 * block]
            y, running = norm(x @ w1 + b1, *norms[2 * block], statistics[2 * block])
            moved.append(running)
            y = jax.nn.relu(y)
            if drop:
                key, own = jax.random.split(key)
                y = jnp.where(jax.random.bernoulli(own, 1 - drop, y.shape), y / (1 - drop), 0)
            y, running = norm(y @ w2 + b2, *norms[2 * block + 1], statistics[2 * block + 1])
            moved.append(running)
            x = jax.nn.relu(x + y)
        logits = x @ layers[-1][0] + layers[-1][1]
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -picked.mean(), moved

    @partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def update(
        parameters: Any, statistics: Any, m: Any, v: Any, t: Any, corrections: Any, images: Any,
        labels: Any,
    ) -> Any:  # fmt: skip
        key = jax.random.key(t)
        (loss, statistics), g = jax.value_and_grad(objective, has_aux=True)(
            parameters, statistics, key, images, labels
        )
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        parameters = jax.tree.map(
            lambda p, m, v: p - problem.learning_rate * (m / corrections[0])
            / (jnp.sqrt(v / corrections[1]) + problem.eps),
            parameters, m, v,
        )  # fmt: skip
        return loss, parameters, statistics, m, v

    layers = [(jnp.array(w), jnp.zeros(w.shape[1])) for w in problem.matrices]
    widths = [w.shape[1] for w in problem.matrices[1:-1]]
    parameters = layers, [(jnp.ones(n), jnp.zeros(n)) for n in widths]
    statistics = [(jnp.zeros(n), jnp.ones(n)) for n in widths]
    m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    t = 0
    images, labels = jnp.array(problem.images), jnp.array(problem.labels, jnp.int32)

    def step() -> jax.Array:
        nonlocal parameters, statistics, m, v, t
        t += 1  # and the powers of the rates in float64
        loss, parameters, statistics, m, v = update(
            parameters, statistics, m, v, t, (1 - beta1**t, 1 - beta2**t), images, labels
        )
        return jax.block_until_ready(loss)

    return Job(step, lambda: [np.array(weight) for weight, _ in parameters[0]])


WORKLOAD = Workload(
    "784→100, three residual blocks with BatchNorm and Dropout 0.1, →10, batch 100, Adam",
    problem,
    {"needle": with_needle, "torch": with_torch, "jax": with_jax},
    draws=True,
)
