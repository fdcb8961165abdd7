"""Binds Python's operators, the methods of Tensor and NumPy's functions to the ops, in tables.

np.sum(tensor, axis=0) stays in the graph: a function in the table of NumPy's calls needle's, with
NumPy's argument names; all others get the Tensor's array. NumPy's elementwise functions (np.exp)
take no Tensor, since its `__array_ufunc__` is None.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple
from . import (
    activations,
    arithmetic,
    contraction,
    functions,
    in_place,
    indexing,
    reductions,
    tuples,
    views,
)

_Binary = Callable[[Any, Any], Tensor]
_Operator = Callable[[Tensor, Any], Any]
_NUMBERS = (int, float, np.bool, np.integer, np.floating)
_OPERANDS = (*_NUMBERS, np.ndarray)  # ops make constants of them


def _operator(function: _Binary, with_scalar: _Binary | None = None) -> _Operator:
    """tensor ∘ other; `with_scalar` is the op for a Python or NumPy number, where there is one."""
    op, make = getattr(function, "op", None), Tensor.make_from_op

    def operator(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            return make(op, (self, other)) if op is not None else function(self, other)
        if with_scalar is not None and isinstance(other, _NUMBERS):
            return with_scalar(self, other)
        return function(self, other) if isinstance(other, _OPERANDS) else NotImplemented

    return operator


def _reflected(function: _Binary) -> _Operator:
    """other ∘ tensor, for an array or a number on the left."""

    def operator(self: Tensor, other: Any) -> Any:
        return function(other, self) if isinstance(other, _OPERANDS) else NotImplemented

    return operator


def _of_numbers(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method of a function of several integers: given as one tuple or one by one."""

    @functools.wraps(function)
    def method(self: Tensor, *numbers: Any, **named: Any) -> Tensor:
        return function(self, *((numbers,) if len(numbers) > 1 else numbers), **named)

    return method


_NEEDLES_NAMES = {"axis": "axes", "dim": "axes", "dims": "axes", "keepdim": "keepdims"}


def _over_axes(function: Callable[..., Tensor], method_name: str = "") -> Callable[..., Tensor]:
    """The method of a function of `axes`; errors tell needle's name of an argument."""
    names = inspect.signature(function).parameters.keys()

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        for name in options:
            if name not in names:
                ours = _NEEDLES_NAMES.get(name)
                hint = f": needle calls it {ours!r}" if ours else ""
                whose = method_name or function.__name__
                raise TypeError(f"{whose}() has no argument {name!r}{hint}")
        return function(self, *args, **options)

    return method


def _clamp(self: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """The elements limited to [min, max], as `clip`."""
    return functions.clip(self, min, max)


def _pow(self: Tensor, exponent: Any) -> Tensor:
    """The elements to the power of a number or a tensor, as `**`."""
    return self**exponent


_NUMPYS_FUNCTIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    np.sum: lambda a, axis=None, *, keepdims=False: reductions.summation(a, axis, keepdims),
    np.mean: lambda a, axis=None, *, keepdims=False: reductions.mean(a, axis, keepdims),
    np.var: lambda a, axis=None, *, ddof=0, keepdims=False: reductions.var(a, axis, keepdims, ddof),
    np.std: lambda a, axis=None, *, ddof=0, keepdims=False: reductions.std(a, axis, keepdims, ddof),
    np.prod: lambda a, axis=None, *, keepdims=False: reductions.prod(a, axis, keepdims),
    np.cumsum: lambda a, axis=None: reductions.cumsum(a, axis),
    np.max: lambda a, axis=None, *, keepdims=False: reductions.max(a, axis, keepdims),
    np.min: lambda a, axis=None, *, keepdims=False: reductions.min(a, axis, keepdims),
    np.argmax: lambda a, axis=None, *, keepdims=False: reductions.argmax(a, axis, keepdims),
    np.clip: lambda a, a_min=None, a_max=None: functions.clip(a, a_min, a_max),
    np.concatenate: lambda arrays, axis=0: indexing.concatenate(arrays, axis),
    np.stack: lambda arrays, axis=0: tuples.stack(arrays, axis),
    np.reshape: lambda a, shape: views.reshape(a, shape),
    np.transpose: lambda a, axes=None: views.permute(
        a, range(a.ndim)[::-1] if axes is None else axes
    ),
    np.squeeze: lambda a, axis=None: views.squeeze(a, axis),
    np.expand_dims: lambda a, axis: views.expand_dims(a, axis),
    np.flip: lambda m, axis=None: views.flip(m, axis),
    np.broadcast_to: lambda array, shape: views.broadcast_to(array, shape),
}
_NUMPYS_FUNCTIONS |= {np.amax: _NUMPYS_FUNCTIONS[np.max], np.amin: _NUMPYS_FUNCTIONS[np.min]}


