"""NumPy's functions on Tensors: np.exp(x), np.sum(x, axis=0) and np.linalg.norm(x) are needle's.

Each function in the tables calls the op, with NumPy's argument names, and its result is a Tensor in
the graph. Functions whose results have no gradient (np.shape, np.allclose) get the array. So do all
others, but only for a Tensor that no gradient is asked for: otherwise they raise a RuntimeError,
because a term of the gradient would silently be missing.
"""

import inspect
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.watch import is_followed
from . import (
    activations,
    arithmetic,
    einsum,
    functions,
    indexing,
    linalg,
    order,
    picking,
    rearranging,
    reductions,
    tuples,
    views,
)  # fmt: skip
from .linalg.norms import numpys_norm

__all__: list[str] = []


# --- elementwise functions


def _operator(name: str) -> Callable[[Any, Any], Any]:
    """a ∘ b by the operator of the Tensor among them."""
    own, reflected = f"__{name}__", f"__{_REFLECTED.get(name, 'r' + name)}__"

    def call(a: Any, b: Any) -> Any:
        return getattr(a, own)(b) if isinstance(a, Tensor) else getattr(b, reflected)(a)

    return call


_REFLECTED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}

UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: _operator("add"),
    np.subtract: _operator("sub"),
    np.multiply: _operator("mul"),
    np.true_divide: _operator("truediv"),
    np.power: _operator("pow"),
    np.matmul: _operator("matmul"),
    np.floor_divide: _operator("floordiv"),
    np.remainder: _operator("mod"),
    np.bitwise_and: _operator("and"),
    np.bitwise_or: _operator("or"),
    np.bitwise_xor: _operator("xor"),
    np.invert: arithmetic.bitwise_not,
    np.less: _operator("lt"),
    np.less_equal: _operator("le"),
    np.greater: _operator("gt"),
    np.greater_equal: _operator("ge"),
    np.equal: _operator("eq"),
    np.not_equal: _operator("ne"),
    np.absolute: functions.abs,
    np.fabs: functions.abs,
    np.negative: arithmetic.negate,
    np.positive: views.identity,
    np.square: lambda a: arithmetic.power_scalar(a, 2),
    np.reciprocal: lambda a: 1 / a,
    np.deg2rad: lambda a: a * (np.pi / 180),
    np.rad2deg: lambda a: a * (180 / np.pi),
    np.radians: lambda a: a * (np.pi / 180),
    np.degrees: lambda a: a * (180 / np.pi),
    np.rint: functions.round,
    **{
        getattr(np, function.__name__): function
        for function in (
            arithmetic.logical_and, arithmetic.logical_not, arithmetic.logical_or,
            arithmetic.logical_xor, arithmetic.maximum, arithmetic.minimum, functions.arccos,
            functions.arcsin, functions.arctan, functions.arctan2, functions.ceil, functions.cos,
            functions.cosh, functions.exp, functions.exp2, functions.expm1, functions.floor,
            functions.isfinite, functions.isinf, functions.isnan, functions.log, functions.log10,
            functions.log1p, functions.log2, functions.logaddexp, functions.sign, functions.sin,
            functions.sinh, functions.sqrt, functions.tan, activations.tanh,
        )
    },
}  # fmt: skip


# by name: SciPy is not imported
_OF_SCIPY = {"erf": functions.erf, "expit": activations.sigmoid}


# --- other functions


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, axis=None, *, keepdims=False: function(a, axes=axis, keepdims=keepdims)


def _moment(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, axis=None, *, ddof=0, keepdims=False, correction=None: function(
        a, axes=axis, keepdims=keepdims, ddof=ddof if correction is None else correction
    )


def _where(condition: Any, /, *choices: Any) -> Any:
    if not choices:
        return np.where(_arrays(condition))
    x, y = choices
    if not isinstance(condition, Tensor):
        condition = Tensor(condition, requires_grad=False)
    return arithmetic.where(condition if condition.dtype == bool else condition != 0, x, y)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int | np.integer):
        rows = np.split(np.arange(length), indices_or_sections)
    else:
        rows = np.split(np.arange(length), list(indices_or_sections))
    bounds = np.cumsum([0, *map(len, rows)]).tolist()
    before = (slice(None),) * (axis % ary.ndim)
    return [ary[(*before, slice(start, stop))] for start, stop in pairwise(bounds)]


