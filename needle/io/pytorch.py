"""Weights from and to PyTorch.

Parameters and buffers have the same names and layouts in both, except for the parameters of Linear
and of recurrent cells, and the batch counters of PyTorch's batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..nn import Linear, Module
from ..nn.cells import RecurrentCell
from ..nn.recurrence import RecurrentLayers

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]

_Arrays = dict[str, np.ndarray]
_Layout = dict[str, Callable[[np.ndarray], np.ndarray]]

# PyTorch's matrices are (out, in), and the biases of Linear (out,)
_FROM_TORCH: _Layout = {"weight": np.transpose, "bias": lambda bias: bias[np.newaxis]}
_TO_TORCH: _Layout = {"weight": np.transpose, "bias": lambda bias: bias[0]}


def load_torch_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Copy the `state_dict()` of a PyTorch model of the same structure into `model`.

    Its tensors or arrays are converted to the model's dtypes.

    Raises:
        TypeError: `state` is not a dict, or holds needle's own tensors.
        ValueError: names or shapes differ; lists all differences, with shapes as needle stores
            them. Nothing is loaded.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> model = ndl.nn.Linear(3, 2)
        >>> state = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}  # as in torch.nn.Linear(3, 2)
        >>> ndl.io.load_torch_state_dict(model, state)
        >>> model.weight.shape
        (3, 2)
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            "load_torch_state_dict takes the state_dict() of a PyTorch model, "
            f"got {type(state).__name__}"
        )
    counters = _counters(model)
    ours = {theirs: name for name, theirs in _renamed(model).items()}
    arrays = {
        ours.get(name, name): _array(name, state[name]) for name in state if name not in counters
    }
    model.load_state_dict(_converted(model, arrays, _FROM_TORCH))


def to_torch_state_dict(model: Module) -> dict[str, Any]:
    """The weights of `model` as PyTorch tensors, for `torch_model.load_state_dict(...)`.

    Raises:
        ImportError: PyTorch is not installed.

    Example:
        >>> import needle as ndl
        >>> state = ndl.io.to_torch_state_dict(ndl.nn.Linear(3, 2))  # doctest: +SKIP
        >>> state["weight"].shape  # doctest: +SKIP
        torch.Size([2, 3])
    """
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch_state_dict makes PyTorch tensors: install torch") from None
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    renamed = _renamed(model)
    state = {
        renamed.get(name, name): torch.from_numpy(np.asarray(array, order="C"))
        for name, array in _converted(model, arrays, _TO_TORCH).items()
    }
    return state | {name: torch.tensor(0) for name in _counters(model)}


def _converted(model: Module, arrays: _Arrays, layout: _Layout) -> _Arrays:
    """Parameters of Linear and cells in the other layout, under all names of a shared one."""
    walked = list(model._walk(""))
    layers = [part for _, part in walked if isinstance(part, Linear)]
    convert = {id(getattr(each, name)): f for each in layers for name, f in layout.items()}
    cells = [part for _, part in walked if isinstance(part, RecurrentCell)]
    convert |= {id(matrix): np.transpose for cell in cells for matrix in cell.matrices()}
    by_name = {path: convert[id(part)] for path, part in walked if id(part) in convert}
    return {name: by_name.get(name, np.asarray)(array) for name, array in arrays.items()}


def _renamed(model: Module) -> dict[str, str]:
    """PyTorch's names of the parameters of recurrent cells, by needle's."""
    found: dict[str, str] = {}
    for path, part in model._walk(""):
        if isinstance(part, RecurrentLayers):
            for index, cell in enumerate(part.cells):
                layer, direction = divmod(index, part.directions)
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                for theirs, ours in cell.names.items():
                    name = f"{path}.{part.cells_name}.{index}.{ours}".lstrip(".")
                    found[name] = f"{path}.{theirs}{suffix}".lstrip(".")
        elif isinstance(part, RecurrentCell):
            for theirs, ours in part.names.items():  # unless it is one of a layer's
                found.setdefault(f"{path}.{ours}".lstrip("."), f"{path}.{theirs}".lstrip("."))
    return found


def _counters(model: Module) -> set[str]:
    """Names of the batch counters, which PyTorch's layers with running statistics have."""
    return {
        f"{path}.num_batches_tracked".lstrip(".")
        for path, part in model._walk("")
        if getattr(part, "running_mean", None) is not None
    }


def _array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        raise TypeError(f"{name} is a needle Tensor: model.load_state_dict takes those")
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16; float32 represents all shorter floats
    is_short = value.is_floating_point() and value.element_size() < 4
    return np.asarray(value.float() if is_short else value)
