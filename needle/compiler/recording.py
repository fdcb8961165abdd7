"""RecordingArray: an array without numbers, on which NumPy's functions record the nodes of a program.

An op's `compute`, run on recording arrays, opens the op: each NumPy function that it calls becomes a
node. What is written in place (`out=`, `+=`, `a[index] = b`) becomes a node too, and the array stands
for the new one from then on; so do the views of it and what it is a view of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..autograd.abstract import _RULES, AbstractArray, NeedsNumbers
from ..device import Device, cpu
from .program import Constant, Node, add_at, cast, getitem, put_along_axis, set_item

__all__ = ["Escaped", "RecordingArray", "TooLong", "count", "limited", "recorded"]


class Escaped(RuntimeError):
    """A tensor from inside a function that was being compiled is used after that."""


class TooLong(Exception):
    """An op makes more nodes than it is worth."""


_left: ContextVar[list[int]] = ContextVar("_left")


@contextmanager
def limited(count: int) -> Iterator[None]:
    """At most so many nodes are recorded inside; one more raises `TooLong`."""
    token = _left.set([count])
    try:
        yield
    finally:
        _left.reset(token)


def count() -> None:
    """One more node is recorded."""
    left = _left.get(None)
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise TooLong


class RecordingArray(AbstractArray):
    """The array of a node. `tracer` is asked whether it still records, and what to say of reads."""

    __slots__ = ("_node", "_seen", "_viewed", "tracer", "version")

    def __init__(self, tracer: Any, node: Node, viewed: Any = None) -> None:
        super().__init__(node.shape, node.dtype)  # type: ignore[arg-type]
        self.tracer, self._node = tracer, node
        self.version = 0  # how often it was written to
        self._viewed: RecordingArray | None = viewed  # the array that this one is a view of
        self._seen = viewed.version if viewed is not None else 0

    @property
    def node(self) -> Node:
        viewed = self._viewed
        if viewed is not None and (now := viewed.node) is not None and viewed.version != self._seen:
            self._node = _view_of(now, self._node)
            self._seen = viewed.version
            self.version += 1
        return self._node

    def write(self, values: Any, index: Any = Ellipsis) -> None:
        """self[index] = values, by nodes."""
        own, tracer = self.node, self.tracer
        if index is Ellipsis or index == slice(None):
            value = tracer.recorded(cast, _cast_like(values, own.dtype), own.dtype)
            if value.shape != own.shape:
                value = np.broadcast_to(value, own.shape)
            new = value.node
        else:
            new = _changed(set_item, own, index, values)
        self._become(new)

    def _become(self, new: Node) -> None:
        viewed, view = self._viewed, self._node
        if viewed is not None:
            inverse = _WRITE_BACK.get(view.function)
            if inverse is None or (view.function is np.reshape and viewed._viewed is not None):
                raise NeedsNumbers("a view is written to")
            inverse(viewed, view, new)
            self._seen = viewed.version
        # a view is made again from what it views, so its node stays that of the view
        if viewed is None:
            self._node = new
        else:
            self._node = _view_of(viewed.node, view)
        self.version += 1

    # --- attributes and methods of arrays

    device: Device = property(lambda self: cpu())  # type: ignore[assignment]
    itemsize = property(lambda self: self.dtype.itemsize)
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Any:
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        return self.tracer.recorded(cast, self, np.dtype(dtype))

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def copy(self, order: str = "C") -> Any:
        return RecordingArray(self.tracer, self.node)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        self._refuse()

    def ravel(self, order: str = "C") -> Any:
        return np.reshape(self, -1)

    flatten = ravel

    @property
    def T(self) -> Any:  # type: ignore[override]
        return np.transpose(self)

    def __getitem__(self, index: Any) -> Any:
        abstract = super().__getitem__(index)
        return self.tracer.recorded_as(getitem, (self, index), {}, abstract)

    def __setitem__(self, index: Any, value: Any) -> None:
        self[index]  # whether the index fits
        self.write(value, index)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        tracer = _tracer(inputs, options.get("out", ()))
        if method == "at" and ufunc is np.add:
            target, index, values = inputs
            target._become(_changed(add_at, target.node, index, values))
            return None
        if method != "__call__" or options.get("where", True) is not True:
            raise NeedsNumbers(f"np.{ufunc.__name__}.{method} cannot be recorded")
        out = options.pop("out", None)
        options.pop("where", None)
        result = tracer.recorded(ufunc, *inputs, **options)
        if out is None:
            return result
        for target, value in zip(
            out, result if isinstance(result, tuple) else (result,), strict=True
        ):
            if not isinstance(target, RecordingArray):
                raise NeedsNumbers("an array outside of the recording is written to")
            target.write(value)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        self.tracer.check_open()
        if function in _CREATED:  # with this array as `like`
            return _CREATED[function](self, function, *args, **options)
        return self.tracer.recorded(function, *args, **options)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise self.tracer.error_of_reading()

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = _refuse
    item = tolist = get = _refuse


for _name in ("sum", "max", "min", "prod", "mean", "argmax", "argmin", "any", "all", "cumsum",
              "cumprod", "argsort", "squeeze", "swapaxes", "repeat", "take", "clip", "round", "diagonal"):  # fmt: skip
    setattr(
        RecordingArray, _name,
        lambda self, *args, _function=getattr(np, _name), **options: _function(
            self, *args, **options),
    )  # fmt: skip


def _view_of(viewed: Node, view: Node) -> Node:
    """The view of another node."""
    return Node(view.function, (viewed, *view.operands[1:]), {}, view.shape, view.dtype)


def _changed(function: Callable[..., Any], own: Node, *args: Any) -> Node:
    """A changed copy of the array of a node."""
    return Node(function, (own, *_operands(args)), {}, own.shape, own.dtype)


def _tracer(*trees: Any) -> Any:
    for array in _arrays_in(trees):
        array.tracer.check_open()
        return array.tracer
    raise NeedsNumbers("no recording array")


def _arrays_in(tree: Any) -> Iterator[RecordingArray]:
    if isinstance(tree, RecordingArray):
        yield tree
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _arrays_in(part)


def _operands(tree: Any) -> Any:
    """Recording arrays as their nodes, other arrays as constants."""
    if isinstance(tree, RecordingArray):
        return tree.node
    if isinstance(tree, np.ndarray):
        return Constant(tree)
    if isinstance(tree, tuple | list):
        return type(tree)([_operands(part) for part in tree])
    if isinstance(tree, slice):
        return slice(*_operands((tree.start, tree.stop, tree.step)))
    if isinstance(tree, AbstractArray):
        raise NeedsNumbers("an abstract array")
    return tree


def _cast_like(values: Any, dtype: Any) -> Any:
    """Something with a shape: a number is an array of the dtype."""
    return values if hasattr(values, "shape") else np.asarray(values, dtype)


def _write_item(viewed: RecordingArray, view: Node, new: Node) -> None:
    viewed.write(RecordingArray(viewed.tracer, new), view.operands[1])


def _write_reshaped(viewed: RecordingArray, view: Node, new: Node) -> None:
    viewed._become(_reshape(RecordingArray(viewed.tracer, new), viewed.shape).node)


def _write_transposed(viewed: RecordingArray, view: Node, new: Node) -> None:
    axes = tuple(np.argsort(view.operands[1]).tolist())
    viewed._become(np.transpose(RecordingArray(viewed.tracer, new), axes).node)  # type: ignore[call-overload]


_WRITE_BACK: dict[Any, Callable[..., None]] = {
    getitem: _write_item, np.reshape: _write_reshaped, np.transpose: _write_transposed,
}  # fmt: skip


# --- NumPy's functions by those that a program has


def recorded(tracer: Any, function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The recording array of function(*args, **options), by the rule of the function if it has one."""
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
        abstract = _RULES.get(function)
        plain = [_plain(arg) for arg in args]
        if abstract is None:
            from_numpy = AbstractArray.__array_ufunc__
            abstract = from_numpy(plain[0], function, "__call__", *plain, **options)
        else:
            abstract = abstract(*plain, **options)
    elif function in _RULES:
        abstract = _RULES[function](*map(_plain, args), **options)
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
    """`np.array`, `np.asarray` and `np.copy` of one recording array; views are no copies."""
    if not isinstance(a, RecordingArray):
        return NotImplemented
    return a.copy() if dtype is None or np.dtype(dtype) == a.dtype else a.astype(dtype)


