"""Training steps that several tests compile."""

import numpy as np

from needle import nn

__all__ = ["batches", "network", "training"]


def batches(count=4, rows=6, dtype="float32"):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(rows, 5)).astype(dtype), rng.integers(3, size=rows)) for _ in range(count)
    ]


def network(dtype="float32"):
    return nn.Sequential(nn.Linear(5, 4, dtype=dtype), nn.Tanh(), nn.Linear(4, 3, dtype=dtype))


def training(make_optimizer, dtype="float32", before_step=lambda model: None, model=network):
    """What builds a usual step: loss, backward, something with the gradients, update."""

    def build():
        trained = model(dtype) if model is network else model()
        optimizer = make_optimizer(trained.parameters())
        loss_function = nn.SoftmaxLoss()

        def step(images, labels):
            loss = loss_function(trained(images), labels)
            optimizer.reset_grad()
            loss.backward(create_graph=False)
            found = before_step(trained)
            optimizer.step()
            return loss, found

        return step, [trained, optimizer]

    return build
