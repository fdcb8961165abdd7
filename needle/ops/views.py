"""Views: the same data under another shape or other strides."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Tensor
from .kinds import Axes, View, integers, normalize_axes, stated, unary, unbroadcast, with_parameters
from .names import by_any_name

__all__ = [
    "Identity", "identity", "BroadcastTo", "broadcast_to", "Flip", "flip", "Permute", "permute",
    "Reshape", "reshape", "StopGradient", "stop_gradient", "Transpose", "transpose",
    "expand", "expand_as", "expand_dims", "flatten", "squeeze", "t", "unsqueeze",
]  # fmt: skip


# fmt: off
Identity, identity = stated(View, "Identity", "identity", lambda a: a, lambda g, y, a: g,
    "a, as another node of the graph. Adjoint: g.")
StopGradient, stop_gradient = stated(View, "StopGradient", "stop_gradient", lambda a: a, None,
    """a, as a constant for differentiation: no gradient and no tangent passes.

    Example:
        >>> import needle as ndl
        >>> ndl.grad(lambda x: x * ndl.stop_gradient(x))(ndl.Tensor(3.0)).item()
        3.0
    """)
Flip, flip = stated(View, "Flip", "flip",
    lambda a, /, axes=None: np.flip(a, normalize_axes(axes, a.ndim)),
    lambda g, y, a, axes: y.op(g),
    "a reversed along `axes`, all of them by default. Adjoint: g reversed along them.")
# fmt: on


class Reshape(View):
    """The elements in row-major order as `shape`, where -1 is inferred. Adjoint: g in a's shape."""

    def __init__(self, shape: Sequence[int] | int) -> None:
        self.shape = integers(shape, "shape")

    def compute(self, a: Array) -> Array:
        return np.reshape(a, self.shape)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return reshape(out_grad, node.inputs[0].shape)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        return f"its {arrays[0].size} elements do not fill shape {self.shape}"


class BroadcastTo(View):
    """a repeated to `shape` by NumPy's broadcasting rules. Adjoint: g summed over the new axes."""

    def __init__(self, shape: Sequence[int] | int) -> None:
        self.shape = integers(shape, "shape")

    def compute(self, a: Array) -> Array:
        return np.broadcast_to(a, self.shape)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return unbroadcast(out_grad, node.inputs[0].shape)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        return (
            f"it does not broadcast to {self.shape}: counted from the last, each axis must have "
            "the new length or length 1"
        )


class Transpose(View):
    """a with two axes swapped, by default the last two. Adjoint: g with the same axes swapped."""

    def __init__(self, axes: tuple[int, int] | None = None) -> None:
        self.axes = axes

    def compute(self, a: Array) -> Array:
        if self.axes is None and a.ndim > 1:
            return np.swapaxes(a, -2, -1)
        axes = normalize_axes((-2, -1) if self.axes is None else self.axes, a.ndim)
        if len(axes) != 2:
            raise ValueError(f"transpose swaps two axes, got {self.axes}: permute takes them all")
        return np.swapaxes(a, *axes)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return Tensor.make_from_op(self, (out_grad,))


class Permute(View):
    """a with all its axes in the order `axes` (np.transpose). Adjoint: g in the inverse order."""

    def __init__(self, axes: Sequence[int]) -> None:
        self.axes = integers(axes, "axes")

    def compute(self, a: Array) -> Array:
        axes = normalize_axes(self.axes, a.ndim)
        if len(axes) != a.ndim:
            raise ValueError(f"permute takes every axis once, got {self.axes}")
        return np.transpose(a, axes)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        axes = normalize_axes(self.axes, len(self.axes))
        return permute(out_grad, sorted(range(len(axes)), key=axes.__getitem__))


reshape = with_parameters(Reshape)
broadcast_to = with_parameters(BroadcastTo, "broadcast_to")
permute = with_parameters(Permute)


@by_any_name
def transpose(
    a: Tensor, axes: Any = None, dim1: int | None = None, *, dim0: int | None = None
) -> Tensor:
    """a with two axes swapped, by default the last two: `transpose(a, (0, 1))`.

    PyTorch's `transpose(a, 0, 1)` and `transpose(a, dim0=0, dim1=1)` do the same.
    """
    if dim1 is not None or dim0 is not None:
        axes = (axes if dim0 is None else dim0, dim1)
    return Tensor.make_from_op(Transpose(axes), (a,))


def t(a: Tensor) -> Tensor:
    """The transposed matrix, and a itself if it has fewer axes, as `a.T`.

    Of three axes and more it is an error: say `a.mT` or `a.permute(...)`.
    """
    if not isinstance(a, Tensor):
        a = Tensor(a, requires_grad=False)
    if a.ndim > 2:
        raise ValueError(
            f"x.T of a tensor of shape {a.shape} is ambiguous: x.mT swaps the last two axes, "
            "x.permute(...) takes them in any order (NumPy's T and PyTorch's reverse all of them)"
        )
    return matrix_transpose(a) if a.ndim == 2 else a


matrix_transpose = unary(Transpose(), "matrix_transpose")


@by_any_name
def expand(a: Tensor, *sizes: Any) -> Tensor:
    """a repeated along axes of length 1 and new leading axes: `expand(a, (3, -1))`.

    As `broadcast_to`; -1 keeps the length of an axis.
    """
    given = integers(sizes[0] if len(sizes) == 1 else sizes, "sizes")
    added = len(given) - a.ndim
    if -1 in given[: max(0, added)]:
        raise ValueError(f"expand: -1 in {given} is for the {a.ndim} axes of shape {a.shape}")
    lengths = enumerate(given, start=-added)
    return broadcast_to(a, [a.shape[at] if length == -1 else length for at, length in lengths])


@by_any_name
def expand_as(a: Tensor, other: Tensor) -> Tensor:
    """a repeated to the shape of another tensor."""
    return broadcast_to(a, other.shape)


@by_any_name
def flatten(a: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """a with the axes from `start_dim` to `end_dim` joined into one."""
    if not a.ndim:
        return reshape(a, 1)
    for axis in (start_dim, end_dim):
        if not -a.ndim <= axis < a.ndim:
            raise IndexError(f"flatten: axis {axis} of a tensor of shape {a.shape}")
    start, end = start_dim % a.ndim, end_dim % a.ndim
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(a.shape[start : end + 1])
    return a.reshape((*a.shape[:start], joined, *a.shape[end + 1 :]))


@by_any_name
def expand_dims(a: Tensor, axes: int | Sequence[int]) -> Tensor:
    """a with new axes of length 1; `axes` are their positions in the result."""
    given = integers(axes, "axes")
    ndim = a.ndim + len(given)
    new = normalize_axes(given, ndim)
    lengths = iter(a.shape)
    return reshape(a, tuple(1 if axis in new else next(lengths) for axis in range(ndim)))


unsqueeze = expand_dims  # PyTorch's name


@by_any_name
def squeeze(a: Tensor, axes: Axes = None) -> Tensor:
    """a without the given axes, which have length 1; by default without all such axes."""
    if axes is None:
        return reshape(a, tuple(length for length in a.shape if length != 1))
    gone = normalize_axes(axes, a.ndim)
    for axis in gone:
        if a.shape[axis] != 1:
            raise ValueError(f"squeeze: axis {axis} of shape {a.shape} does not have length 1")
    return reshape(a, tuple(length for axis, length in enumerate(a.shape) if axis not in gone))
