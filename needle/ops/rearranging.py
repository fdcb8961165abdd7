"""Joining, repeating and moving elements: functions made of views, indexing and `concatenate`."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorOp
from .indexing import concatenate, getitem
from .kinds import Axes, integers, normalize_axes, normalize_axis, plain_number, stated
from .names import as_tensors, by_any_name
from .tuples import split
from .views import broadcast_to, permute, reshape, transpose

__all__ = [
    "cat", "chunk", "Clone", "clone", "contiguous", "diff", "hstack", "meshgrid", "moveaxis",
    "movedim", "pad", "repeat", "roll", "swapaxes", "tile", "unbind", "vstack",
]  # fmt: skip


# fmt: off
Clone, clone = stated(TensorOp, "Clone", "clone",
    lambda a, /, order="K": np.copy(a, order), lambda g, y, a, order: g,
    "a in memory of its own; with order C row by row. Adjoint: g.")
# fmt: on


def contiguous(a: Tensor) -> Tensor:
    """a in memory row by row: itself if it is there already, else a copy."""
    return a if a.cached_data is not None and a.is_contiguous() else clone(a, "C")


@by_any_name
def unbind(a: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of a along an axis, each without that axis.

    Example:
        >>> import needle as ndl
        >>> first, second = ndl.unbind(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> print(second)
        [3. 4.]
    """
    return split(a, axis).tuple()


def hstack(args: Sequence[Tensor]) -> Tensor:
    """Tensors one after another along axis 1, vectors along axis 0, as np.hstack.

    Example:
        >>> import needle as ndl
        >>> ndl.hstack([ndl.Tensor([[1.0], [2.0]]), ndl.Tensor([[3.0], [4.0]])]).numpy()
        array([[1., 3.],
               [2., 4.]])
    """
    parts = [each if each.ndim else reshape(each, 1) for each in as_tensors("hstack", args)]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


def vstack(args: Sequence[Tensor]) -> Tensor:
    """Tensors one after another along axis 0, vectors as rows, as np.vstack.

    Example:
        >>> import needle as ndl
        >>> ndl.vstack([ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0, 4.0])]).numpy()
        array([[1., 2.],
               [3., 4.]])
    """
    parts = as_tensors("vstack", args)
    return concatenate([each if each.ndim > 1 else reshape(each, (1, -1)) for each in parts])


