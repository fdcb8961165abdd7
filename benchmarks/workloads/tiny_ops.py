"""A chain of operations on a tiny tensor: nothing but overhead."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Job, Transform, Workload, as_it_is

LENGTH = 50


def problem(checking: bool) -> tuple[np.ndarray, np.ndarray]:
    """z and p, both 10×10: |p| < 1 keeps z bounded, |p| > ½ keeps p⁵⁰ from becoming denormal."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 0.95, (10, 10)) * rng.choice([-1, 1], (10, 10))
    return rng.standard_normal((10, 10), np.float32), p.astype(np.float32)


def with_needle(arrays: tuple[np.ndarray, np.ndarray], transform: Transform = as_it_is) -> Job:
    import needle as ndl

    start = ndl.Tensor(arrays[0], requires_grad=False)
    p = ndl.Tensor(arrays[1])

    def step() -> ndl.Tensor:
        p.grad = None
        z = start
        for _ in range(LENGTH):
            z = z * p + p
        loss = z.sum()
        loss.backward(create_graph=False)
        return loss

    return Job(transform(step), lambda: [p.grad.numpy()])


def with_numpy(arrays: tuple[np.ndarray, np.ndarray]) -> Job:
    start, p = (array.copy() for array in arrays)
    gradient = np.empty_like(p)

    def step() -> np.floating:
        values = [start]
        for _ in range(LENGTH):
            z = values[-1] * p
            z += p
            values.append(z)
        loss = values.pop().sum()
        gradient[...] = 0
        adjoint = np.ones_like(p)
        for z in reversed(values):
            z = z * adjoint
            z += adjoint
            np.add(gradient, z, out=gradient)
            adjoint *= p
        return loss

    return Job(step, lambda: [gradient])


def with_torch(arrays: tuple[np.ndarray, np.ndarray], transform: Transform = as_it_is) -> Job:
    import torch

    start = torch.tensor(arrays[0])
    p = torch.tensor(arrays[1], requires_grad=True)

    @transform
    def chain(z: torch.Tensor) -> torch.Tensor:
        for _ in range(LENGTH):
            z = z * p + p
        return z.sum()

    def step() -> torch.Tensor:
        p.grad = None
        loss = chain(start)
        loss.backward()
        return loss

    return Job(step, lambda: [p.grad.numpy()])


def with_jax(arrays: tuple[np.ndarray, np.ndarray]) -> Job:
    import jax
    import jax.numpy as jnp

    start, p = jnp.array(arrays[0]), jnp.array(arrays[1])

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradient(p: jax.Array, z: jax.Array) -> jax.Array:
        for _ in range(LENGTH):
            z = z * p + p
        return z.sum()

    gradient = p

    def step() -> jax.Array:
        nonlocal gradient
        loss, gradient = jax.block_until_ready(loss_and_gradient(p, start))
        return loss

    return Job(step, lambda: [np.array(gradient)])


def with_mygrad(arrays: tuple[np.ndarray, np.ndarray]) -> Job:
    import mygrad as mg

    mg.turn_memory_guarding_off()  # as its manual advises where speed matters
    start = mg.tensor(arrays[0], constant=True)
    p = mg.tensor(arrays[1])

    def step() -> mg.Tensor:
        z = start
        for _ in range(LENGTH):
            z = z * p + p
        loss = z.sum()
        loss.backward()
        return loss

    return Job(step, lambda: [p.grad])


def with_autograd(arrays: tuple[np.ndarray, np.ndarray]) -> Job:
    import autograd.numpy as anp
    from autograd import value_and_grad

    start, p = (array.copy() for array in arrays)

    def objective(p: Any, z: Any) -> Any:
        for _ in range(LENGTH):
            z = z * p + p
        return anp.sum(z)

    loss_and_gradient = value_and_grad(objective)
    gradient = p

    def step() -> Any:
        nonlocal gradient
        loss, gradient = loss_and_gradient(p, start)
        return loss

    return Job(step, lambda: [gradient])


CONTENDERS: dict[str, Callable[[Any], Job]] = {
    "needle": with_needle,
    "numpy": with_numpy,
    "torch": with_torch,
    "jax": with_jax,
    "mygrad": with_mygrad,
    "autograd": with_autograd,
}

WORKLOAD = Workload(
    "50 times z = z*p + p on a 10×10 tensor, sum, backward", problem, CONTENDERS, trains=False
)