def _rows(a: Any) -> Any:
    return a if a.ndim > 1 else views.reshape(a, (1, -1))


def _vector(a: Any) -> Any:
    return a if a.ndim else views.reshape(a, (1,))


def _swapped_triangle(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, UPLO="L": function(a if UPLO == "L" else a.transpose())


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    # reductions and scans
    np.sum: _reduction(reductions.summation),
    np.mean: _reduction(reductions.mean),
    np.var: _moment(reductions.var),
    np.std: _moment(reductions.std),
    np.prod: _reduction(reductions.prod),
    np.max: _reduction(order.max),
    np.min: _reduction(order.min),
    np.any: _reduction(reductions.any),
    np.all: _reduction(reductions.all),
    np.argmax: lambda a, axis=None, *, keepdims=False: order.argmax(a, axis, keepdims),
    np.argmin: lambda a, axis=None, *, keepdims=False: order.argmin(a, axis, keepdims),
    np.cumsum: lambda a, axis=None: reductions.cumsum(a, axis),
    np.cumprod: lambda a, axis=None: reductions.cumprod(a, axis),
    np.diff: lambda a, n=1, axis=-1: rearranging.diff(a, n, axis),
    np.ptp: lambda a, axis=None: order.max(a, axes=axis) - order.min(a, axes=axis),
    # order
    np.median: lambda a, axis=None, *, keepdims=False: order.median(
        a, axis=axis, keepdims=keepdims),
    np.quantile: lambda a, q, axis=None, *, method="linear", keepdims=False: order.quantile(
        a, q, axis, keepdims, method=method),
    np.percentile: lambda a, q, axis=None, *, method="linear", keepdims=False: order.quantile(
        a, (q if isinstance(q, Tensor) else np.asarray(q)) / 100, axis, keepdims, method=method),
    np.bincount: lambda x, /, weights=None, minlength=0: order.bincount(x, weights, minlength),
    np.sort: lambda a, axis=-1: order.sort(a, axis=axis),
    np.argsort: lambda a, axis=-1: order.argsort(a, axis),
    np.unique: lambda ar, return_index=False, return_inverse=False, return_counts=False: (
        order.unique(ar, return_index=return_index, return_inverse=return_inverse,
                     return_counts=return_counts)),
    # elements
    np.clip: lambda a, a_min=None, a_max=None, *, min=None, max=None: functions.clip(
        a, a_min if min is None else min, a_max if max is None else max),
    np.round: lambda a, decimals=0: functions.round(a, decimals),
    np.where: _where,
    np.take: lambda a, indices, axis=None: (
        indexing.getitem(views.reshape(a, -1), indices) if axis is None
        else picking.index_select(a, axis, indices)),
    np.take_along_axis: lambda arr, indices, axis=-1: picking.take_along_axis(
        arr, indices, axis),
    np.copy: lambda a: rearranging.clone(a),
    # joining and taking apart
    np.concatenate: lambda arrays, axis=0: (
        indexing.concatenate(arrays, axis) if axis is not None
        else indexing.concatenate([views.reshape(each, -1) for each in arrays])),
    np.stack: lambda arrays, axis=0: tuples.stack(arrays, axis),
    np.vstack: lambda tup: rearranging.vstack(tup),
    np.hstack: lambda tup: rearranging.hstack(tup),
    np.split: _split,
    np.meshgrid: lambda *xi, indexing="xy": rearranging.meshgrid(*xi, indexing=indexing),
    # shapes
    np.reshape: lambda a, shape: views.reshape(a, shape),
    np.ravel: lambda a: views.reshape(a, -1),
    np.transpose: lambda a, axes=None: views.permute(
        a, range(a.ndim)[::-1] if axes is None else axes),
    np.matrix_transpose: lambda x: views.transpose(x),
    np.swapaxes: lambda a, axis1, axis2: rearranging.swapaxes(a, axis1, axis2),
    np.moveaxis: lambda a, source, destination: rearranging.moveaxis(a, source, destination),
    np.squeeze: lambda a, axis=None: views.squeeze(a, axis),
    np.expand_dims: lambda a, axis: views.expand_dims(a, axis),
    np.atleast_1d: _vector,
    np.atleast_2d: _rows,
    np.flip: lambda m, axis=None: views.flip(m, axis),
    np.flipud: lambda m: views.flip(m, 0),
    np.fliplr: lambda m: views.flip(m, 1),
    np.roll: lambda a, shift, axis=None: rearranging.roll(a, shift, axis),
    np.broadcast_to: lambda array, shape: views.broadcast_to(array, shape),
    np.tile: lambda A, reps: rearranging.tile(A, reps),
    np.repeat: lambda a, repeats, axis=None: rearranging.repeat(a, repeats, axis),
    np.pad: lambda array, pad_width, mode="constant", *, constant_values=0: rearranging.pad(
        array, np.broadcast_to(pad_width, (array.ndim, 2)), mode, constant_values),
    # products
    np.dot: lambda a, b: einsum.dot(a, b),
    np.inner: lambda a, b: einsum.inner(a, b),
    np.vdot: lambda a, b: einsum.dot(
        views.reshape(a, -1), views.reshape(b, -1)),
    np.outer: lambda a, b: einsum.outer(a, b),
    np.tensordot: lambda a, b, axes=2: einsum.tensordot(a, b, axes),
    np.einsum: lambda subscripts, *operands, optimize=False: einsum.einsum(
        subscripts, *operands),
    # matrices
    np.diagonal: lambda a, offset=0, axis1=0, axis2=1: linalg.diagonal(a, offset, axis1, axis2),
    np.diag: lambda v, k=0: (
        linalg.diagonal(v, k) if v.ndim > 1
        else linalg.DiagonalMatrix((v.shape[0] + abs(k),) * 2, k)(v)),
    np.trace: lambda a, offset=0, axis1=0, axis2=1: linalg.trace(a, offset, axis1, axis2),
    np.tril: lambda m, k=0: linalg.tril(m, k),
    np.triu: lambda m, k=0: linalg.triu(m, k),
    np.linalg.norm: lambda x, ord=None, axis=None, keepdims=False: numpys_norm(
        x, ord, axis, keepdims),
    np.linalg.vector_norm: lambda x, /, *, axis=None, keepdims=False, ord=2: linalg.vector_norm(
        x, ord, axis, keepdims),
    np.linalg.matrix_norm: lambda x, /, *, keepdims=False, ord="fro": linalg.norm(
        x, ord, (-2, -1), keepdims),
    np.linalg.matmul: lambda x1, x2, /: _operator("matmul")(x1, x2),
    np.linalg.outer: lambda x1, x2, /: einsum.outer(x1, x2),
    np.linalg.tensordot: lambda x1, x2, /, *, axes=2: einsum.tensordot(x1, x2, axes),
    np.linalg.diagonal: lambda x, /, *, offset=0: linalg.diagonal(x, offset, -2, -1),
    np.linalg.trace: lambda x, /, *, offset=0: linalg.trace(x, offset, -2, -1),
    np.linalg.matrix_transpose: lambda x, /: views.transpose(x),
    np.linalg.solve: lambda a, b: linalg.solve(a, b),
    np.linalg.lstsq: lambda a, b, rcond=None: linalg.lstsq(a, b, rcond),
    np.linalg.inv: lambda a: linalg.inv(a),
    np.linalg.pinv: lambda a, rcond=None, hermitian=False, *, rtol=None: linalg.pinv(
        a, rcond, hermitian, rtol=rtol),
    np.linalg.multi_dot: lambda arrays: linalg.multi_dot(arrays),
    np.linalg.det: lambda a: linalg.det(a),
    np.linalg.slogdet: lambda a: linalg.slogdet(a),
    np.linalg.cholesky: lambda a: linalg.cholesky(a),
    np.linalg.eigh: _swapped_triangle(linalg.eigh),
    np.linalg.eigvalsh: _swapped_triangle(linalg.eigvalsh),
    np.linalg.qr: lambda a: linalg.qr(a),
    np.linalg.svd: lambda a, full_matrices=True, compute_uv=True: (
        linalg.svd(a, full_matrices) if compute_uv else linalg.svdvals(a)),
    np.linalg.svdvals: lambda x, /: linalg.svdvals(x),
}  # fmt: skip

