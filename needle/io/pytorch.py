"""Weights from and to PyTorch.

Parameters and buffers have the same names and layouts in both, except for those in `_LAYOUTS` and
for the batch counters of PyTorch's batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..nn import BatchNorm1d, BatchNorm2d, Linear, Module

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]

_Convert = Callable[[np.ndarray], np.ndarray]


# module type: parameter: conversions from PyTorch's layout and to it
_LAYOUTS: dict[type[Module], dict[str, tuple[_Convert, _Convert]]] = {
    Linear: {
        "weight": (np.transpose, np.transpose),  # (out, in) in PyTorch
        "bias": (lambda bias: bias[np.newaxis], lambda bias: bias[0]),  # (out,) in PyTorch
    }
}
_FROM_TORCH, _TO_TORCH = 0, 1


def load_torch_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Copy the weights of a PyTorch model of the same structure into `model`.

    Args:
        model: has modules under the names of the PyTorch model.
        state: the PyTorch model's `state_dict()`, of tensors or arrays; converted to the model's
            dtypes.

    Raises:
        TypeError: `state` is not a dict, or holds needle's own tensors.
        ValueError: names or shapes differ. The text lists all differences, with shapes as needle
            stores them, and nothing was loaded.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            "load_torch_state_dict takes the state_dict() of a PyTorch model, "
            f"got {type(state).__name__}"
        )
    convert, counters = _conversions(model, _FROM_TORCH), set(_counters(model))
    arrays = {name: _array(name, state[name]) for name in state if name not in counters}
    model.load_state_dict({name: convert(name, arrays[name]) for name in arrays})


def to_torch_state_dict(model: Module) -> dict[str, Any]:
    """The weights of `model` as PyTorch tensors, for `torch_model.load_state_dict(...)`.

    Raises:
        ImportError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch_state_dict makes PyTorch tensors: install torch") from None
    convert = _conversions(model, _TO_TORCH)
    state = {
        name: torch.from_numpy(np.asarray(convert(name, tensor.numpy()), order="C"))
        for name, tensor in model.state_dict().items()
    }
    return state | {name: torch.tensor(0) for name in _counters(model)}


def _conversions(model: Module, direction: int) -> Callable[[str, np.ndarray], np.ndarray]:
    """convert(name, array), which knows every name of a shared parameter."""
    walked = list(model._walk(""))
    conversions = {
        id(getattr(part, parameter)): pair[direction]
        for _, part in walked
        for kind, pairs in _LAYOUTS.items()
        if isinstance(part, kind)
        for parameter, pair in pairs.items()
    }
    by_name = {path: conversions[id(part)] for path, part in walked if id(part) in conversions}
    return lambda name, array: by_name[name](array) if name in by_name else array


def _counters(model: Module) -> list[str]:
    """Names of the batch counters, which only PyTorch's BatchNorm has."""
    return [
        f"{path}.num_batches_tracked".lstrip(".")
        for path, part in model._walk("")
        if isinstance(part, BatchNorm1d | BatchNorm2d) and part.running_mean is not None
    ]


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        raise TypeError(f"{name} is a needle Tensor: model.load_state_dict takes those")
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16; float32 represents all shorter floats
    is_short = value.is_floating_point() and value.element_size() < 4
    return np.asarray(value.float() if is_short else value)
