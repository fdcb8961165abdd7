"""Elements picked and replaced along an axis, by a mask, or by any index: `x.at[index].set(v)`.

The names and arguments are PyTorch's (`gather`, `scatter_add`), NumPy's (`take_along_axis`) and
JAX's (`at`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, assign, modes
from ..autograd.tensor import as_operands
from .arithmetic import divide, equal, maximum, minimum, multiply, negate, power, where
from .indexing import ARRAY, GetItem, Index, ScatterAdd, _Indexed, getitem, taken_apart
from .kinds import constant_like, normalize_axis
from .names import by_any_name
from .views import broadcast_to

__all__ = [
    "gather", "index_add", "index_fill", "index_select", "masked_fill", "Put", "scatter",
    "scatter_add", "take_along_axis",
]  # fmt: skip


def _along(axis: int, index: Tensor, lengths: Sequence[int]) -> tuple[Index, list[Tensor]]:
    """The index whose entry for `axis` is `index`, and counts up to `lengths` for the others."""
    arrays = []
    for each, length in enumerate(lengths):
        if each == axis:
            arrays.append(index)
        else:
            shape = (1,) * each + (length,) + (1,) * (len(lengths) - each - 1)
            counts = np.arange(length).reshape(shape)
            arrays.append(Tensor.make_const(index.device.array(counts)))
    return (ARRAY,) * len(lengths), arrays


def _checked(name: str, a: Tensor, axis: int, index: Any) -> tuple[int, Tensor]:
    _, arrays = taken_apart(index if isinstance(index, Tensor) else np.asarray(index), a.device)
    (index,) = arrays
    if index.dtype.kind == "b":
        raise TypeError(f"{name}: the index holds integers, got booleans")
    if index.ndim != a.ndim:
        raise ValueError(
            f"{name}: the index has as many axes as the tensor, got {index.shape} for {a.shape}"
        )
    return normalize_axis(axis, a.ndim), index


@by_any_name
def take_along_axis(a: Tensor, indices: Any, axis: int | None = -1) -> Tensor:
    """a[..., indices, ...] along an axis, as np.take_along_axis; other axes broadcast.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([[3.0, 1.0, 2.0]])
        >>> ndl.take_along_axis(x, ndl.argsort(x), 1).numpy()
        array([[1., 2., 3.]])
    """
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis, indices = _checked("take_along_axis", a, axis, indices)
    index, arrays = _along(axis, indices, a.shape)
    return GetItem(index)(a, *arrays)


@by_any_name
def gather(a: Tensor, axis: int, index: Any) -> Tensor:
    """y[i, j, k] = a[i, index[i, j, k], k] for axis 1, in the shape of `index`, as in PyTorch.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> ndl.gather(x, 1, ndl.Tensor([[1], [0]])).numpy()
        array([[2.],
               [3.]])
    """
    axis, index = _checked("gather", a, axis, index)
    parts, arrays = _along(axis, index, index.shape)
    return GetItem(parts)(a, *arrays)


@by_any_name
def scatter_add(a: Tensor, axis: int, index: Any, src: Any) -> Tensor:
    """a with src[i, j, k] added to a[i, index[i, j, k], k] for axis 1, as in PyTorch.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([0.0, 0.0])
        >>> ndl.scatter_add(x, 0, ndl.Tensor([1, 1, 0]), ndl.Tensor([1.0, 2.0, 4.0])).numpy()
        array([4., 3.])
    """
    parts, arrays, src = _scattered("scatter_add", a, axis, index, src)
    return a + ScatterAdd(parts, a.shape)(src, *arrays)


@by_any_name
def scatter(a: Tensor, axis: int, index: Any, src: Any) -> Tensor:
    """a with src[i, j, k] in the place of a[i, index[i, j, k], k] for axis 1, as in PyTorch.

    `src` is a tensor or a number. Where the index names an element several times, the last one
    stays.

    Example:
        >>> import needle as ndl
        >>> classes = ndl.Tensor([[2], [0]])
        >>> ndl.scatter(ndl.zeros(2, 3), 1, classes, 1.0).numpy()
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    parts, arrays, src = _scattered("scatter", a, axis, index, src)
    return AtIndex.of(a, parts, arrays).set(src)


