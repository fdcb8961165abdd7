"""Activations as modules, against PyTorch's."""

import numpy as np
import pytest

from needle import nn

MODULES = ["ReLU", "Sigmoid", "Tanh"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (0, 2)])
@pytest.mark.parametrize("name", MODULES)
def test_activation_is_torchs(same_as_torch, name, shape, dtype) -> None:
    torch = pytest.importorskip("torch")
    x = np.asarray(np.random.RandomState(0).randn(*shape) * 3, dtype)
    same_as_torch(getattr(nn, name)(), getattr(torch.nn, name)(), x)
