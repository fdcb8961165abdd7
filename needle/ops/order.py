"""Order along an axis: maxima and minima, sorting, and the indices where the elements stand.

PyTorch's `max`, `min` and `sort` along an axis give the pair (values, indices), NumPy's give the
values. So do needle's; where the axis is given as `dim`, the result has the two parts, too.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, ParamSpec, cast

import numpy as np

from ..autograd import Array, Tensor, TensorOp, TensorTupleOp
from ..autograd.tensor import as_operands
from ..autograd.watch import check_unwatched, is_followed
from .arithmetic import where
from .functions import isnan
from .indexing import getitem
from .kinds import Reduction, function_of, normalize_axis, stated, with_parameters
from .names import AnyName, as_tensors, by_any_name, speller
from .picking import take_along_axis
from .rearranging import moveaxis
from .reductions import Max, Min
from .tuples import TupleGetItem
from .views import Flip, flip, identity, reshape

__all__ = [
    "amax", "amin", "ArgMax", "argmax", "ArgMin", "argmin", "ArgSort", "argsort", "BinCount",
    "bincount", "max", "median", "min", "quantile", "Sort", "sort", "TakeAlongAxis", "TopK", "topk",
    "Unique", "unique", "WeightedBinCount",
]  # fmt: skip

P = ParamSpec("P")


class WithIndices(Tensor):
    """The values of `max`, `min` or `sort` along an axis: a Tensor that also has their indices.

    If the axis was given as `dim`, entries 0 and 1 are `values` and `indices`, as in PyTorch. If it
    was given by position, an integer index would mean the first row in NumPy and the values in
    PyTorch, and is a TypeError. With `axis` or `axes` the result is a plain Tensor.
    """

    __slots__ = ()

    _name = ""
    _is_pair = False
    _find_indices: Callable[[], Tensor] | None = None  # None after pickling: plain values

    @property
    def values(self) -> Tensor:
        """The values, as a plain Tensor."""
        return identity(self)

    @property
    def indices(self) -> Tensor:
        """The indices of the values along the axis. No gradient."""
        if self._find_indices is None:
            raise AttributeError("a pickled result of max, min or sort has no indices")
        return self._find_indices()

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, int | np.integer) and self._find_indices is not None:
            if self._is_pair:
                return (self.values, self.indices)[index]
            self._refuse(f"[{index}]")
        return getitem(self, index)

    def __iter__(self) -> Iterator[Tensor]:
        if self._is_pair:
            return iter((self.values, self.indices))
        if self._find_indices is not None:
            self._refuse(", unpacked")
        return super().__iter__()

    def _refuse(self, what: str) -> None:
        call = self._name
        entry = "row" if self.ndim > 1 else "element"
        raise TypeError(
            f"{call}(axis){what} is ambiguous: PyTorch's result is the pair (values, indices), "
            f"whose entries 0 and 1 these are; NumPy's is the values, of which an index picks one "
            f"{entry}. Write {call}(dim=...){what} for PyTorch's pair (values, indices), or "
            f"{call}(axis=...){what} for the tensor of values"
        )


def _with_indices(
    values: WithIndices, name: str, is_pair: bool, find_indices: Callable[[], Tensor]
) -> WithIndices:
    values._name, values._is_pair, values._find_indices = name, is_pair, find_indices
    return values


def _extremum(
    kind: type[Reduction], name: str, arg: str, plain: Callable[P, Tensor]
) -> AnyName[P, Tensor]:
    """`max` or `min`: as `plain`, or with the indices, which the function named `arg` finds."""
    spelled = speller(name, ("axes", "keepdims"))
    make, make_with_indices = Tensor.make_from_op, WithIndices.make_from_op

    def function(a: Tensor, *args: Any, **options: Any) -> Tensor:
        is_pair = "dim" in options
        op = kind(*args, **spelled(options)) if options else kind(*_no_tensor(name, args))
        if not isinstance(a, Tensor):
            (a,) = as_operands(op, (a,))
        axis = op.axes
        if axis is None or not (args or is_pair) or not isinstance(axis, int | np.integer):
            return make(op, (a,))
        indices = globals()[arg]
        return _with_indices(
            make_with_indices(op, (a,)), name, is_pair, lambda: indices(a, axis, op.keepdims)
        )

    function.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]
    function_of(kind, function, name)
    function.__doc__ = (
        f"{kind.__doc__}\n\n    `{name}(a, dim=1)` is the pair (values, indices), as in PyTorch: "
        f"unpack it, or say `.values`,\n    `.indices`. `{name}(a, axis=1)` is the tensor of "
        "values, as in NumPy."
    )
    return cast(Any, function)


def _no_tensor(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if args and isinstance(args[0], Tensor):
        raise TypeError(
            f"{name}() takes one tensor: needle.{name}imum(a, b) compares two, element by element"
        )
    return args


def _arg(function: Callable[..., Array], a: Array, axis: int | None, keepdims: bool) -> Array:
    axis = None if axis is None else normalize_axis(axis, a.ndim)
    return function(a, axis=axis, keepdims=keepdims)


TakeAlongAxis: Callable[..., Any]  # used by derivatives that come first
# fmt: off
ArgMax, argmax = stated(TensorOp, "ArgMax", "argmax",
    lambda a, /, axis=None, keepdims=False: _arg(np.argmax, a, axis, keepdims), None,
    "The index of the first maximum along `axis`, or of the flattened tensor. No gradient.")
ArgMin, argmin = stated(TensorOp, "ArgMin", "argmin",
    lambda a, /, axis=None, keepdims=False: _arg(np.argmin, a, axis, keepdims), None,
    "The index of the first minimum along `axis`, or of the flattened tensor. No gradient.")
ArgSort, sort_order = stated(TensorOp, "ArgSort", "argsort",
    lambda a, /, axis=-1: np.argsort(a, axis=normalize_axis(axis, a.ndim), kind="stable"), None,
    "The indices that sort a along an axis; equal elements keep their order. No gradient.")
Sort, _ = stated(TensorOp, "Sort", "sort",
    lambda a, /, axis=-1: np.sort(a, axis=normalize_axis(axis, a.ndim)),
    lambda g, y, a, axis: TakeAlongAxis(axis)(g, sort_order(sort_order(a, axis), axis)),
    "a in ascending order along an axis. Adjoint: g, moved back to where the elements were.")
TakeAlongAxis, _rearranged = stated(TensorOp, "TakeAlongAxis", "take_along_axis",
    lambda a, order, /, axis=-1: np.take_along_axis(a, order, axis=axis),
    lambda g, y, a, order, axis: (TakeAlongAxis(axis)(g, sort_order(order, axis)), None),
    "a[order] along an axis, where `order` holds each index once. Adjoint: g[order⁻¹].")
# fmt: on

amax = with_parameters(Max, "amax")
amin = with_parameters(Min, "amin")
max = _extremum(Max, "max", "argmax", amax)
min = _extremum(Min, "min", "argmin", amin)


@by_any_name
def argsort(
    a: Tensor, axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> Tensor:
    """The indices that sort a along `axis` (flattened if None); equal elements keep their order.

    With `descending` from the largest to the smallest, equal elements in the inverse order.
    """
    if axis is None:
        a, axis = reshape(a, -1), 0
    order = sort_order(a, axis)
    return flip(order, axis) if descending else order


def sort(a: Tensor, *args: Any, **options: Any) -> Tensor:
    """The values in ascending order along `axis`, the last by default (flattened if None).

    With `descending` from the largest to the smallest. Given as `dim`, the axis makes the result
    the pair (values, indices), as in PyTorch.

    Example:
        >>> import needle as ndl
        >>> values, indices = ndl.sort(ndl.Tensor([3.0, 1.0, 2.0]), dim=0)
        >>> values.numpy(), indices.numpy()
        (array([1., 2., 3.]), array([1, 2, 0]))
    """
    is_pair, is_plain = "dim" in options, not options.keys().isdisjoint(("axis", "axes"))
    axis, descending = _sort_arguments(*args, **_spelled_for_sort(options))
    if axis is None:
        a, axis = reshape(a, -1), 0
    op, operands = Sort(axis), as_operands(Sort(axis), (a,))
    if descending:
        op, operands = Flip(axis), (op(*operands),)
    if is_plain:
        return op(*operands)
    values = WithIndices.make_from_op(op, operands)
    return _with_indices(values, "sort", is_pair, lambda: argsort(a, axis, descending=descending))


sort.__signature__ = inspect.signature(argsort)  # type: ignore[attr-defined]
_spelled_for_sort = speller("sort", ("axis", "descending", "stable"))


def _sort_arguments(
    axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> tuple[int | None, bool]:
    return axis, descending


class TopK(NamedTuple):
    """The result of `topk`: the values and their indices along the axis.

    Example:
        >>> import needle as ndl
        >>> ndl.topk(ndl.Tensor([3.0, 1.0, 2.0]), 2).indices.numpy()
        array([0, 2])
    """

    values: Tensor
    indices: Tensor


@by_any_name
def topk(a: Tensor, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The k largest elements along an axis, or smallest, in order; and their indices.

    Example:
        >>> import needle as ndl
        >>> values, indices = ndl.topk(ndl.Tensor([3.0, 1.0, 2.0]), 2)
        >>> values.numpy(), indices.numpy()
        (array([3., 2.]), array([0, 2]))
    """
    axis = normalize_axis(axis, a.ndim)
    if not 0 <= k <= a.shape[axis]:
        raise ValueError(f"topk: k={k} of {a.shape[axis]} elements along axis {axis}")
    order = argsort(a, axis, descending=largest)
    indices = order[(slice(None),) * axis + (slice(k),)]
    return TopK(take_along_axis(a, indices, axis), indices)