@by_any_name
def cat(args: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after another along an existing axis, as `concatenate`.

    Example:
        >>> import needle as ndl
        >>> ndl.cat([ndl.Tensor([1.0]), ndl.Tensor([2.0])]).numpy()
        array([1., 2.])
    """
    return concatenate(args, axis)


@by_any_name
def chunk(a: Tensor, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """a in pieces along an axis, at most `chunks`, all of one length but for the last.

    Example:
        >>> import needle as ndl
        >>> [piece.shape for piece in ndl.chunk(ndl.Tensor([1.0, 2.0, 3.0]), 2)]
        [(2,), (1,)]
    """
    axis = normalize_axis(axis, a.ndim)
    if chunks < 1:
        raise ValueError(f"chunk: expected 1 piece or more, got {chunks}")
    return pieces(a, max(1, -(-a.shape[axis] // chunks)), axis)


@by_any_name
def pieces(a: Tensor, split_size: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """a in pieces of `split_size` along an axis, the last maybe smaller, or of several sizes.

    It is the method `x.split` of tensors, as in PyTorch; `needle.split` is the course's function.

    Raises:
        ValueError: a size below 1, or sizes whose sum is not the length of the axis.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0, 3.0])
        >>> [piece.shape for piece in x.split(2)], [piece.shape for piece in x.split([1, 2])]
        ([(2,), (1,)], [(1,), (2,)])
    """
    axis = normalize_axis(axis, a.ndim)
    length = a.shape[axis]
    sizes = integers(split_size, "split_size")
    if isinstance(split_size, Sequence):
        if min(sizes, default=0) < 0 or sum(sizes) != length:
            raise ValueError(f"split: expected sizes from 0, {length} in all, got {split_size}")
    elif sizes[0] < 1:
        raise ValueError(f"split: expected a size from 1, got {split_size}")
    else:
        sizes *= max(1, -(-length // sizes[0]))
    ends = accumulate(sizes)
    return tuple([_slice(a, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)])


def _slice(a: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    return getitem(a, (slice(None),) * axis + (slice(start, stop),))


@by_any_name
def roll(a: Tensor, shift: int | Sequence[int], axis: Axes = None) -> Tensor:
    """a with its elements moved by `shift` along `axis`, from the end to the beginning.

    Without `axis` the flattened tensor is moved. Several shifts belong to as many axes.

    Example:
        >>> import needle as ndl
        >>> ndl.roll(ndl.Tensor([1.0, 2.0, 3.0]), 1).numpy()
        array([3., 1., 2.])
    """
    shifts = integers(shift, "shift")
    if axis is None:
        return reshape(roll(reshape(a, -1), sum(shifts), 0), a.shape)
    axes = integers(axis, "axis")
    if len(shifts) == 1:
        shifts *= len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for distance, each in zip(shifts, axes, strict=True):
        each = normalize_axis(each, a.ndim)
        if distance := distance % max(1, a.shape[each]):
            parts = (_slice(a, each, -distance, None), _slice(a, each, None, -distance))
            a = concatenate(parts, each)
    return a


@by_any_name
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along an axis, a[i + 1] - a[i], taken n times.

    Example:
        >>> import needle as ndl
        >>> ndl.diff(ndl.Tensor([1.0, 4.0, 9.0])).numpy()
        array([3., 5.])
    """
    axis = normalize_axis(axis, a.ndim)
    if n < 0:
        raise ValueError(f"diff: n counts from 0, got {n}")
    for _ in range(n):
        a = _slice(a, axis, 1, None) - _slice(a, axis, None, -1)
    return a


