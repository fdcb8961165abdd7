"""Binds Python's operators and the methods of Tensor to the ops, in tables."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple
from . import (
    activations,
    arithmetic,
    contraction,
    einsum,
    facts,
    functions,
    in_place,
    indexing,
    numpy_functions,
    order,
    picking,
    rearranging,
    reductions,
    tuples,
    views,
)
from .linalg import vector_norm
from .multinomial import multinomial
from .names import by_any_name

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


def _as_type(name: str, dtype: str) -> Callable[[Tensor], Tensor]:
    def method(self: Tensor) -> Tensor:
        return functions.astype(self, dtype)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The elements as {dtype}."
    return method


def _pow(self: Tensor, exponent: Any) -> Tensor:
    """The elements to the power of a number or a tensor, as `**`."""
    return self**exponent


def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of another tensor."""
    return views.reshape(self, other.shape)


def _repeat(self: Tensor, *repeats: Any, **options: Any) -> Tensor:
    """Each slice along `axis` several times in a row, as the function `repeat`."""
    if not options:
        raise TypeError(
            "x.repeat(...) is ambiguous: use x.tile(...) for PyTorch's repeat of the whole tensor, "
            "and x.repeat_interleave(...) or x.repeat(n, axis=...) for NumPy's repeat of elements"
        )
    return rearranging.repeat(self, *repeats, **options)


def _norm(self: Tensor, p: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over `axis`, by default of all elements."""
    return vector_norm(self, 2 if p == "fro" else p, axis, keepdims)


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
    **{
        f"__{side}{name}__": make(function)
        for name, function in {
            "matmul": contraction.matmul, "floordiv": arithmetic.floor_divide,
            "mod": arithmetic.remainder, "and": arithmetic.bitwise_and,
            "or": arithmetic.bitwise_or, "xor": arithmetic.bitwise_xor,
        }.items()
        for side, make in (("", _operator), ("r", _reflected))
    },
    "__invert__": arithmetic.bitwise_not,
    "__neg__": arithmetic.negate,
    "__pos__": views.identity,
    "__abs__": functions.abs,
    "__round__": functions.round,
    "__getitem__": indexing.getitem,
    "__setitem__": picking.set_item,
    **{
        key: value
        for name, function in {
            "eq": arithmetic.equal, "ne": arithmetic.not_equal, "lt": arithmetic.less,
            "le": arithmetic.less_equal, "gt": arithmetic.greater, "ge": arithmetic.greater_equal,
        }.items()
        for key, value in ((f"__{name}__", _operator(function)), (name, function))
    },
    "T": property(views.t),
    "mT": property(views.matrix_transpose),
    "at": property(picking.At),
    "view": _of_numbers(views.reshape),
    "view_as": _reshape_as,
    "reshape_as": _reshape_as,
    "unsqueeze": views.unsqueeze,
    "clamp": functions.clamp,
    "movedim": rearranging.movedim,
    "log_softmax": reductions.log_softmax,
    "pow": _pow,
    "equal": facts.array_equal,
    "norm": by_any_name(_norm),
    "_sum_to": reductions.sum_to,
    "repeat": _repeat,
    "split": rearranging.pieces,
    "repeat_interleave": rearranging.repeat,
    **{
        name: _as_type(name, dtype)
        for name, dtype in {
            "bool": "bool", "int": "int32", "long": "int64",
            "half": "float16", "float": "float32", "double": "float64",
        }.items()
    },
    **{
        function.__name__: function
        for function in (
            activations.relu, activations.sigmoid, activations.tanh, contraction.matmul, einsum.bmm,
            einsum.dot, einsum.inner, einsum.mm, einsum.mv, einsum.outer, facts.allclose,
            facts.is_floating_point, functions.isclose, functions.abs, functions.arccos,
            functions.arcsin, functions.arctan, functions.astype, functions.ceil, functions.clip,
            functions.cos, functions.cosh, functions.cpu, functions.cuda, functions.erf,
            functions.exp, functions.expm1, functions.floor, functions.isfinite, functions.isinf,
            functions.isnan, functions.log, functions.log10, functions.log1p, functions.log2,
            functions.round, functions.sign, functions.sin, functions.sinh, functions.sqrt,
            functions.tan, functions.to, multinomial, order.amax, order.amin, order.argmax,
            order.argmin, order.argsort, order.bincount, order.max, order.median, order.min,
            order.quantile, order.sort, order.topk, order.unique, picking.gather, picking.index_add,
            picking.index_fill, picking.index_select, picking.masked_fill, picking.scatter,
            picking.scatter_add, rearranging.chunk, rearranging.clone, rearranging.diff,
            rearranging.contiguous, rearranging.moveaxis, rearranging.roll, rearranging.swapaxes,
            rearranging.tile, rearranging.unbind, reductions.all, reductions.any,
            reductions.cumprod, reductions.cumsum, reductions.logcumsumexp, reductions.logsumexp,
            reductions.mean, reductions.prod, reductions.softmax, reductions.std, reductions.sum,
            reductions.var, views.expand, views.expand_as, views.expand_dims, views.flatten,
            views.flip, views.squeeze, views.t,
        )
    },
    **{
        function.__name__: _of_numbers(function)
        for function in (views.broadcast_to, views.permute, views.reshape, views.transpose)
    },
    **numpy_functions.METHODS,
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
        "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^",
    }.items()
}  # fmt: skip
_INDICES = (1, "index")
_CHANGING: dict[Callable[..., Any], tuple[Any, ...]] = {
    picking.index_add: _INDICES, picking.index_fill: _INDICES, picking.masked_fill: (),
    picking.scatter: _INDICES, picking.scatter_add: _INDICES,
}  # fmt: skip
_IN_PLACE = {
    name: in_place.in_place(name, function, constants)
    for function, constants in _CHANGING.items()
    for name in [f"{function.__name__}_"]
}
_TENSOR_METHODS |= _AUGMENTED | _IN_PLACE | in_place.METHODS

for _type, _methods in ((Tensor, _TENSOR_METHODS), (TensorTuple, _TUPLE_METHODS)):
    for _name, _method in _methods.items():
        setattr(_type, _name, _method)
