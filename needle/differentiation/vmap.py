"""vmap: a function of one example, called on all examples of a batch at once.

Inside, a tensor has the shape of one example and no numbers. An observer of the ops, as forward
mode is one, applies each op to whole batches, by a rule that is written in ops itself. So both
sides have a graph: that of one example inside, for `vmap(grad(f))`, and that of the batches
outside, for `grad(vmap(f))`, `jvp` and another `vmap`. Code outside of vmap pays nothing for it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..autograd import Tensor, TensorTuple, Value, modes
from ..autograd.abstract import NeedsNumbers
from ..ops import identity, stop_gradient
from ..ops.kinds import normalize_axis
from ..ops.names import by_any_name
from .arguments import Function, check_outputs, name_of
from .arrays import as_arrays, as_tensors, only_arrays
from .batching import Operand, batched, full, moved_axes
from .tree import flatten, substituted

__all__ = ["vmap"]

_NO_NUMBERS = (
    "inside vmap a tensor stands for all examples of a batch, and its numbers cannot be read by "
    "item(), numpy(), float(), bool() or `if`, nor be written: use ops on the tensor, such as "
    "needle.where, and read the result of vmap"
)


@by_any_name
def vmap(function: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """A function that maps `function`, of one example, over an axis of its arguments.

    `function` runs once. Each op in it computes all examples at once, by the batching rule of its
    kind (see `needle.differentiation.batching`); an op without a rule runs for each example. The
    result equals that of a loop over the examples, and has derivatives in both modes: vmap nests,
    with itself and with `grad`, `jvp` and the others. `vmap(grad(loss))` gives the gradient of each
    sample.

    Random ops such as dropout draw for each example. What is drawn otherwise (`needle.init.randn`,
    NumPy) is drawn once and shared by all examples. The numbers of a tensor cannot be read inside:
    write `needle.where` for an `if` that depends on them. Running statistics cannot be those of
    each example: batch normalisation needs `model.eval()`, as in PyTorch.

    Args:
        function: of tensors, or of nested containers of them; returns tensors or containers.
        in_axes: the axis of the examples: an integer for all arguments, or a tuple with an entry
            for each. An entry is an integer, None for an argument that all examples share, or a
            container of entries for the parts of an argument. A Module is shared. Keyword arguments
            are shared, too.
        out_axes: where the results have the axis of the examples: an integer, or a container for
            the parts of the result; None for what is the same for all examples.

    Raises:
        ValueError: the examples differ in number, nothing is mapped, or `in_axes` or `out_axes` do
            not fit.
        TypeError: the numbers of a tensor are read inside.

    Arguments may be NumPy arrays; if all are, so are the results. As in JAX and torch.func, whose
    names `in_dims` and `out_dims` are understood, too.

    Example:
        >>> import needle as ndl
        >>> inner = lambda a, b: (a * b).sum()
        >>> x = ndl.Tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> ndl.vmap(inner, in_axes=(0, None))(x, ndl.Tensor([1.0, 10.0])).numpy()
        array([21., 43.])
        >>> ndl.vmap(ndl.grad(lambda a: (a**3).sum()))(x).numpy()
        array([[ 3., 12.],
               [27., 48.]])
    """

    @functools.wraps(function)
    def mapped(*args: Any, **options: Any) -> Any:
        are_arrays = only_arrays(args)
        args = as_tensors(args)
        name = name_of(function)
        given = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        axes = _axes_of(given, args, f"in_axes of vmap({name})")
        batch = _Batch(_size(name, flatten(args)[0], axes))
        places = iter(axes)
        entered = substituted(
            args,
            lambda tensor: batch.enter(tensor, next(places)),
            lambda parameter: next(places),
        )
        with batch.inside():
            result = function(*entered, **options)
        check_outputs(function, flatten(result)[0])
        places = iter(_axes_of(out_axes, result, f"out_axes of vmap({name})"))
        left = substituted(result, lambda output: batch.leave(output, next(places), name))
        return as_arrays(left) if are_arrays else left

    return mapped


def _axes_of(axes: Any, tree: Any, what: str) -> list[int | None]:
    """The entry of `axes` for each tensor in `tree`; an entry holds for all that is below it."""
    if axes is None or isinstance(axes, int):
        found: list[int | None] = []

        def of_parameter(parameter: Tensor) -> None:
            if axes is not None:
                raise ValueError(
                    f"{what}: {axes} for a Module, which all examples share: give None, or map "
                    "over a dict of parameters by needle.functional_call"
                )
            found.append(axes)

        substituted(tree, lambda tensor: found.append(axes), of_parameter)
        return found
    sequences = tuple, list, TensorTuple
    if isinstance(axes, dict) and isinstance(tree, dict) and axes.keys() == tree.keys():
        pairs = [(axes[key], part) for key, part in tree.items()]
    elif isinstance(axes, sequences) and isinstance(tree, sequences) and len(axes) == len(tree):
        pairs = list(zip(axes, tree, strict=True))
    else:
        entries = f"{len(tree)} entries" if isinstance(tree, (dict, *sequences)) else "no entries"
        raise ValueError(
            f"{what}: {axes!r} for a {type(tree).__name__} of {entries}: give an integer, None, or "
            "the same container with an entry for each"
        )
    return [axis for entry, part in pairs for axis in _axes_of(entry, part, what)]


def _size(name: str, tensors: Sequence[Tensor], axes: Sequence[int | None]) -> int:
    """The number of examples."""
    mapped = [
        (tensor, axis) for tensor, axis in zip(tensors, axes, strict=True) if axis is not None
    ]
    for tensor, axis in mapped:
        if not -tensor.ndim <= axis < tensor.ndim:
            raise ValueError(f"vmap({name}): no axis {axis} in a tensor of shape {tensor.shape}")
    lengths = {tensor.shape[axis] for tensor, axis in mapped}
    if not lengths:
        raise ValueError(
            f"vmap({name}) maps over nothing: no argument is a tensor with an axis in in_axes"
        )
    if len(lengths) > 1:
        found = ", ".join(f"axis {axis} of {tensor.shape}" for tensor, axis in mapped)
        raise ValueError(f"vmap({name}): the mapped axes differ in length: {found}")
    return lengths.pop()


class _BatchedArray(NDArrayOperatorsMixin):
    """In the place of a tensor's array inside vmap: that of one example, without its numbers."""

    __slots__ = ("batch", "tensor")

    flags = base = None

    def __init__(self, batch: _Batch, tensor: Tensor) -> None:
        self.batch = batch
        self.tensor = tensor  # of all examples

    shape = property(lambda self: self.tensor.shape[1:])
    dtype = property(lambda self: self.tensor.dtype)
    ndim = property(lambda self: self.tensor.ndim - 1)
    size = property(lambda self: math.prod(self.shape))
    device = property(lambda self: self.tensor.device)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.may_share_memory:  # it has none that could be written to
            return False
        like = self.device.full(self.shape, 0, self.dtype)
        if function in (np.empty_like, np.full_like, np.ones_like, np.zeros_like):
            return function(like, *args[1:], **options)
        if function is np.arange:
            return function(*args, **options, like=like)
        raise NeedsNumbers(_NO_NUMBERS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NeedsNumbers(_NO_NUMBERS)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise NeedsNumbers(_NO_NUMBERS)

    __array__ = __array_ufunc__ = __getitem__ = __setitem__ = __iter__ = __len__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = _refuse


class _Batch:
    """One vmap under way.

    Inside, a value that depends on a mapped argument has no numbers of its own: to it belongs a
    tensor outside, the value of all examples. An observer of the ops inside makes that by the op's
    batching rule, under the modes around vmap; lazy mode keeps the op itself from computing. What
    depends on no mapped argument is computed as outside.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._name = f"batch {id(self)}"  # the attribute that holds the tensor outside
        self._observers = modes.observers.get()
        self._is_lazy = modes.is_lazy.get()

    @contextmanager
    def inside(self) -> Iterator[None]:
        with (
            modes.override(modes.observers, (self._observe,)),
            modes.override(modes.is_lazy, True),
            modes.override(modes.differentiate, None),
        ):
            yield

    def enter(self, tensor: Tensor, axis: int | None) -> Tensor:
        """An argument as the function sees it."""
        if axis is None:
            return tensor
        outside = moved_axes(tensor, (normalize_axis(axis, tensor.ndim),), (0,))
        value = Tensor.make_const(_BatchedArray(self, outside), outside.requires_grad)
        vars(value)[self._name] = outside
        return value

    def leave(self, output: Tensor, axis: int | None, name: str) -> Tensor:
        """A result as the caller sees it."""
        operand = self._operand(output)
        if axis is None:
            if operand.is_batched:
                raise ValueError(
                    f"out_axes of vmap({name}) is None for a result that differs between the "
                    f"examples, of shape {output.shape}: give the axis of the examples"
                )
            return output
        result = full(operand, self.size)
        # another tensor than the argument; and no graph leaves a block of no_grad
        return identity(moved_axes(result, (0,), (normalize_axis(axis, result.ndim),)))

    def _operand(self, value: Any) -> Operand:
        data = value.cached_data
        first = data[0] if isinstance(data, tuple) and data else data
        if type(first) is not _BatchedArray or first.batch is not self:
            return Operand(value, False)
        outside = vars(value).get(self._name)
        if outside is None:  # a detached value shares the array alone
            arrays = data if isinstance(data, tuple) else (data,)
            constants = tuple([stop_gradient(array.tensor) for array in arrays])
            outside = constants if isinstance(data, tuple) else constants[0]
        return Operand(outside, True)

    def _observe(self, value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
        """Make the value of all examples, under the modes outside."""
        with (
            modes.override(modes.observers, self._observers),
            modes.override(modes.is_lazy, self._is_lazy),
        ):
            operands = [self._operand(operand) for operand in inputs]
            if not op.is_random and not any(operand.is_batched for operand in operands):
                self._compute(value, op, inputs)
                return
            outside = batched(op, operands, self.size)
            if isinstance(outside, tuple):
                value.cached_data = tuple([_BatchedArray(self, each) for each in outside])
            else:
                value.cached_data = _BatchedArray(self, outside)
            vars(value)[self._name] = outside
            if not value.requires_grad:
                value.op, value.inputs = None, ()

    def _compute(self, value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
        """What depends on no mapped argument."""
        if not self._is_lazy:
            Value.realize_cached_data(value)
        if self._observers:
            modes.notify(value, op, inputs)
