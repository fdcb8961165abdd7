"""A whole pass over a data set of MNIST's size: loading and shuffling count as well."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

import numpy as np

from benchmarks.perceptron import TRAINERS, Perceptron, Trainer, make_perceptron
from benchmarks.workload import Job, Transform, Workload, as_it_is

BATCH_SIZE = 100
IMAGES = 60_000


def problem(checking: bool) -> Perceptron:
    """For the check one batch is the whole data set, so that no order of images matters."""
    sizes = [784, 100, 10]
    if checking:
        return make_perceptron(sizes, bias=False, learning_rate=0.1, images=BATCH_SIZE)
    start = make_perceptron(sizes, bias=False, learning_rate=1e-6, images=IMAGES)
    mnist = _mnist()
    return start if mnist is None else replace(start, images=mnist[0], labels=mnist[1])


def note() -> str:
    return "random images" if _mnist() is None else "MNIST"


@cache
def _mnist() -> tuple[np.ndarray, np.ndarray] | None:
    """MNIST's training images (60000, 784) and labels, if they are on this machine."""
    from needle import data

    try:
        dataset = data.MNIST(download=False)
    except data.DatasetNotFoundError:
        return None
    return dataset.images.reshape(-1, 784), dataset.labels.astype(np.int64)


def with_needle(problem: Perceptron, transform: Transform = as_it_is) -> Job:
    from needle import data

    trainer = TRAINERS["needle"](problem, transform)
    dataset = data.NDArrayDataset(problem.images, problem.labels)
    loader = data.DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)

    def step() -> float:
        losses = [trainer.train(images, labels).item() for images, labels in loader]
        return sum(losses) / len(losses)

    return Job(step, trainer.weights)


def with_torch(problem: Perceptron, transform: Transform = as_it_is) -> Job:
    import torch
    from torch.utils import data

    trainer = TRAINERS["torch"](problem, transform)
    arrays = torch.from_numpy(problem.images), torch.from_numpy(problem.labels)
    loader = data.DataLoader(data.TensorDataset(*arrays), batch_size=BATCH_SIZE, shuffle=True)

    def step() -> float:
        losses = [trainer.train(images, labels).item() for images, labels in loader]
        return sum(losses) / len(losses)

    return Job(step, trainer.weights)


def with_index_arrays(make_trainer: Callable[[Perceptron], Trainer], problem: Perceptron) -> Job:
    """For libraries without a loader: shuffled index arrays into the NumPy arrays."""
    trainer = make_trainer(problem)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.random.permutation(len(problem.images))
        for start in range(0, len(order), BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            yield trainer.batch(problem.images[chosen], problem.labels[chosen])

    def step() -> float:
        losses = [trainer.train(images, labels).item() for images, labels in batches()]
        return sum(losses) / len(losses)

    return Job(step, trainer.weights)


def with_products_alone(problem: Perceptron) -> Job:
    trainer = TRAINERS["floor"](problem)

    def step() -> float:
        for start in range(0, len(problem.images), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            trainer.train(problem.images[rows], problem.labels[rows])
        return 0.0

    return Job(step)


CONTENDERS: dict[str, Callable[[Perceptron], Job]] = {
    "needle": with_needle,
    "floor": with_products_alone,
    "torch": with_torch,
    **{
        name: partial(with_index_arrays, TRAINERS[name])
        for name in ("numpy", "jax", "mygrad", "autograd")
    },
}

WORKLOAD = Workload(
    "one pass over 60,000 shuffled images, each batch of 100 a step of `mlp`",
    problem,
    CONTENDERS,
    note=note,
)
