"""Functions of NumPy arrays: they get Tensors, and what they return becomes arrays again."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .tree import flatten, substituted

__all__ = ["as_arrays", "as_tensors", "only_arrays"]


def only_arrays(args: Sequence[Any]) -> bool:
    """Whether there are NumPy arrays among the arguments, and no Tensors."""
    if any(isinstance(each, Tensor) for each in args):  # the usual case
        return False
    return not flatten(args)[0] and bool(flatten(as_tensors(args))[0])


def as_tensors(tree: Any) -> Any:
    """A nested container with constants in the place of NumPy arrays."""
    if isinstance(tree, np.ndarray | np.generic):
        return Tensor(tree, requires_grad=False)
    if isinstance(tree, dict):
        result = copy.copy(tree)
        result.update({key: as_tensors(value) for key, value in tree.items()})
        return result
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(as_tensors, tree))
    if isinstance(tree, tuple | list):
        return type(tree)(map(as_tensors, tree))
    return tree


def as_arrays(tree: Any) -> Any:
    """A nested container with NumPy arrays in the place of Tensors."""
    return substituted(tree, lambda tensor: tensor.numpy())
