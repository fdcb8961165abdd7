"""NumPy's functions on recording arrays, by the functions that a program has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.abstract import RULES, AbstractArray, NeedsNumbers
from .program import Constant, cast, put_along_axis
from .recording import RecordingArray, changed_by, tracer_of

__all__ = ["recorded"]


def recorded(
    tracer: Any, function: Any, args: tuple[Any, ...], options: dict[str, Any], like: Any = None
) -> Any:
    """The recording array of function(*args, **options). `like` is an array of the call."""
    if function in _CREATED:
        return _CREATED[function](like, function, *args, **options)
    rule = _BY_OTHERS.get(function)
    if rule is not None:
        result = rule(*args, **options)
        if result is not NotImplemented:
            return result
    if function is cast:
        a, dtype = args
        if isinstance(a, RecordingArray) and a.dtype == dtype:
            return a.copy()
        if not isinstance(a, RecordingArray):
            a = RecordingArray(tracer, Constant(a))
        abstract: Any = AbstractArray(a.shape, dtype)
    elif isinstance(function, np.ufunc) and not function.signature:
        abstract = RULES.get(function)
        plain = [_plain(arg) for arg in args]
        if abstract is None:
            from_numpy = AbstractArray.__array_ufunc__
            abstract = from_numpy(plain[0], function, "__call__", *plain, **options)
        else:
            abstract = abstract(*plain, **options)
    elif function in RULES:
        abstract = RULES[function](*map(_plain, args), **options)
    else:
        raise NeedsNumbers(f"np.{function.__name__} has no rule for recording")
    return tracer.recorded_as(function, args, options, abstract)


def _plain(arg: Any) -> Any:
    if isinstance(arg, RecordingArray):
        return AbstractArray(arg.shape, arg.dtype)
    return type(arg)([_plain(each) for each in arg]) if isinstance(arg, tuple | list) else arg


def _reshape(a: Any, shape: Any = None, order: str = "C", **options: Any) -> Any:
    if order != "C" or options.pop("copy", None) is not None:
        return NotImplemented
    shape = options.pop("newshape", shape)
    new = np.ndarray.reshape(a.view, shape).shape
    return a.tracer.recorded_as(np.reshape, (a, new), {}, AbstractArray(new, a.dtype))


def _in_new_shape(function: Any) -> Any:
    """Functions that change the shape alone."""
    return lambda a, *args, **options: _reshape(a, function(a.view, *args, **options).shape)


def _permuted(function: Any) -> Any:
    """Functions that change the order of the axes."""

    def rule(a: Any, *args: Any, **options: Any) -> Any:
        numbered = np.empty(tuple(range(2, 2 + a.ndim)), np.bool)
        axes = tuple(length - 2 for length in function(numbered, *args, **options).shape)
        shape = tuple(a.shape[axis] for axis in axes)
        return a.tracer.recorded_as(np.transpose, (a, axes), {}, AbstractArray(shape, a.dtype))

    return rule


def _flipped(a: Any, axis: Any = None) -> Any:
    axes = range(a.ndim) if axis is None else np.atleast_1d(axis) % max(a.ndim, 1)
    backwards = {int(each) for each in axes}
    return a[tuple(slice(None, None, -1 if i in backwards else None) for i in range(a.ndim))]


def _copied(a: Any, dtype: Any = None, **options: Any) -> Any:
    """`np.array` and `np.asarray` of one recording array; views are no copies."""
    if not isinstance(a, RecordingArray):
        return NotImplemented
    return a.copy() if dtype is None or np.dtype(dtype) == a.dtype else a.astype(dtype)


def _broadcast(value: Any, shape: Any, **options: Any) -> Any:
    if not isinstance(value, RecordingArray):
        return NotImplemented
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if shape == value.shape:
        return RecordingArray(value.tracer, value.node)
    abstract = RULES[np.broadcast_to](_plain(value), shape)
    return value.tracer.recorded_as(np.broadcast_to, (value, shape), {}, abstract)


def _filled(a: Any, fill: Any, dtype: Any, shape: Any) -> Any:
    """An array like a, of one number."""
    dtype = a.dtype if dtype is None else np.dtype(dtype)
    shape = a.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    if not isinstance(fill, RecordingArray):
        node = Constant(np.asarray(fill, dtype))
        fill = RecordingArray(a.tracer, node)
    filled: Any = np.broadcast_to(fill.astype(dtype, copy=False), shape)
    return RecordingArray(a.tracer, filled.node)  # no view: it may be written to


def _like(fill: Any) -> Any:
    return lambda a, dtype=None, order="K", subok=True, shape=None, device=None: _filled(
        a, fill, dtype, shape
    )


def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True,
    shape: Any = None, device: Any = None,
) -> Any:  # fmt: skip
    return _filled(a, fill_value, dtype, shape)


def _numbered(like: Any, function: Any, *args: Any, **options: Any) -> Any:
    """`np.arange` and `np.eye`, which refuse numbers that are recorded."""
    return RecordingArray(like.tracer, Constant(function(*args, **options)))


def _filling(fill: Any) -> Any:
    return lambda like, function, shape, dtype=float, order="C": _filled(like, fill, dtype, shape)


def _full(
    like: Any, function: Any, shape: Any, fill: Any, dtype: Any = None, order: Any = "C"
) -> Any:
    return _filled(like, fill, np.asarray(fill).dtype if dtype is None else dtype, shape)


_CREATED: dict[Any, Callable[..., Any]] = {
    np.arange: _numbered, np.eye: _numbered,
    np.zeros: _filling(0), np.empty: _filling(0), np.ones: _filling(1), np.full: _full,
}  # fmt: skip


def _clipped(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    low, high = options.pop("min", a_min), options.pop("max", a_max)
    if options:
        return NotImplemented
    result = a if low is None else np.maximum(a, low)
    result = result if high is None else np.minimum(result, high)
    if out is not None:
        out.write(result)
    return result if out is None else out


def _reduction(function: Any) -> Any:
    def rule(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        **options: Any,
    ) -> Any:
        if options or out is not None or not isinstance(a, RecordingArray):
            return NotImplemented
        if dtype is not None:
            a = a.astype(dtype, copy=False)
        axes = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        for each in axes:
            if not -a.ndim <= each < a.ndim:
                raise np.exceptions.AxisError(each, a.ndim)
        axes = tuple(sorted(each % a.ndim for each in axes))
        full = {"axis": axes, "keepdims": bool(keepdims)}
        found = RULES[function](_plain(a), axis=axis if a.ndim else None, keepdims=bool(keepdims))
        return a.tracer.recorded_as(function, (a,), full, found)

    return rule


def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
    **options: Any,
) -> Any:  # fmt: skip
    if options or out is not None or a.dtype.char not in "fd" or dtype is not None:
        return NotImplemented
    total = np.sum(a, axis=axis, keepdims=keepdims)
    return total / max(a.size // max(total.size, 1), 0) if total.size and a.size else NotImplemented


def _argument(function: Any) -> Any:
    def rule(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        found = RULES[function](_plain(a), axis=axis, keepdims=bool(keepdims))
        if axis is not None:
            axis = int(axis) % a.ndim
        return a.tracer.recorded_as(
            function, (a,), {"axis": axis, "keepdims": bool(keepdims)}, found
        )

    return rule


def _product(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    """np.matmul and np.dot, by products of operands of at least two axes."""
    tracer = tracer_of((a, b))
    if options or not (a.shape and b.shape) or (a.ndim > 2 < b.ndim and out is np.dot):
        return NotImplemented
    left = np.expand_dims(a, 0) if a.ndim == 1 else a
    right = np.expand_dims(b, 1) if b.ndim == 1 else b
    abstract = RULES[np.matmul](_plain(left), _plain(right))
    result = tracer.recorded_as(np.matmul, (left, right), {}, abstract)
    if a.ndim == 1 or b.ndim == 1:
        result = np.reshape(result, RULES[np.matmul](_plain(a), _plain(b)).shape)
    if out is not None:
        out.write(result)
    return result if out is None else out


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if not (hasattr(a, "ndim") and hasattr(b, "ndim")) or not (a.ndim and b.ndim):
        return np.multiply(a, b)
    return NotImplemented if b.ndim > 2 else _product(a, b, out)


def _concatenated(arrays: Any, axis: Any = 0, out: Any = None, **options: Any) -> Any:
    if axis is None or out is not None or options:
        return NotImplemented
    abstract = RULES[np.concatenate]([_plain(array) for array in arrays], axis)
    operands = tuple(arrays), int(axis) % arrays[0].ndim
    return tracer_of(arrays).recorded_as(np.concatenate, operands, {}, abstract)


def _stacked(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    if out is not None or options:
        return NotImplemented
    return np.concatenate([np.expand_dims(array, axis) for array in arrays], axis=axis)


def _taken(a: Any, indices: Any, axis: Any = None, out: Any = None, **options: Any) -> Any:
    if axis is None or out is not None or options:
        return NotImplemented
    return a[(*[slice(None)] * (axis % a.ndim), indices)]


def _put(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    arr._become(changed_by(put_along_axis, arr.node, indices, values, axis))


def _count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(a, 0), axis=axis, keepdims=keepdims)


_BY_OTHERS: dict[Any, Callable[..., Any]] = {
    np.reshape: _reshape,
    **{each: _in_new_shape(each) for each in (np.expand_dims, np.squeeze, np.ravel)},
    **{each: _permuted(each) for each in (np.transpose, np.swapaxes, np.moveaxis)},
    np.matrix_transpose: _permuted(np.matrix_transpose),
    np.flip: _flipped,
    **dict.fromkeys([np.array, np.asarray], _copied),
    np.copy: lambda a, *args, **options: a.copy(),
    np.broadcast_to: _broadcast,
    np.zeros_like: _like(0), np.empty_like: _like(0), np.ones_like: _like(1),
    np.full_like: _full_like,
    np.clip: _clipped,
    **{each: _reduction(each) for each in (np.sum, np.max, np.min, np.prod, np.any, np.all)},
    np.mean: _mean,
    **{each: _argument(each) for each in (np.argmax, np.argmin)},
    np.matmul: _product, np.dot: _dot,
    np.concatenate: _concatenated, np.stack: _stacked,
    np.put_along_axis: _put, np.take: _taken,
    np.count_nonzero: _count_nonzero,
    np.may_share_memory: lambda *args, **options: False,
    np.square: lambda a: np.multiply(a, a),
}  # fmt: skip
