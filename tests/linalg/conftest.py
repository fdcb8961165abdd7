"""Matrices to factorize, and what the tests of linear algebra say of Tensors."""

import numpy as np
import pytest

from needle import Tensor


def random_matrices(*shape, seed=0):
    """Well-conditioned matrices whose eigenvalues and singular values lie apart."""
    rng = np.random.default_rng(seed)
    rows, columns = shape[-2:]
    matrices = rng.normal(size=shape)
    matrices[..., range(min(rows, columns)), range(min(rows, columns))] += 2 + np.arange(
        min(rows, columns)
    )
    return matrices


@pytest.fixture
def matrices():
    """matrices(*shape, seed=0): well-conditioned ones, with values that lie apart."""
    return random_matrices


@pytest.fixture
def gradients_like_pytorchs():
    """Compares the gradients of two functions, one of Tensors and one of PyTorch's tensors."""
    torch = pytest.importorskip("torch")

    def compare(function, torch_function, *arrays, tolerance=1e-9):
        inputs = [Tensor(array) for array in arrays]
        twins = [torch.tensor(array, requires_grad=True) for array in arrays]
        value, twin_value = function(*inputs), torch_function(*twins)
        np.testing.assert_allclose(value.numpy(), twin_value.detach().numpy(), atol=tolerance)
        weights = np.random.default_rng(2).normal(size=value.shape)
        (value * weights).sum().backward()
        (twin_value * torch.tensor(weights)).sum().backward()
        for x, twin in zip(inputs, twins, strict=True):
            np.testing.assert_allclose(x.grad.numpy(), twin.grad.numpy(), atol=tolerance)

    return compare
