"""NumPy's functions of Tensors: np.sum(tensor, axis=0) stays in the graph.

A function in the table calls needle's, with NumPy's argument names; all others get the Tensor's
array. NumPy's elementwise functions (np.exp) take no Tensor, since its `__array_ufunc__` is None.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor
from .functions import clip
from .indexing import concatenate
from .reductions import argmax, max, mean, min, std, summation, var
from .scans import cumsum, prod
from .tuples import stack
from .views import broadcast_to, expand_dims, flip, permute, reshape, squeeze

__all__ = ["call"]

_FUNCTIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    np.sum: lambda a, axis=None, *, keepdims=False: summation(a, axis, keepdims),
    np.mean: lambda a, axis=None, *, keepdims=False: mean(a, axis, keepdims),
    np.var: lambda a, axis=None, *, ddof=0, keepdims=False: var(a, axis, keepdims, ddof),
    np.std: lambda a, axis=None, *, ddof=0, keepdims=False: std(a, axis, keepdims, ddof),
    np.prod: lambda a, axis=None, *, keepdims=False: prod(a, axis, keepdims),
    np.cumsum: lambda a, axis=None: cumsum(a, axis),
    np.max: lambda a, axis=None, *, keepdims=False: max(a, axis, keepdims),
    np.min: lambda a, axis=None, *, keepdims=False: min(a, axis, keepdims),
    np.argmax: lambda a, axis=None, *, keepdims=False: argmax(a, axis, keepdims),
    np.clip: lambda a, a_min=None, a_max=None: clip(a, a_min, a_max),
    np.concatenate: lambda arrays, axis=0: concatenate(arrays, axis),
    np.stack: lambda arrays, axis=0: stack(arrays, axis),
    np.reshape: lambda a, shape: reshape(a, shape),
    np.transpose: lambda a, axes=None: permute(a, range(a.ndim)[::-1] if axes is None else axes),
    np.squeeze: lambda a, axis=None: squeeze(a, axis),
    np.expand_dims: lambda a, axis: expand_dims(a, axis),
    np.flip: lambda m, axis=None: flip(m, axis),
    np.broadcast_to: lambda array, shape: broadcast_to(array, shape),
}
_FUNCTIONS |= {np.amax: _FUNCTIONS[np.max], np.amin: _FUNCTIONS[np.min]}


def call(self: Tensor, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
    """`function` of NumPy with a Tensor among its arguments (NumPy's `__array_function__`)."""
    ours = _FUNCTIONS.get(function)
    if ours is None:
        return function(*_arrays(args), **_arrays(options))
    try:
        inspect.signature(ours).bind(*args, **options)
    except TypeError as error:
        raise TypeError(
            f"np.{function.__name__} of a Tensor: {error}; it takes {inspect.signature(ours)}, "
            "and tensor.numpy() is an array for which NumPy's function has all its arguments"
        ) from None
    return ours(*args, **options)


def _arrays(value: Any) -> Any:
    """`value` with arrays in place of Tensors, also inside tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value._array()
    if isinstance(value, tuple | list):
        return type(value)([_arrays(entry) for entry in value])
    if isinstance(value, dict):
        return {name: _arrays(entry) for name, entry in value.items()}
    return value