@by_any_name
def repeat(a: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element, or each slice along `axis`, several times in a row, as in NumPy.

    PyTorch calls it `repeat_interleave`; its `repeat` is `tile`.

    Example:
        >>> import needle as ndl
        >>> ndl.repeat(ndl.Tensor([1.0, 2.0]), 2).numpy()
        array([1., 1., 2., 2.])
    """
    if axis is None:
        a, axis = reshape(a, -1), 0
    axis = normalize_axis(axis, a.ndim)
    counts = repeats.numpy() if isinstance(repeats, Tensor) else repeats
    rows = np.repeat(np.arange(a.shape[axis]), counts)
    return getitem(a, (slice(None),) * axis + (rows,))


@by_any_name
def tile(a: Tensor, *reps: Any) -> Tensor:
    """The whole tensor several times along each axis: `tile(a, (2, 3))`; PyTorch's `x.repeat`.

    Example:
        >>> import needle as ndl
        >>> ndl.tile(ndl.Tensor([1.0, 2.0]), 2).numpy()
        array([1., 2., 1., 2.])
    """
    counts = integers(reps[0] if len(reps) == 1 else reps, "reps")
    ndim = max(len(counts), a.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - a.ndim) + a.shape
    single = [length for each in shape for length in (1, each)]
    several = [length for pair in zip(counts, shape, strict=True) for length in pair]
    wide = broadcast_to(reshape(a, single), several)
    return reshape(wide, [count * each for count, each in zip(counts, shape, strict=True)])


@by_any_name
def pad(a: Tensor, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Tensor:
    """a with elements added before and after each axis, as np.pad.

    Args:
        pad_width: a number for all ends, or a pair (before, after) for each axis. One pair alone
            is refused if a has several axes: NumPy means all axes, PyTorch the last.
        mode: "constant", or one of NumPy's modes that repeat elements, such as "edge", "reflect",
            "symmetric" and "wrap".
        constant_values: the number that is added in the mode "constant".

    Example:
        >>> import needle as ndl
        >>> ndl.pad(ndl.Tensor([[1.0, 2.0]]), ((0, 0), (1, 2))).numpy()
        array([[0., 1., 2., 0., 0.]])
    """
    try:
        value = plain_number(constant_values)
    except TypeError as error:
        raise TypeError(f"pad: {error}") from None
    if not isinstance(value, int | float):
        raise TypeError(f"pad: constant_values is one number for all ends, got {value!r}")
    widths = np.asarray(pad_width)
    if widths.ndim == 1 and widths.size != 1 and a.ndim > 1:
        raise ValueError(
            f"pad: {pad_width} is ambiguous for {a.ndim} axes (all of them in NumPy, the last ones "
            "in PyTorch): give a pair for each axis, such as ((0, 0), (1, 2))"
        )
    for axis, (before, after) in enumerate(np.broadcast_to(widths, (a.ndim, 2)).tolist()):
        if before < 0 or after < 0:
            raise ValueError(f"pad: widths count from 0, got {pad_width}")
        if not before and not after:
            continue
        if mode == "constant":
            ends = [(*a.shape[:axis], width, *a.shape[axis + 1 :]) for width in (before, after)]
            full = [a.device.full(shape, value, a.dtype) for shape in ends]
            front, back = map(Tensor.make_const, full)
            a = concatenate((front, a, back), axis)
        else:
            rows = np.pad(np.arange(a.shape[axis]), (before, after), mode)  # type: ignore[call-overload]
            a = getitem(a, (slice(None),) * axis + (rows,))
    return a


def meshgrid(*tensors: Tensor, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Vectors, each repeated along the axes of the others: the coordinates of a grid.

    `indexing` has no default: "ij" is PyTorch's, "xy", with the first two axes swapped, NumPy's.

    Example:
        >>> import needle as ndl
        >>> x, y = ndl.meshgrid(ndl.Tensor([1.0, 2.0]), ndl.Tensor([3.0]), indexing="ij")
        >>> x.numpy(), y.numpy()
        (array([[1.],
               [2.]]), array([[3.],
               [3.]]))
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(
            "meshgrid: indexing is 'ij' (PyTorch's default) or 'xy' (NumPy's default), "
            f"got {indexing!r}"
        )
    ndim = len(tensors)
    vectors = [reshape(each, -1) for each in as_tensors("meshgrid", tensors)]
    order = list(range(ndim))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    shape = [vectors[each].shape[0] for each in order]
    return tuple(
        broadcast_to(reshape(vector, [-1 if each == axis else 1 for each in order]), shape)
        for axis, vector in enumerate(vectors)
    )


@by_any_name
def moveaxis(a: Tensor, source: Any, destination: Any) -> Tensor:
    """a with the axes `source` moved to the positions `destination`, as np.moveaxis.

    Example:
        >>> import needle as ndl
        >>> ndl.moveaxis(ndl.init.zeros(2, 3, 4), 0, -1).shape
        (3, 4, 2)
    """
    given = normalize_axes(source, a.ndim)
    wanted = normalize_axes(destination, a.ndim)
    if len(given) != len(wanted):
        raise ValueError(f"moveaxis: {len(given)} axes to {len(wanted)} positions")
    order = [axis for axis in range(a.ndim) if axis not in given]
    for position, axis in sorted(zip(wanted, given, strict=True)):
        order.insert(position, axis)
    return permute(a, order)


movedim = moveaxis  # PyTorch's name


@by_any_name
def swapaxes(a: Tensor, axis1: int, axis2: int) -> Tensor:
    """a with two axes swapped.

    Example:
        >>> import needle as ndl
        >>> ndl.swapaxes(ndl.init.zeros(2, 3, 4), 0, 2).shape
        (4, 3, 2)
    """
    if normalize_axis(axis1, a.ndim) == normalize_axis(axis2, a.ndim):
        return a
    return transpose(a, (axis1, axis2))
