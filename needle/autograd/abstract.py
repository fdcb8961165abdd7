"""AbstractArray: an array of which only shape and dtype exist.

Run on abstract arrays, an op's `compute` tells the shape and dtype of its result and computes
nothing. That is how a lazy tensor knows its shape. What asks for numbers (a boolean mask as an
index, `bool(array)`, a NumPy function without a rule below) raises `NeedsNumbers`.
"""

from collections.abc import Callable
from functools import lru_cache, partial
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


def _by_view(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *args, **options: abstract_like(function(a.view, *args, **options))


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *args, **options: _RULES[function](a, *args, **options)


class AbstractArray(NDArrayOperatorsMixin):
    """A shape and a dtype that follow NumPy's rules through NumPy's functions."""

    __slots__ = ("view",)

    flags = base = None

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        # NumPy itself knows what its views do to shapes, and this costs neither memory nor time
        self.view = np.ndarray(shape, dtype, _ONE_ELEMENT, strides=(0,) * len(shape))

    shape = property(lambda self: self.view.shape)
    dtype = property(lambda self: self.view.dtype)
    ndim = property(lambda self: self.view.ndim)
    size = property(lambda self: self.view.size)
    T = property(_by_view(np.transpose))

    reshape = _by_view(np.ndarray.reshape)
    transpose = _by_view(np.ndarray.transpose)
    copy = _method(np.copy)
    sum, max, min, mean = _method(np.sum), _method(np.max), _method(np.min), _method(np.mean)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Any:
        return AbstractArray(self.shape, dtype)

    def __repr__(self) -> str:
        return f"AbstractArray({self.shape}, {self.dtype})"

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, index: Any) -> Any:
        return AbstractArray(_indexed_shape(self.view, index), self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        np.broadcast_shapes(_indexed_shape(self.view, index), np.shape(_view(value)))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at":
            return None
        if method != "__call__":
            raise NeedsNumbers(f"np.{ufunc.__name__}.{method} has no rule for abstract arrays")
        shape = _product_shape(*inputs) if ufunc is np.matmul else _broadcast_shape(inputs)
        dtypes = _ufunc_dtypes(ufunc, tuple(map(_dtype, inputs)), options.get("dtype"))
        if (out := options.get("out")) is not None:
            return out[0] if len(out) == 1 else out
        results = tuple([AbstractArray(shape, dtype) for dtype in dtypes])
        return results if len(results) > 1 else results[0]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        rule = _RULES.get(function)
        if rule is None:
            raise NeedsNumbers(f"np.{function.__name__} has no rule for abstract arrays")
        return rule(*args, **options)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise NeedsNumbers("an abstract array has a shape and a dtype, but no numbers")

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = item = tolist = _refuse


def _view(value: Any) -> Any:
    return value.view if isinstance(value, AbstractArray) else value


def _broadcast_shape(arrays: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(*[np.shape(_view(array)) for array in arrays])


def _dtype(operand: Any) -> Any:
    """The dtype of an array, the type of a Python number, which widens no array."""
    if isinstance(operand, bool):
        return np.dtype(bool)
    return operand.dtype if hasattr(operand, "dtype") else type(operand)


@lru_cache
def _ufunc_dtypes(ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    if all(isinstance(each, type) for each in inputs):  # Python numbers only
        inputs = tuple([np.dtype(each) for each in inputs])
    options: dict[str, Any] = {}
    if dtype is not None:
        options["signature"] = (*[None] * ufunc.nin, *[np.dtype(dtype)] * ufunc.nout)
    return ufunc.resolve_dtypes((*inputs, *[None] * ufunc.nout), **options)[ufunc.nin :]


def _result_dtype(operands: Any) -> np.dtype:
    return np.result_type(*[getattr(each, "dtype", each) for each in operands])


def _product_shape(a: Any, b: Any) -> tuple[int, ...]:
    left, right = a.shape, b.shape
    if not (left and right) or left[-1] != right[-2 if len(right) > 1 else 0]:
        raise ValueError(f"shapes {left} and {right} have no matrix product")
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    return (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def _indexed_shape(view: np.ndarray, index: Any) -> tuple[int, ...]:
    """The shape of view[index], by NumPy's rules for basic and advanced indexing."""
    parts = list(index) if isinstance(index, tuple) else [index]
    arrays = [part for part in parts if hasattr(part, "dtype") and part.ndim]
    if any(hasattr(part, "dtype") and part.dtype == bool for part in parts):
        raise NeedsNumbers("the shape of a boolean mask's selection depends on its numbers")
    if not arrays:
        return view[tuple(map(_view, parts))].shape
    if any(isinstance(part, bool) for part in parts):
        raise NeedsNumbers("True or False among arrays of indices is left to NumPy")
    if Ellipsis not in [part for part in parts if not hasattr(part, "dtype")]:
        parts.append(Ellipsis)
    named = sum(part is not None and part is not Ellipsis for part in parts)
    at = next(place for place, part in enumerate(parts) if part is Ellipsis)
    # an Ellipsis separates the indices around it even where it stands for no axis
    places = [place for place, part in enumerate(parts) if _is_advanced(part)]
    is_together = places[-1] - places[0] == len(places) - 1
    parts[at : at + 1] = [slice(None)] * (view.ndim - named)
    is_advanced = list(map(_is_advanced, parts))
    picked = np.broadcast_shapes(*[np.shape(_view(part)) for part in arrays])
    # an advanced index keeps its axis here, at length 1, and gives it up below
    basic = [
        slice(0, 1) if advanced else part for advanced, part in zip(is_advanced, parts, strict=True)
    ]
    lengths = view[tuple(basic)].shape
    places = [place for place, advanced in enumerate(is_advanced) if advanced]
    first = places[0] if is_together else 0
    others = [length for place, length in enumerate(lengths) if place not in places]
    return (*others[:first], *picked, *others[first:])


def _is_advanced(part: Any) -> bool:
    return hasattr(part, "dtype") or isinstance(part, int)


# --- rules for NumPy's functions


def _created(function: Callable[..., Any]) -> Callable[..., Any]:
    """np.arange(..., like=array) and its kin."""
    return lambda *args, **options: abstract_like(function(*map(_view, args), **options))


def _created_shape(shape: Any, dtype: Any = None, **options: Any) -> Any:
    return AbstractArray(tuple(shape), float if dtype is None else dtype)


def _like(a: Any, dtype: Any = None, shape: Any = None, **options: Any) -> Any:
    shape = a.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    return AbstractArray(shape, a.dtype if dtype is None else dtype)


def _broadcast(*arrays: Any) -> Any:
    return AbstractArray(_broadcast_shape(arrays), _result_dtype(arrays))


@lru_cache
def _reduced_dtype(function: Callable[..., Any], dtype: np.dtype) -> np.dtype:
    return function(np.ones(1, dtype)).dtype


def _reduced(
    function: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: bool = False,
    **others: Any,
) -> Any:
    axes = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {each % a.ndim for each in axes}
    lengths = [1 if place in gone else length for place, length in enumerate(a.shape)]
    if not keepdims:
        lengths = [length for place, length in enumerate(lengths) if place not in gone]
    return AbstractArray(tuple(lengths), dtype or _reduced_dtype(function, a.dtype))


def _scanned(function: Any, a: Any, axis: Any = -1, **options: Any) -> Any:
    return AbstractArray((a.size,) if axis is None else a.shape, _reduced_dtype(function, a.dtype))


def _einsum(subscripts: str, *operands: Any, **options: Any) -> Any:
    terms, result = subscripts.split("->")
    length: dict[str, int] = {}
    for term, operand in zip(terms.split(","), operands, strict=True):
        length.update(zip(term, operand.shape, strict=True))
    return AbstractArray(tuple([length[label] for label in result]), _result_dtype(operands))


def _concatenated(arrays: Any, axis: int = 0) -> Any:
    if len({array.shape[:axis] + array.shape[axis:][1:] for array in arrays}) > 1:
        raise ValueError("arrays that are concatenated have equal lengths along the other axes")
    shape = list(arrays[0].shape)
    shape[axis] = sum(array.shape[axis] for array in arrays)
    return AbstractArray(tuple(shape), _result_dtype(arrays))


def _linalg(*outputs: str) -> Callable[..., Any]:
    """The rule of a function of m×n matrices: the axes of each output, with k = min(m, n)."""

    def rule(a: Any, *args: Any, **options: Any) -> Any:
        *batch, m, n = a.shape
        length = {"m": m, "n": n, "k": min(m, n)}
        dtype = a.dtype if a.dtype.kind == "f" else np.float64
        results = [
            AbstractArray((*batch, *[length[axis] for axis in axes]), dtype) for axes in outputs
        ]
        return tuple(results) if len(results) > 1 else results[0]

    return rule


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return _linalg("k")(a)
    return _linalg("mm" if full_matrices else "mk", "k", "nn" if full_matrices else "kn")(a)


_RULES: dict[Any, Callable[..., Any]] = {
    **{
        function: _by_view(function)
        for function in (
            np.broadcast_to, np.diagonal, np.expand_dims, np.flip, np.moveaxis, np.reshape,
            np.squeeze, np.swapaxes, np.transpose,
        )
    },
    **{function: _created(function) for function in (np.arange, np.eye, np.asarray, np.array)},
    **dict.fromkeys((np.empty_like, np.ones_like, np.zeros_like), _like),
    **dict.fromkeys((np.empty, np.ones, np.zeros), _created_shape),
    **dict.fromkeys((np.tril, np.triu), lambda a, *args, **options: AbstractArray(
        a.shape * 2 if a.ndim == 1 else a.shape, a.dtype
    )),
    np.copy: lambda a, *args, **options: _like(a),
    np.full: lambda shape, value, *args, **options: _created_shape(shape, *args, **options),
    np.full_like: lambda a, value, *args, **options: _like(a, *args, **options),
    **{
        function: partial(_reduced, function)
        for function in (
            np.all, np.any, np.argmax, np.argmin, np.count_nonzero, np.max, np.mean, np.min,
            np.prod, np.sum,
        )
    },
    **{
        function: partial(_scanned, function)
        for function in (np.argsort, np.cumprod, np.cumsum, np.sort)
    },
    np.clip: lambda *arrays, **options: _broadcast(*[each for each in arrays if each is not None]),
    np.concatenate: _concatenated,
    np.dot: lambda a, b, **options: AbstractArray(_product_shape(a, b), _result_dtype((a, b))),
    np.einsum: _einsum,
    np.put_along_axis: lambda *args, **options: None,
    np.stack: lambda arrays, axis=0: _concatenated(
        [np.expand_dims(array, axis) for array in arrays], axis
    ),
    np.take_along_axis: lambda a, indices, axis: AbstractArray(indices.shape, a.dtype),
    np.where: lambda condition, a, b: AbstractArray(
        _broadcast_shape((condition, a, b)), _result_dtype((a, b))
    ),
    np.linalg.cholesky: _linalg("mn"),
    np.linalg.det: _linalg(""),
    np.linalg.eigh: _linalg("n", "mn"),
    np.linalg.eigvalsh: _linalg("n"),
    np.linalg.inv: _linalg("mn"),
    np.linalg.qr: _linalg("mk", "kn"),
    np.linalg.slogdet: _linalg("", ""),
    np.linalg.solve: lambda a, b: AbstractArray(
        (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]),
        np.result_type(_result_dtype((a, b)), np.float32),
    ),
    np.linalg.svd: _svd,
}  # fmt: skip