FUNCTIONS |= {
    np.amax: FUNCTIONS[np.max],
    np.amin: FUNCTIONS[np.min],
    np.around: FUNCTIONS[np.round],
}

# their results are shapes, truth values, indices, counts, texts and files
_WITHOUT_GRADIENT = {
    np.shape, np.ndim, np.size, np.allclose, np.array_equal, np.array_equiv, np.isclose,
    np.array2string, np.array_repr, np.array_str, np.save, np.savez, np.savez_compressed,
    np.savetxt, np.zeros_like, np.ones_like, np.empty_like, np.result_type,
    np.can_cast, np.min_scalar_type, np.common_type, np.may_share_memory, np.shares_memory,
    np.iscomplexobj, np.isrealobj, np.iscomplex, np.isreal, np.isposinf, np.isneginf,
    np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero, np.searchsorted, np.digitize,
    np.argpartition, np.nanargmax, np.nanargmin, np.lexsort,
    np.broadcast_shapes, np.isin, np.unravel_index,
    np.signbit, np.left_shift, np.right_shift,
}  # fmt: skip

# of their first argument they take the shape and the dtype only
_LIKE_FIRST = {np.full_like}

_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, complex)

# write into their first argument
_WRITING = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}


def call_function(
    self: Tensor, function: Callable[..., Any], types: Any, args: Any, options: Any
) -> Any:
    """`function` of NumPy with a Tensor among its arguments (NumPy's `__array_function__`)."""
    ours = FUNCTIONS.get(function)
    if ours is None:
        return _of_arrays(function, f"np.{_path(function)}", function, args, options)
    try:
        return ours(*args, **options)
    except TypeError:
        takes = inspect.signature(ours)
        try:
            takes.bind(*args, **options)
        except TypeError as error:
            raise TypeError(
                f"np.{_path(function)} of a Tensor: {error}; it takes {takes}, and "
                "tensor.numpy() is an array for which NumPy's function has all its arguments"
            ) from None
        raise


