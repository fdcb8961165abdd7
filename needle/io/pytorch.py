"""Weights that travel between needle and PyTorch.

PyTorch stores the weight of a Linear layer as (out, in) and its bias as (out,), needle as (in, out)
and (1, out). All other parameters and buffers have one shape in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..nn import BatchNorm1d, BatchNorm2d, Linear, Module

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]


def load_torch_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Copy the weights of a PyTorch model of the same structure into `model`.

    Args:
        model: has modules under the names of the PyTorch model.
        state: the PyTorch model's `state_dict()`, of tensors or arrays; converted to the model's
            dtypes.

    Raises:
        TypeError: `state` is no dict, or one of needle's own tensors.
        ValueError: names or shapes differ; all differences are listed, shapes as needle stores
            them, and nothing was loaded.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            "load_torch_state_dict takes the state_dict() of a PyTorch model, "
            f"got {type(state).__name__}"
        )
    weights, biases = _linear(model, "weight"), _linear(model, "bias")
    counters = set(_counters(model))
    arrays = {}
    for name, value in state.items():
        if name in counters:
            continue
        array = _array(name, value)
        if name in weights:
            array = array.T
        elif name in biases:
            array = array[np.newaxis]
        arrays[name] = array
    model.load_state_dict(arrays)


def to_torch_state_dict(model: Module) -> dict[str, Any]:
    """The weights of `model` as PyTorch tensors, for `torch_model.load_state_dict(...)`.

    Raises:
        ImportError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch_state_dict makes PyTorch tensors: install torch") from None
    weights, biases = _linear(model, "weight"), _linear(model, "bias")
    state = {}
    for name, tensor in model.state_dict().items():
        array = tensor.numpy()
        if name in weights:
            array = array.T.copy()
        elif name in biases:
            array = array[0]
        state[name] = torch.from_numpy(array)
    return state | {name: torch.tensor(0) for name in _counters(model)}


def _linear(model: Module, attribute: str) -> set[str]:
    """The names of this parameter of Linear layers: all of them, where it is shared."""
    walked = list(model._walk(""))
    own = {id(getattr(part, attribute)) for _, part in walked if isinstance(part, Linear)}
    return {path for path, part in walked if id(part) in own}


def _counters(model: Module) -> list[str]:
    """What PyTorch's BatchNorm holds beside its statistics: it counts the batches."""
    return [
        f"{path}.num_batches_tracked".lstrip(".")
        for path, part in model._walk("")
        if isinstance(part, BatchNorm1d | BatchNorm2d) and part.running_mean is not None
    ]


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        raise TypeError(f"{name} is a tensor of needle: model.load_state_dict takes those")
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16, and float32 holds every shorter number
    is_short = value.is_floating_point() and value.element_size() < 4
    return np.asarray(value.float() if is_short else value)
