"""Comparison of a module with its counterpart in PyTorch: values and all gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import needle as ndl

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def _close(ours: Any, theirs: Any, what: str) -> None:
    """Equal to 1e-5 in float32 and 1e-10 in float64, relative to the largest element."""
    expected = theirs.detach().numpy()
    scale = max(1.0, float(abs(expected).max())) if expected.size else 1.0
    tolerance = TOLERANCE[str(expected.dtype)]
    assert ours.dtype == expected.dtype, what
    assert ours.shape == expected.shape, what
    np.testing.assert_allclose(
        ours.numpy(), expected, rtol=tolerance, atol=tolerance * scale, err_msg=what
    )


@pytest.fixture
def close() -> Callable[..., None]:
    return _close


@pytest.fixture
def same_as_torch() -> Callable[..., None]:
    """same(f, g, *arrays): two functions of tensors agree in value and gradients.

    Arrays of integers are passed on as they are; all others are differentiated.
    """
    torch = pytest.importorskip("torch")

    def same(f: Callable[..., Any], g: Callable[..., Any], *arrays: np.ndarray) -> None:
        ours = [ndl.Tensor(array) for array in arrays]
        theirs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
        result, expected = f(*ours), g(*theirs)
        _close(result, expected, "value")
        weights = np.asarray(np.random.RandomState(0).randn(*result.shape), result.dtype)
        result.backward(ndl.Tensor(weights))
        expected.backward(torch.from_numpy(weights))
        for position, (tensor, other) in enumerate(zip(ours, theirs, strict=True)):
            if other.requires_grad:
                _close(tensor.grad, other.grad, f"gradient of operand {position}")

    return same


@pytest.fixture
def same_module(same_as_torch: Callable[..., None]) -> Callable[..., None]:
    """same(module, other, *arrays): a module and PyTorch's, given the same weights, agree.

    Compares outputs and the gradients of inputs and parameters.
    """
    torch = pytest.importorskip("torch")

    def in_torchs_layout(other: Any, name: str, tensor: ndl.Tensor, like: Any) -> Any:
        owner = other.get_submodule(name.rpartition(".")[0])
        array = tensor.numpy()
        if isinstance(owner, torch.nn.Linear):
            array = array.T
        return torch.tensor(array.reshape(tuple(like.shape)))

    def same(module: ndl.nn.Module, other: Any, *arrays: np.ndarray) -> None:
        pairs = list(zip(module.parameters(), other.named_parameters(), strict=True))
        with torch.no_grad():
            for ours, (name, theirs) in pairs:
                theirs.data = in_torchs_layout(other, name, ours, theirs)
        same_as_torch(module, other, *arrays)
        for ours, (name, theirs) in pairs:
            gradient = in_torchs_layout(other, name, ours.grad, theirs)
            _close(ndl.Tensor(gradient.numpy()), theirs.grad, f"gradient of {name}")

    return same


@pytest.fixture
def same_twice() -> Callable[..., None]:
    """same(f, g, *arrays): two functions agree in value, gradients and second derivatives."""
    torch = pytest.importorskip("torch")

    def same(f: Callable[..., Any], g: Callable[..., Any], *arrays: np.ndarray) -> None:
        draw = np.random.RandomState(0)
        ways = [draw.randn(*array.shape) for array in arrays]
        ours = [ndl.Tensor(array) for array in arrays]
        theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
        result, expected = f(*ours), g(*theirs)
        _close(result, expected, "value")
        weights = draw.randn(*result.shape)
        (result * result / 2 + result * weights).sum().backward()
        objective = (expected * expected / 2 + expected * torch.tensor(weights)).sum()
        gradients = [tensor.grad for tensor in ours]
        others = torch.autograd.grad(objective, theirs, create_graph=True)
        for position, (gradient, other) in enumerate(zip(gradients, others, strict=True)):
            _close(gradient, other, f"gradient of operand {position}")
        products = [(each * way).sum() for each, way in zip(gradients, ways, strict=True)]
        sum(products[1:], start=products[0]).backward()
        curvature = sum(
            (each * torch.tensor(way)).sum() for each, way in zip(others, ways, strict=True)
        )
        expected = torch.autograd.grad(curvature, theirs)
        for position, (tensor, other) in enumerate(zip(ours, expected, strict=True)):
            _close(tensor.grad, other, f"second derivative by operand {position}")

    return same