def _scattered(
    name: str, a: Tensor, axis: int, index: Any, src: Any
) -> tuple[Index, list[Tensor], Tensor]:
    """The index of the elements that `src` goes to, and `src` in its shape."""
    axis, index = _checked(name, a, axis, index)
    parts, arrays = _along(axis, index, index.shape)
    if not isinstance(src, Tensor):
        src = broadcast_to(_operand(a, src), index.shape)
    if src.shape != index.shape:  # PyTorch reads the beginning of each axis
        src = getitem(src, tuple(slice(length) for length in index.shape))
    return parts, arrays, src


@by_any_name
def index_add(a: Tensor, axis: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """a with alpha times the slices of `source` added to the slices that `index` names.

    Example:
        >>> import needle as ndl
        >>> sums = ndl.index_add(ndl.zeros(2), 0, ndl.Tensor([1, 1, 0]), ndl.ones(3))
        >>> sums.numpy()
        array([1., 2.], dtype=float32)
    """
    return _slices(a, axis, index).add(source if alpha == 1 else source * alpha)


@by_any_name
def index_fill(a: Tensor, axis: int, index: Any, value: Any) -> Tensor:
    """a with a number in the slices along an axis that `index` names.

    Example:
        >>> import needle as ndl
        >>> ndl.index_fill(ndl.zeros(3), 0, ndl.Tensor([0, 2]), 1.0).numpy()
        array([1., 0., 1.], dtype=float32)
    """
    return _slices(a, axis, index).set(value)


def _slices(a: Tensor, axis: int, index: Any) -> "AtIndex":
    return AtIndex(a, (slice(None),) * normalize_axis(axis, a.ndim) + (index,))


@by_any_name
def index_select(a: Tensor, axis: int, index: Any) -> Tensor:
    """The slices along an axis that a vector of integers names.

    Example:
        >>> import needle as ndl
        >>> ndl.index_select(ndl.Tensor([[1.0, 2.0, 3.0]]), 1, ndl.Tensor([2, 0])).numpy()
        array([[3., 1.]])
    """
    return getitem(a, (slice(None),) * normalize_axis(axis, a.ndim) + (index,))


@by_any_name
def masked_fill(a: Tensor, mask: Any, value: Any) -> Tensor:
    """`value`, a number or a tensor, where the mask is true; else a.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, -2.0])
        >>> ndl.masked_fill(x, x < 0, 0.0).numpy()
        array([1., 0.])
    """
    return where(_operand(a, mask), value, a)


def _operand(a: Tensor, value: Any) -> Tensor:
    """`value`, a tensor, an array or a number, as a tensor that may be an operand beside a."""
    return as_operands(GetItem(()), (a, value))[1]  # type: ignore[return-value]


# --- assignment


class Put(_Indexed):
    """a with b, of the shape of a[index], in the place of a[index]; the last one, if several.

    Adjoints: g with zeros at the index; g[index], zeros where another took the place.
    """

    def compute(self, a: Array, b: Array, *arrays: Array) -> Array:
        result = np.copy(a)
        result[self._filled(arrays)] = b
        return result

    def gradient(self, out_grad: Tensor, node: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *arrays = node.inputs
        adjoint_a = adjoint_b = None
        if a.requires_grad:
            zeros = constant_like(b, 0).astype(out_grad.dtype)
            adjoint_a = Put(self.index)(out_grad, zeros, *arrays)
        if b.requires_grad:
            adjoint_b = GetItem(self.index)(out_grad, *arrays)
            if any(each.dtype.kind != "b" for each in arrays):
                adjoint_b = where(self._stays(a, b, arrays), adjoint_b, 0)
        return adjoint_a, adjoint_b, *[None] * len(arrays)

    def _stays(self, a: Tensor, b: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        """Where b is what stands at its place in the end."""
        numbers = np.arange(b.size).reshape(b.shape)
        order = Tensor.make_const(b.device.array(numbers))
        zeros = constant_like(a, 0).astype("int64")
        return equal(GetItem(self.index)(Put(self.index)(zeros, order, *arrays), *arrays), order)

    def tangent(self, tangents: Sequence[Any], node: Tensor) -> Tensor | None:
        a, b, *arrays = node.inputs
        moving = [
            constant_like(operand, 0) if tangent is None else tangent
            for tangent, operand in zip(tangents[:2], (a, b), strict=True)
        ]
        return self(*moving, *arrays)


class At:
    """`x.at`: `x.at[index].set(value)` is x with another value there, in the graph, as in JAX."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, index: Any) -> "AtIndex":
        return AtIndex(self._tensor, index)


class AtIndex:
    """A place in a tensor; each method gives a new tensor, with something else in that place."""

    __slots__ = ("_arrays", "_index", "_tensor")

    def __init__(self, tensor: Tensor, index: Any) -> None:
        self._tensor = tensor
        self._index, self._arrays = taken_apart(index, tensor.device)

    @classmethod
    def of(cls, tensor: Tensor, index: Index, arrays: list[Tensor]) -> "AtIndex":
        """The place that an index taken apart names."""
        place = cls.__new__(cls)
        place._tensor, place._index, place._arrays = tensor, index, arrays
        return place

    def get(self) -> Tensor:
        """What stands in that place."""
        return GetItem(self._index)(self._tensor, *self._arrays)

    def set(self, value: Any) -> Tensor:
        """`value` in that place; the last one where an index names an element several times."""
        value = self._fitting(value)
        return Put(self._index)(self._tensor, value, *self._arrays)

    def add(self, value: Any) -> Tensor:
        """`value` added, as often as the index names an element."""
        x = self._tensor
        return x + ScatterAdd(self._index, x.shape)(self._fitting(value), *self._arrays)

    def subtract(self, value: Any) -> Tensor:
        """`value` subtracted, as often as the index names an element."""
        return self.add(negate(self._fitting(value)))

    def multiply(self, value: Any) -> Tensor:
        """The product with `value`."""
        return self._changed(multiply, value)

    def divide(self, value: Any) -> Tensor:
        """The quotient by `value`."""
        return self._changed(divide, value)

    def power(self, value: Any) -> Tensor:
        """The power with the exponent `value`."""
        return self._changed(power, value)

    def min(self, value: Any) -> Tensor:
        """The smaller one of the element and `value`."""
        return self._changed(minimum, value)

    def max(self, value: Any) -> Tensor:
        """The larger one of the element and `value`."""
        return self._changed(maximum, value)

    def apply(self, function: Any) -> Tensor:
        """`function` of the elements."""
        self._check_once()
        return self.set(function(self.get()))

    def _changed(self, operation: Any, value: Any) -> Tensor:
        return self.apply(lambda elements: operation(elements, value))

    def _check_once(self) -> None:
        if all(each.dtype.kind == "b" for each in self._arrays):
            return
        counts = constant_like(self._tensor, 0).astype("int64")
        ones = constant_like(self.get(), 1).astype("int64")
        if (ScatterAdd(self._index, counts.shape)(ones, *self._arrays) > 1).any().item():
            raise ValueError(
                "the index names an element several times: only set, add and subtract take that"
            )

    def _fitting(self, value: Any) -> Tensor:
        """`value` in the shape of the place and the dtype of the tensor."""
        place = self.get()
        dtype = self._tensor.dtype
        value = _operand(self._tensor, value)
        if not np.can_cast(value.dtype, dtype, "same_kind") and value.dtype.kind not in "biu":
            raise TypeError(
                f"x.at[index] of a tensor of {dtype} cannot take {value.dtype}: use astype"
            )
        value = value if value.dtype == dtype else value.astype(dtype)
        while value.ndim > place.ndim and value.shape[0] == 1:
            value = value[0]
        return value if value.shape == place.shape else broadcast_to(value, place.shape)


def set_item(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value: in place, where no graph is recorded that it would be missing from."""
    if modes.grad_enabled.get():
        for tensor in (x, value):
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                raise RuntimeError(
                    f"x[index] = value on a tensor of shape {x.shape} would not be part of the "
                    "graph: write x = x.at[index].set(value), or use it under needle.no_grad()"
                )
    with modes.no_grad():
        parts = index if isinstance(index, tuple) else (index,)
        if not any(part is Ellipsis for part in parts):
            parts = (*parts, Ellipsis)  # so that an element is a view, too
        place = AtIndex(x, parts)
        if place._arrays or modes.observers.get():
            assign(x, place.set(value))
        else:
            x.realize_cached_data()
            assign(place.get(), place._fitting(value))
