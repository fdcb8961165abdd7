"""Sequential and Residual."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


def test_sequential_holds_its_modules() -> None:
    layers = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)
    model = nn.Sequential(*layers)
    assert tuple(model.modules) == layers
    x = ndl.init.rand(5, 3)
    np.testing.assert_array_equal(model(x).numpy(), layers[2](layers[1](layers[0](x))).numpy())


def test_sequential_of_nothing_is_the_identity() -> None:
    x = ndl.init.rand(2)
    assert nn.Sequential()(x) is x


def test_residual_adds_its_input() -> None:
    x = ndl.Tensor([[-1.0, 2.0]])
    y = nn.Residual(nn.ReLU())(x)
    np.testing.assert_array_equal(y.numpy(), [[-1.0, 4.0]])
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 2.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_is_torchs(same_module, dtype) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)

    def network(library, where):
        return library.Sequential(
            library.Linear(6, 5, dtype=where),
            library.Tanh(),
            library.Linear(5, 4, dtype=where),
            library.ReLU(),
            library.Linear(4, 3, bias=False, dtype=where),
            library.Sigmoid(),
        )

    same_module(
        network(nn, dtype),
        network(torch.nn, getattr(torch, dtype)),
        np.random.randn(8, 6).astype(dtype),
    )