class Unique(TensorTupleOp):
    """The different elements in ascending order, their first indices, where each element of a
    stands among them, and their counts. No gradient."""

    differentiable = False

    def compute(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.unique(a, return_index=True, return_inverse=True, return_counts=True))


@by_any_name
def unique(
    a: Tensor,
    *,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Any:
    """The different elements in ascending order, as np.unique. No gradient.

    With one of the flags, a tuple with them and what the flag asks for.

    Example:
        >>> import needle as ndl
        >>> ndl.unique(ndl.Tensor([3, 1, 3])).numpy()
        array([1, 3])
    """
    check_unwatched(a, "unique", "it has no gradient")
    found = Unique()(a)
    values, *others = [TupleGetItem(part)(found) for part in range(4)]
    wanted = (return_index, return_inverse, return_counts)
    parts = [each for each, is_wanted in zip(others, wanted, strict=True) if is_wanted]
    return (values, *parts) if parts else values


class BinCount(TensorOp):
    """How often each whole number from 0 occurs. No gradient."""

    differentiable = False

    def __init__(self, minlength: int = 0) -> None:
        self.minlength = minlength

    def compute(self, a: Array) -> Array:
        return np.bincount(a, minlength=self.minlength)


class WeightedBinCount(TensorOp):
    """The sums y_i = Σ b_j where a_j = i, for whole numbers a. The adjoint of b_j is g at a_j."""

    constant_operands = slice(1)

    def __init__(self, minlength: int = 0) -> None:
        self.minlength = minlength

    def compute(self, a: Array, b: Array) -> Array:
        return np.bincount(a, b, self.minlength).astype(b.dtype, copy=False)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Any:
        return None, getitem(out_grad, node.inputs[0])


@by_any_name
def bincount(a: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of the numbers 0, 1, 2, ... occurs among integers, as np.bincount.

    With `weights` the sums of the weights of each number, in their dtype; float64 for integers.

    Example:
        >>> import needle as ndl
        >>> ndl.bincount(ndl.Tensor([1, 3, 1])).numpy()
        array([0, 2, 0, 1])
        >>> ndl.bincount(ndl.Tensor([1, 3, 1]), [0.5, 1.0, 2.0]).numpy()
        array([0. , 2.5, 0. , 1. ])
    """
    if weights is None:
        return BinCount(minlength)(a)
    a, b = as_tensors("bincount", (a, weights))
    a = a.astype(np.int64) if a.dtype.kind == "b" else a  # the adjoint takes a as an index
    return WeightedBinCount(minlength)(a, b if b.dtype.kind == "f" else b.astype(np.float64))


_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@by_any_name
def quantile(
    a: Tensor, q: Any, axis: int | None = None, keepdims: bool = False, *, method: str = "linear"
) -> Tensor:
    """The q-th quantiles along an axis (flattened if None), as np.quantile and torch.quantile.

    Args:
        q: a number from 0 to 1, or several, whose axes come first in the result.
        method: how to go from one element to the next: "linear", "lower", "higher", "midpoint" or
            "nearest". PyTorch calls it `interpolation`.

    Example:
        >>> import needle as ndl
        >>> ndl.quantile(ndl.Tensor([1.0, 2.0, 4.0]), [0.5, 0.75]).numpy()
        array([2., 3.])
    """
    has_gradient = isinstance(q, Tensor) and is_followed(q)
    fractions = np.asarray(q.numpy() if isinstance(q, Tensor) else q, np.float64)
    if not ((fractions >= 0) & (fractions <= 1)).all():
        raise ValueError(f"quantile: q must be from 0 to 1, got {q}")
    if method not in _METHODS:
        raise ValueError(f"quantile: method is one of {', '.join(_METHODS)}, got {method!r}")
    shape = [1] * a.ndim
    if axis is None:
        a, axis = reshape(a, -1), 0
    else:
        axis = normalize_axis(axis, a.ndim)
        shape = [1 if each == axis else length for each, length in enumerate(a.shape)]
    if not a.shape[axis]:
        raise ValueError(f"quantile of no elements: axis {axis} of shape {a.shape}")
    if a.dtype.kind != "f" and method in ("linear", "midpoint"):
        a = a.astype(np.float64)
    ordered = moveaxis(Sort(axis)(a), axis, 0)
    places = fractions * (len(ordered) - 1)
    below, above = np.floor(places).astype(int), np.ceil(places).astype(int)
    picked = {"lower": below, "higher": above, "nearest": np.rint(places).astype(int)}.get(method)
    if picked is not None:
        values = ordered[picked]
    else:  # halves of one element, which may be infinite, where it is in place
        is_half = (below == above) | (method == "midpoint")
        if has_gradient:
            places = q.astype(np.float64) * (len(ordered) - 1)
        above_by = where(Tensor.make_const(a.device.array(is_half)), 0.5, places - below)
        weight = reshape(above_by, (*fractions.shape, *[1] * (a.ndim - 1))).astype(a.dtype)
        values = ordered[below] * (1 - weight) + ordered[above] * weight
    if a.dtype.kind == "f":
        last = ordered[-1]
        values = where(isnan(last), last, values)
    return reshape(values, (*fractions.shape, *shape)) if keepdims else values


def median(a: Tensor, *args: Any, **options: Any) -> Tensor:
    """The middle element in order along `axis`, by default of all; the mean of two, as np.median.

    PyTorch's `median` is the lower one of two, `quantile(a, 0.5, interpolation="lower")`.

    Example:
        >>> import needle as ndl
        >>> ndl.median(ndl.Tensor([3.0, 1.0, 2.0, 8.0])).item()
        2.5
    """
    if args or "dim" in options:
        raise TypeError(
            "median along a dim is ambiguous: PyTorch gives a pair (values, indices), and the "
            "lower one of two elements in the middle. Write median(axis=...) for NumPy's values, "
            "or quantile(x, 0.5, dim=..., interpolation='lower') for PyTorch's"
        )
    return quantile(a, 0.5, **options)


median.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    lambda a, *, axis=None, keepdims=False: a
)
