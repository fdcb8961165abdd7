"""Loading a saved state into a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import Tensor, assign

if TYPE_CHECKING:
    from .module import Module

__all__ = ["MismatchedKeys", "load_state"]


class MismatchedKeys(NamedTuple):
    """Names that only the model has, and names that only the state has."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state(module: Module, state: Mapping[str, Any], strict: bool) -> MismatchedKeys:
    """`Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"load_state_dict takes a dict of names and Tensors, got {type(state).__name__}: "
            "needle.load(path) gives the one in a file"
        )
    own = dict(module._state())
    arrays = {name: _array(name, state[name]) for name in own if name in state}
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    differences = [
        f"{name} has shape {own[name].shape} in the model, {array.shape} in the state"
        for name, array in arrays.items()
        if array.shape != own[name].shape
    ]
    if strict:
        differences += [f"{name} is missing from the state" for name in missing]
        differences += [f"{name} is unknown to the model" for name in unexpected]
    if differences:
        raise ValueError(
            f"the state does not fit this {type(module).__name__}, nothing was loaded:\n  "
            + "\n  ".join(differences)
        )
    for name, array in arrays.items():
        target = own[name]
        assign(target, Tensor(array, device=target.device, dtype=target.dtype))
    return MismatchedKeys(missing, unexpected)


def _array(name: str, value: Any) -> Any:
    array = value.realize_cached_data() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(
            f"state of {name}: expected a Tensor or an array of real numbers, got {kind}"
        )
    return array
