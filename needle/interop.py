"""Weights that travel between needle and PyTorch.

PyTorch stores the weight of a Linear layer as (out, in) and its bias as (out,), needle as (in, out)
and (1, out). All other parameters and buffers have one shape in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .autograd import Tensor
from .nn import Linear, Module

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]

_COUNTER = "num_batches_tracked"  # PyTorch's BatchNorm counts its batches, needle's does not


def load_torch_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Copy the weights of a PyTorch model of the same structure into `model`.

    Args:
        model: has modules under the names of the PyTorch model.
        state: the PyTorch model's `state_dict()`, of tensors or arrays.

    Raises:
        ValueError: names or shapes differ; all differences are listed, and nothing was loaded.
    """
    arrays = {
        name: np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        for name, value in state.items()
        if not name.endswith(_COUNTER)
    }
    linear = _linear_entries(model)
    model.load_state_dict(
        {
            name: Tensor.make_const(_from_torch(array) if name in linear else array)
            for name, array in arrays.items()
        }
    )


def to_torch_state_dict(model: Module) -> dict[str, Any]:
    """The weights of `model` as PyTorch tensors, for `torch_model.load_state_dict(...)`.

    Raises:
        ImportError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch_state_dict makes PyTorch tensors: install torch") from None
    linear = _linear_entries(model)
    state = {}
    for name, tensor in model.state_dict().items():
        array = tensor.numpy()
        if name in linear:
            array = array.T.copy() if name.endswith("weight") else array.reshape(-1)
        state[name] = torch.from_numpy(array)
        if name.endswith("running_mean"):
            counter = name.removesuffix("running_mean") + _COUNTER
            state[counter] = torch.tensor(0)
    return state


def _linear_entries(model: Module) -> set[str]:
    """The names of the weights and biases of Linear layers."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if isinstance(module, Linear)
        for name in ("weight", "bias")
    }


def _from_torch(array: np.ndarray) -> np.ndarray:
    return array.T if array.ndim == 2 else array.reshape(1, -1)