def call_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """An elementwise function of NumPy with a Tensor among its operands (`__array_ufunc__`)."""
    if method == "__call__" and not options and (ours := UFUNCS.get(ufunc)) is not None:
        result = ours(*inputs)
        if result is NotImplemented and all(isinstance(each, _OPERANDS) for each in inputs):
            kinds = " and ".join(str(getattr(each, "dtype", type(each))) for each in inputs)
            raise TypeError(f"np.{ufunc.__name__} of a Tensor: unsupported operands of {kinds}")
        return result
    is_numpys = getattr(np, ufunc.__name__, None) is ufunc
    if not is_numpys and method == "__call__" and not options and ufunc.__name__ in _OF_SCIPY:
        return _OF_SCIPY[ufunc.__name__](*inputs)
    name = ("np." if is_numpys else "") + ufunc.__name__
    name += "" if method == "__call__" else f".{method}"
    if method == "at" and isinstance(inputs[0], Tensor):
        raise TypeError(f"{name} cannot write into a Tensor: use x.at[index]")
    return _of_arrays(ufunc, name, getattr(ufunc, method), inputs, options)


def _path(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}".removeprefix("numpy.")


def _of_arrays(function: Any, name: str, call: Callable[..., Any], args: Any, options: Any) -> Any:
    """NumPy's own function of the arrays of Tensors, if no gradient is lost."""
    out = options.get("out")
    if any(isinstance(each, Tensor) for each in _entries((out, args[: function in _WRITING]))):
        raise TypeError(
            f"{name} cannot write into a Tensor: use x.copy_(...), x.fill_(...) or x[...] = value"
        )
    if function not in _WITHOUT_GRADIENT or out is not None:
        for each in _entries((args[function in _LIKE_FIRST :], options)):
            if isinstance(each, Tensor) and is_followed(each):
                raise RuntimeError(
                    f"{name} of a tensor that requires a gradient: needle has no op for it in this "
                    "form, so that its part of the gradient would be missing. Use needle's "
                    "functions, or x.detach() for a constant"
                )
    return call(*_arrays(args), **_arrays(options))


def _entries(value: Any) -> Iterator[Any]:
    """What is inside of tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value


def _arrays(value: Any) -> Any:
    """`value` with arrays in place of Tensors, also inside tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value._array()
    if isinstance(value, tuple | list):
        return type(value)([_arrays(entry) for entry in value])
    if isinstance(value, dict):
        return {name: _arrays(entry) for name, entry in value.items()}
    return value


METHODS = {"__array_function__": call_function, "__array_ufunc__": call_ufunc}
