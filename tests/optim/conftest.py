"""Parameters, gradients, and the comparison with PyTorch that the tests of optimizers share."""

from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl

# a matrix, a row, a vector, a number, and a matrix larger than all others together
SHAPES = ((6, 5), (1, 5), (5,), (), (40, 30))


@pytest.fixture
def make_params() -> Callable[..., list[ndl.Tensor]]:
    def make(shapes=SHAPES, dtype="float32", seed=0):
        rng = np.random.default_rng(seed)
        return [ndl.Tensor(rng.normal(size=shape), dtype=dtype) for shape in shapes]

    return make


@pytest.fixture
def give_gradients() -> Callable[..., list[np.ndarray]]:
    """Set `.grad` of every parameter to random numbers; returns the arrays."""

    def give(params, seed=0):
        rng = np.random.default_rng(seed)
        arrays = [np.asarray(rng.normal(size=p.shape), p.dtype) for p in params]
        for param, array in zip(params, arrays, strict=True):
            param.grad = ndl.Tensor.make_const(array)
        return arrays

    return give


@pytest.fixture
def follow_torch(make_params, give_gradients) -> Callable[..., None]:
    """Step needle's optimizer and PyTorch's on the same gradients; compare all parameters."""

    def follow(ours, theirs, *, steps, rtol, dtype="float32", change=None):
        torch = pytest.importorskip("torch")
        params = make_params(dtype=dtype)
        twins = [torch.nn.Parameter(torch.from_numpy(p.numpy())) for p in params]
        optimizer, twin_optimizer = ours(params), theirs(twins)
        for step in range(steps):
            if change is not None:
                change(step, optimizer)
                change(step, twin_optimizer)
            gradients = give_gradients(params, seed=step)
            for twin, gradient in zip(twins, gradients, strict=True):
                twin.grad = torch.from_numpy(gradient.copy())
            optimizer.step()
            twin_optimizer.step()
            for param, twin in zip(params, twins, strict=True):
                expected = twin.detach().numpy()
                assert param.dtype == expected.dtype
                # the values started at about 1: one that passes 0 keeps that absolute error
                np.testing.assert_allclose(param.numpy(), expected, rtol=rtol, atol=rtol)

    return follow