def _call_numpys(
    self: Tensor, function: Callable[..., Any], types: Any, args: Any, options: Any
) -> Any:
    """`function` of NumPy with a Tensor among its arguments (NumPy's `__array_function__`)."""
    ours = _NUMPYS_FUNCTIONS.get(function)
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


_add = _operator(arithmetic.add, arithmetic.add_scalar)
_multiply = _operator(arithmetic.multiply, arithmetic.mul_scalar)

_TENSOR_METHODS: dict[str, Any] = {
    "__add__": _add,
    "__radd__": _add,
    "__sub__": _operator(arithmetic.subtract, arithmetic.subtract_scalar),
    "__rsub__": _operator(
        lambda a, b: arithmetic.subtract(b, a), arithmetic.subtract_from_scalar
    ),
    "__mul__": _multiply,
    "__rmul__": _multiply,
    "__truediv__": _operator(arithmetic.divide, arithmetic.divide_scalar),
    "__rtruediv__": _reflected(arithmetic.divide),
    "__pow__": _operator(arithmetic.power, arithmetic.power_scalar),
    "__rpow__": _reflected(arithmetic.power),
    "__matmul__": _operator(contraction.matmul),
    "__rmatmul__": _reflected(contraction.matmul),
    "__neg__": arithmetic.negate,
    "__abs__": functions.abs,
    "__array_function__": _call_numpys,
    "__getitem__": indexing.getitem,
    "__eq__": _operator(arithmetic.equal),
    "__ne__": _operator(arithmetic.not_equal),
    "__lt__": _operator(arithmetic.less),
    "__le__": _operator(arithmetic.less_equal),
    "__gt__": _operator(arithmetic.greater),
    "__ge__": _operator(arithmetic.greater_equal),
    "T": property(views.transpose),
    "sum": _over_axes(reductions.summation, "sum"),
    "view": _of_numbers(views.reshape),
    "unsqueeze": _over_axes(views.expand_dims),
    "to": functions.to,
    "cpu": functions.cpu,
    "cuda": functions.cuda,
    "clamp": _clamp,
    "pow": _pow,
    **{
        function.__name__: function
        for function in (
            activations.relu, activations.sigmoid, activations.tanh, contraction.matmul,
            functions.abs, functions.astype, functions.clip, functions.cos, functions.exp,
            functions.log, functions.sin, functions.sqrt, reductions.argmax, reductions.cumsum,
            reductions.prod, views.flatten,
        )
    },
    **{
        function.__name__: _of_numbers(function)
        for function in (views.broadcast_to, views.permute, views.reshape, views.transpose)
    },
    **{
        function.__name__: _over_axes(function)
        for function in (
            reductions.logsumexp, reductions.max, reductions.mean, reductions.min,
            reductions.softmax, reductions.std, reductions.var, views.expand_dims, views.flip,
            views.squeeze,
        )
    },
}  # fmt: skip

_TUPLE_METHODS: dict[str, Any] = {
    "__getitem__": tuples.tuple_get_item,
    "__add__": tuples.add_tuples,
    "_with_entries": tuples.with_entries,
}

_AUGMENTED = {
    f"__i{name}__": in_place.augmented(symbol, _TENSOR_METHODS[f"__{name}__"])
    for name, symbol in {
        "add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@",
    }.items()
}  # fmt: skip
_TENSOR_METHODS |= _AUGMENTED | in_place.METHODS

for _type, _methods in ((Tensor, _TENSOR_METHODS), (TensorTuple, _TUPLE_METHODS)):
    for _name, _method in _methods.items():
        setattr(_type, _name, _method)