def _broadcast(value: Any, shape: Any, **options: Any) -> Any:
    if not isinstance(value, RecordingArray):
        return NotImplemented
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if shape == value.shape:
        return RecordingArray(value.tracer, value.node)
    abstract = _RULES[np.broadcast_to](_plain(value), shape)
    return value.tracer.recorded_as(np.broadcast_to, (value, shape), {}, abstract)


def _filled(a: Any, fill: Any, dtype: Any, shape: Any) -> Any:
    """An array like a, of one number."""
    dtype = a.dtype if dtype is None else np.dtype(dtype)
    shape = a.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    if not isinstance(fill, RecordingArray):
        node = Constant(np.asarray(fill, dtype))
        fill = RecordingArray(a.tracer, node)
    filled = np.broadcast_to(fill.astype(dtype, copy=False), shape)
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
        found = _RULES[function](_plain(a), axis=axis if a.ndim else None, keepdims=bool(keepdims))
        return a.tracer.recorded_as(function, (a,), full, found)

    return rule


def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:  # fmt: skip
    if options or out is not None or a.dtype.char not in "fd" or dtype is not None:
        return NotImplemented
    total = np.sum(a, axis=axis, keepdims=keepdims)
    return total / max(a.size // max(total.size, 1), 0) if total.size and a.size else NotImplemented


def _argument(function: Any) -> Any:
    def rule(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        found = _RULES[function](_plain(a), axis=axis, keepdims=bool(keepdims))
        if axis is not None:
            axis = int(axis) % a.ndim
        return a.tracer.recorded_as(
            function, (a,), {"axis": axis, "keepdims": bool(keepdims)}, found
        )

    return rule


def _product(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    """np.matmul and np.dot, by products of operands of at least two axes."""
    tracer = _tracer((a, b))
    if options or not (a.shape and b.shape) or (a.ndim > 2 < b.ndim and out is np.dot):
        return NotImplemented
    left = np.expand_dims(a, 0) if a.ndim == 1 else a
    right = np.expand_dims(b, 1) if b.ndim == 1 else b
    abstract = _RULES[np.matmul](_plain(left), _plain(right))
    result = tracer.recorded_as(np.matmul, (left, right), {}, abstract)
    if a.ndim == 1 or b.ndim == 1:
        result = np.reshape(result, _RULES[np.matmul](_plain(a), _plain(b)).shape)
    if out is not None:
        out.write(result)
    return result if out is None else out


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if not (hasattr(a, "ndim") and hasattr(b, "ndim")) or not (a.ndim and b.ndim):
        return np.multiply(a, b)
    return NotImplemented if b.ndim > 2 else _product(a, b, out)


def _concatenated(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    """With the axis as an operand, not negative."""
    if out is not None or options or axis is None:
        return NotImplemented
    arrays = tuple(arrays)
    axis %= arrays[0].ndim
    abstract = _RULES[np.concatenate]([_plain(array) for array in arrays], axis)
    tracer = _tracer(arrays)
    return tracer.recorded_as(np.concatenate, (arrays, axis), {}, abstract)


def _stacked(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    return np.concatenate([np.expand_dims(array, axis) for array in arrays], axis=axis)


def _put(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    arr._become(_changed(put_along_axis, arr.node, indices, values, axis))


def _count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(a, 0), axis=axis, keepdims=keepdims)


_BY_OTHERS: dict[Any, Callable[..., Any]] = {
    np.reshape: _reshape,
    **{each: _in_new_shape(each) for each in (np.expand_dims, np.squeeze, np.ravel)},
    **{each: _permuted(each) for each in (np.transpose, np.swapaxes, np.moveaxis)},
    np.matrix_transpose: _permuted(np.matrix_transpose),
    np.flip: _flipped,
    **dict.fromkeys([np.array, np.asarray, np.copy], _copied),
    np.broadcast_to: _broadcast,
    np.zeros_like: _like(0), np.empty_like: _like(0), np.ones_like: _like(1),
    np.full_like: _full_like,
    np.clip: _clipped,
    **{each: _reduction(each) for each in (np.sum, np.max, np.min, np.prod, np.any, np.all)},
    np.mean: _mean,
    **{each: _argument(each) for each in (np.argmax, np.argmin)},
    np.matmul: _product, np.dot: _dot,
    np.concatenate: _concatenated,
    np.stack: _stacked,
    np.put_along_axis: _put,
    np.count_nonzero: _count_nonzero,
    np.may_share_memory: lambda *args, **options: False,
    np.square: lambda a: np.multiply(a, a),
}  # fmt: skip
