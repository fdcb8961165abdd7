"""An LSTM: products of middle size, one after another, and the functions between them."""

from dataclasses import dataclass

import numpy as np

from benchmarks.workload import Job, Transform, Workload, as_it_is

STEPS, BATCH, SIZE = 32, 32, 128


@dataclass(frozen=True)
class Problem:
    """Sequences (steps, batch, size), targets of the same shape, and the parameters.

    The matrices are (in, out), the gates in the order i, f, g, o. Checked with an `eps` that keeps
    Adam from blowing up rounding errors of small gradients.
    """

    x: np.ndarray
    targets: np.ndarray
    matrices: list[np.ndarray]
    biases: list[np.ndarray]
    learning_rate: float
    eps: float


def problem(checking: bool) -> Problem:
    rng = np.random.default_rng(0)
    bound = 1 / np.sqrt(SIZE)
    shape = STEPS, BATCH, SIZE
    return Problem(
        rng.standard_normal(shape, np.float32),
        rng.uniform(-1, 1, shape).astype(np.float32),
        [rng.uniform(-bound, bound, (SIZE, 4 * SIZE)).astype(np.float32) for _ in range(2)],
        [rng.uniform(-bound, bound, 4 * SIZE).astype(np.float32) for _ in range(2)],
        learning_rate=1e-3 if checking else 1e-7,
        eps=1e-3 if checking else 1e-8,
    )


def with_needle(problem: Problem, transform: Transform = as_it_is) -> Job:
    import needle as ndl
    from needle import nn

    model = nn.LSTM(SIZE, SIZE)
    arrays = *problem.matrices, *problem.biases
    for parameter, array in zip(model.parameters(), arrays, strict=True):
        parameter.data = ndl.Tensor(array)
    optimizer = ndl.optim.Adam(model.parameters(), lr=problem.learning_rate, eps=problem.eps)
    loss_function = nn.MSELoss()
    x = ndl.Tensor(problem.x, requires_grad=False)
    targets = ndl.Tensor(problem.targets, requires_grad=False)

    def step() -> ndl.Tensor:
        optimizer.reset_grad()
        loss = loss_function(model(x)[0], targets)
        loss.backward(create_graph=False)
        optimizer.step()
        return loss

    return Job(transform(step), lambda: [parameter.numpy() for parameter in model.parameters()])


def with_torch(problem: Problem, transform: Transform = as_it_is) -> Job:
    import torch
    from torch import nn

    model = nn.LSTM(SIZE, SIZE)
    with torch.no_grad():
        arrays = *[matrix.T for matrix in problem.matrices], *problem.biases
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))
    optimizer = torch.optim.Adam(model.parameters(), lr=problem.learning_rate, eps=problem.eps)
    loss_function = nn.MSELoss()
    x, targets = torch.tensor(problem.x), torch.tensor(problem.targets)

    forward = transform(model)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(forward(x)[0], targets)
        loss.backward()
        optimizer.step()
        return loss

    return Job(step, lambda: [parameter.detach().numpy().T for parameter in model.parameters()])


WORKLOAD = Workload(
    f"LSTM({SIZE}, {SIZE}), {STEPS} steps, batch {BATCH}, mean squared error, Adam",
    problem,
    {"needle": with_needle, "torch": with_torch},
)
