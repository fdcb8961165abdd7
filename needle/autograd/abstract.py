"""AbstractArray: an array of which only shape and dtype exist.

Run on abstract arrays, an op's `compute` tells the shape and dtype of its result and computes
nothing. That is how a lazy tensor knows its shape. What asks for numbers (a boolean mask as an
index, `bool(array)`, a NumPy function without a rule below) raises `NeedsNumbers`.

NumPy itself finds the shapes and dtypes. Where it makes views, it makes them of one element that
all strides of 0 point to. Where it computes, it gets arrays with one more axis in front, of length
0: there is nothing to compute in them.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["AbstractArray", "NeedsNumbers", "abstract_like"]

_ONE_ELEMENT = np.zeros(2)  # the memory of every abstract array: all its strides are 0


class NeedsNumbers(TypeError):
    """A computation asked an abstract array for more than its shape and dtype."""


def abstract_like(array: Any) -> Any:
    """An abstract array of the shape and dtype of `array`; a tuple of them for a tuple."""
    if isinstance(array, tuple):
        return tuple(map(abstract_like, array))
    return AbstractArray(array.shape, array.dtype)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *args, **options: function(a, *args, **options)


class AbstractArray(NDArrayOperatorsMixin):
    """A shape and a dtype that follow NumPy's rules through NumPy's functions.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> x = ndl.autograd.AbstractArray((2, 3), np.dtype("float32"))
        >>> np.matmul(x, x.T).shape
        (2, 2)
    """

    __slots__ = ("view",)

    flags = base = None

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.view = np.ndarray(shape, dtype, _ONE_ELEMENT, strides=(0,) * len(shape))

    shape = property(lambda self: self.view.shape)
    dtype = property(lambda self: self.view.dtype)
    ndim = property(lambda self: self.view.ndim)
    size = property(lambda self: self.view.size)
    T = property(_method(np.transpose))
    copy = _method(np.copy)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return _viewed(np.ndarray.reshape, self, *shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return _viewed(np.ndarray.transpose, self, *axes)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Any:
        return AbstractArray(self.shape, dtype)

    def __repr__(self) -> str:
        return f"AbstractArray({self.shape}, {self.dtype})"

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, AbstractArray) and part.dtype == bool for part in parts):
            raise NeedsNumbers("the shape of a boolean mask's selection depends on its numbers")
        # an axis of length 0 behind the others: NumPy finds the shape and copies nothing
        rest = () if any(part is Ellipsis for part in parts) else (Ellipsis,)
        picked = np.empty((*self.shape, 0))[*map(_view, parts), *rest, :]
        return AbstractArray(picked.shape[:-1], self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        np.broadcast_to(_view(value), self[index].shape)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at":
            return None
        if method != "__call__":
            raise NeedsNumbers(f"np.{ufunc.__name__}.{method} has no rule for abstract arrays")
        out = options.pop("out", None)
        result = RULES.get(ufunc, partial(_elementwise, ufunc))(*inputs, **options)
        return result if out is None else out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function not in RULES:
            raise NeedsNumbers(f"np.{function.__name__} has no rule for abstract arrays")
        return RULES[function](*args, **options)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise NeedsNumbers("an abstract array has a shape and a dtype, but no numbers")

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = item = tolist = _refuse


for _name in (
    "all", "any", "argmax", "argmin", "argsort", "clip", "cumprod", "cumsum", "diagonal", "max",
    "mean", "min", "prod", "ravel", "repeat", "round", "squeeze", "sum", "swapaxes", "take",
):  # fmt: skip
    setattr(AbstractArray, _name, _method(getattr(np, _name)))


def _view(value: Any) -> Any:
    return value.view if isinstance(value, AbstractArray) else value


# --- rules for NumPy's functions


def _empty(operand: Any, ndim: int = 0) -> Any:
    """`operand` with `ndim` axes and an axis of length 0 in front; a Python number as it is."""
    if not hasattr(operand, "shape"):
        return operand
    ones = (1,) * (ndim - len(operand.shape))
    return np.empty((0, *ones, *operand.shape), operand.dtype)


def _abstract(result: Any) -> Any:
    """What is computed from `_empty` arrays, without the axis in front."""
    if isinstance(result, tuple):
        return tuple(map(_abstract, result))
    return AbstractArray(result.shape[1:], result.dtype)


def _viewed(function: Any, *args: Any, **options: Any) -> Any:
    return abstract_like(function(*map(_view, args), **options))


def _elementwise(function: Any, *operands: Any, **options: Any) -> Any:
    """Functions of operands that broadcast, or of stacks of matrices."""
    ndim = max([len(each.shape) for each in operands if hasattr(each, "shape")])
    return _abstract(function(*[_empty(each, ndim) for each in operands], **options))


def _reduced(function: Any, a: Any, axis: Any = None, **options: Any) -> Any:
    if axis is None:  # the lengths do not matter
        return abstract_like(function(np.ones((1,) * a.ndim, a.dtype), **options))
    # counted from the last axis, so that the one in front changes nothing
    is_tuple = isinstance(axis, tuple)
    axes = [each % a.ndim - a.ndim for each in (axis if is_tuple else (axis,))]
    return _abstract(function(_empty(a), axis=tuple(axes) if is_tuple else axes[0], **options))


def _scanned(function: Any, a: Any, axis: Any = -1, **options: Any) -> Any:
    dtype = function(np.ones(1, a.dtype)).dtype
    return AbstractArray((a.size,) if axis is None else a.shape, dtype)


def _product(function: Any, a: Any, b: Any, **options: Any) -> Any:
    left, right = a.shape, b.shape
    if not (left and right) or left[-1] != right[-2 if len(right) > 1 else 0]:
        raise ValueError(f"shapes {left} and {right} have no matrix product")
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    shape = (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))
    return AbstractArray(shape, np.result_type(a.dtype, b.dtype))


def _einsum(function: Any, subscripts: str, *operands: Any, **options: Any) -> Any:
    terms = re.sub("^|(?<=,)|(?<=->)", "...", subscripts)
    return _abstract(np.einsum(terms, *map(_empty, operands), **options))


def _concatenated(function: Any, arrays: Any, axis: int = 0) -> Any:
    axis = axis % arrays[0].ndim - arrays[0].ndim
    return _abstract(np.concatenate([_empty(array) for array in arrays], axis))


def _stacked(function: Any, arrays: Any, axis: int = 0) -> Any:
    return np.concatenate([np.expand_dims(array, axis) for array in arrays], axis)


def _triangular(function: Any, a: Any, k: int = 0) -> Any:
    return AbstractArray(a.shape * 2 if a.ndim == 1 else a.shape, a.dtype)


def _like(function: Any, a: Any, *args: Any, shape: Any = None, **options: Any) -> Any:
    shape = (0, *(a.shape if shape is None else shape))
    return _abstract(function(_empty(a), *args, shape=shape, **options))


_FUNCTIONS: dict[Any, tuple[Any, ...]] = {
    _viewed: (
        np.arange, np.array, np.asarray, np.broadcast_to, np.diagonal, np.empty, np.expand_dims,
        np.eye, np.flip, np.full, np.moveaxis, np.ndarray.reshape, np.ndarray.transpose, np.ones,
        np.reshape, np.squeeze, np.swapaxes, np.transpose, np.zeros,
    ),
    _elementwise: (
        np.clip, np.copy, np.linalg.cholesky, np.linalg.det, np.linalg.eigh, np.linalg.eigvalsh,
        np.linalg.inv, np.linalg.qr, np.linalg.slogdet, np.linalg.solve, np.linalg.svd,
    ),
    _reduced: (
        np.all, np.any, np.argmax, np.argmin, np.count_nonzero, np.max, np.mean, np.min, np.prod,
        np.sum,
    ),
    _scanned: (np.argsort, np.cumprod, np.cumsum, np.sort),
    _triangular: (np.tril, np.triu),
    _like: (np.empty_like, np.full_like, np.ones_like, np.zeros_like),
    _product: (np.dot, np.matmul),
    _concatenated: (np.concatenate,),
    _stacked: (np.stack,),
    _einsum: (np.einsum,),
}  # fmt: skip
RULES: dict[Any, Callable[..., Any]] = {
    **{each: partial(rule, each) for rule, functions in _FUNCTIONS.items() for each in functions},
    np.put_along_axis: lambda *args, **options: None,
    np.take_along_axis: lambda a, indices, axis: AbstractArray(indices.shape, a.dtype),
    np.where: lambda condition, a, b: _elementwise(np.where, condition, a, b),
}
