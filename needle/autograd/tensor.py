"""Tensor and TensorTuple, the values that hold arrays, and the ops that make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..device import Device, as_device, default_device, device_of
from . import modes
from .array_like import ArrayLike
from .assign import assign
from .changes import changes_of, unchanged
from .modes import no_grad
from .op import Array, Op
from .reverse import compute_gradient_of_variables
from .value import Value
from .watch import check_unwatched

__all__ = ["Tensor", "TensorOp", "TensorTuple", "TensorTupleOp", "as_operands"]


class TensorTuple(Value):
    """A Value that holds a tuple of arrays; `value[i]` is the i-th Tensor.

    Example:
        >>> import needle as ndl
        >>> parts = ndl.split(ndl.Tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> len(parts), parts.shape
        (2, ((2,), (2,)))
        >>> print(parts[1])
        [3. 4.]
    """

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.abstract() if self.cached_data is None else self.cached_data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def tuple(self) -> Any:
        """The Tensors, as a Python tuple."""
        arrays = self.cached_data
        if arrays is None or self.requires_grad or modes.observers.get():
            return tuple(self)
        # no graph is lost, because no gradient is required
        entries = tuple([Tensor.make_const(array) for array in arrays])
        if self._changes is not unchanged:
            for entry in entries:
                entry._changes = self._changes
        return entries

    def constant(self, index: int) -> Tensor:
        """The entry `index`, outside the graph unless an observer is active."""
        if self.cached_data is None or modes.observers.get():
            return self[index]
        return Tensor.make_const(self.cached_data[index])

    @property
    def shape(self) -> Any:
        """The shapes of the entries."""
        return tuple([array.shape for array in self.abstract()])

    def detach(self) -> TensorTuple:
        """The same arrays outside the graph."""
        detached = TensorTuple.make_const(self.realize_cached_data())
        detached._changes = changes_of(self)
        return detached

    def __repr__(self) -> str:
        return f"needle.TensorTuple{self.tuple()!r}"

    if TYPE_CHECKING:  # bound in needle.ops

        def __getitem__(self, index: int) -> Tensor: ...
        def __add__(self, other: TensorTuple) -> TensorTuple: ...


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    for axis, length in enumerate(shape):
        if length != 1:
            return shape[axis:]
    return ()


class Tensor(Value, ArrayLike):
    """A Value that holds an array: NumPy's dtypes and broadcasting, with gradients.

    Args:
        array: a Tensor, an array, or (nested lists of) numbers; copied.
        device: a Device or its name; by default that of `array`, or else the CPU.
        dtype: by default NumPy's choice (a list of floats is float64, of ints int64).
        requires_grad: whether `backward` stores a gradient in `.grad`.

    Raises:
        TypeError: `array` does not hold real numbers.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> (x * x).sum().backward()
        >>> x.grad
        needle.Tensor([2. 4.], dtype=float64, requires_grad=True)
    """

    __slots__ = ()

    _is_parameter = False

    def __init__(
        self,
        array: Any,
        *,
        device: Device | str | None = None,
        dtype: Any = None,
        requires_grad: bool = True,
    ) -> None:
        source = array
        if isinstance(array, Tensor):
            check_unwatched(array, "Tensor(x)", "use x itself")
            source = array.realize_cached_data()
        where = device_of(source, default_device()) if device is None else as_device(device)
        try:
            data = where.array(source, dtype)
        except ValueError as error:
            raise ValueError(f"Tensor could not make one array of its argument: {error}") from None
        if data.dtype.kind not in "biuf":
            raise TypeError(f"Tensor holds real numbers, got dtype {data.dtype}")
        self.op = self._grad = None
        self.inputs = ()
        self.made = 0
        self.cached_data = data
        self.requires_grad = requires_grad

    def realize_cached_data(self) -> Array:
        """The tensor's own writable array, computed now if it was not yet."""
        data = self._array()
        if not getattr(data.flags, "writeable", True):  # a broadcast view: several elements share
            data = self.cached_data = data.copy()
        return data

    def _array(self) -> Array:
        data = self.cached_data
        return Value.realize_cached_data(self) if data is None else data

    @property
    def data(self) -> Tensor:
        """A detached Tensor that shares this one's array; assigning replaces the array.

        A value whose shape has more or fewer leading axes of length 1 is reshaped.
        """
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data takes a Tensor, got {type(value).__name__}")
        if _without_leading_ones(value.shape) == _without_leading_ones(self.shape):
            with no_grad():
                value = value if value.shape == self.shape else value.reshape(self.shape)
        if value.dtype != self.dtype or value.shape != self.shape:
            raise ValueError(
                f"data of a {self.dtype} tensor of shape {self.shape} cannot be replaced by "
                f"{value.dtype} of shape {value.shape}: convert with astype or reshape first"
            )
        assign(self, value, in_place=False)

    def detach(self) -> Tensor:
        """A Tensor outside the graph that shares this one's array."""
        detached = Tensor.make_const(self.realize_cached_data())
        detached._changes = changes_of(self)
        return detached

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of a leaf, and return the tensor."""
        if self.op is not None and self.requires_grad and not requires_grad:
            raise RuntimeError(
                "requires_grad_(False) on a tensor that ops made would not end its graph: "
                "use tensor.detach()"
            )
        self.requires_grad = bool(requires_grad)
        return self

    def __copy__(self) -> Self:
        copy = self.make_const(self.realize_cached_data(), self.requires_grad)
        copy._changes = changes_of(self)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        array = self.realize_cached_data()
        if self.op is not None:
            raise RuntimeError(
                f"a copy of a tensor made by {type(self.op).__name__} would not belong to its "
                "graph: only leaves can be copied, so copy tensor.detach()"
            )
        copy = self.make_const(array.copy(), self.requires_grad)
        copy.grad = None if self._grad is None else self._grad.detach().__deepcopy__(memo)
        own = {"_hooks", "_stored", "_changes", "_replaced", "_shared"}
        vars(copy).update({name: vars(self)[name] for name in vars(self).keys() - own})
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        # the values alone: a graph, or a gradient with its graph, is not what one stores
        return type(self).make_const, (self.realize_cached_data(), self.requires_grad)

    @property
    def device(self) -> Device:
        """Where the array lives; that of a lazy tensor follows from its operands."""
        value: Value = self
        while value.cached_data is None:
            if isinstance(device := getattr(value.op, "device", None), Device):
                return device
            if not value.inputs:
                return default_device()
            value = value.inputs[0]
        data = value.cached_data
        return device_of(data[0] if isinstance(data, tuple) else data)

    def backward(
        self,
        out_grad: Tensor | None = None,
        create_graph: bool = True,
        retain_graph: bool | None = None,
        accumulate: bool = False,
    ) -> None:
        """Store in `.grad` of every leaf the gradient of this tensor (summed, if it has axes).

        A former gradient is replaced, unlike in PyTorch; a leaf of the graph that no adjoint
        reaches gets None. `GradientReplacedWarning` tells of gradients that are replaced and that
        nothing has read or reset. To add up the gradients of several batches before one step:

            for images, labels in batches:
                loss = loss_function(model(images), labels)
                loss.backward(create_graph=False, accumulate=True)
            optimizer.step()
            optimizer.reset_grad()

        Args:
            out_grad: the adjoint of this tensor, of its shape; ones by default.
            create_graph: keep the gradient's own graph, so that it can be differentiated again.
                Training loops that do not need it pass False and save the memory.
            retain_graph: accepted as in PyTorch; a graph lives as long as its tensors.
            accumulate: add to the gradients that there are, as `needle.accumulate_gradients()`
                does in a block.

        Raises:
            RuntimeError: this tensor has no graph, or a value that the gradient needs was changed
                after the forward pass.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward() on a tensor without a graph: it requires no gradient, because no input "
                "did or because it was made under no_grad(), by detach() or by a compiled "
                "function: compile the whole step, with its backward()"
            )
        if out_grad is None:
            ones = np.empty_like(self._array())  # ones_like takes ten times as long
            ones[...] = 1
            out_grad = Tensor.make_const(ones)
        elif not isinstance(out_grad, Tensor):
            dtype = self.dtype if self.dtype.kind == "f" else None  # integers get fractions, too
            out_grad = Tensor(out_grad, device=self.device, dtype=dtype, requires_grad=False)
        if out_grad.shape != self.shape:
            raise ValueError(f"out_grad of shape {out_grad.shape} for a tensor of {self.shape}")
        if accumulate:
            with modes.accumulate_gradients():
                self.backward(out_grad, create_graph)
        elif create_graph:
            compute_gradient_of_variables(self, out_grad)
        else:
            # in a context of its own, which ends with the call: faster than a `with` statement
            copy_context().run(_store_numbers, self, out_grad)


def _store_numbers(output: Tensor, out_grad: Tensor) -> None:
    """Store gradients without a graph."""
    modes.grad_enabled.set(False)
    compute_gradient_of_variables(output, out_grad)


def as_operands(op: Op, operands: tuple[Any, ...]) -> tuple[Value, ...]:
    """`operands` with arrays and Python numbers made constants; numbers widen no tensor."""
    dtypes = [each.dtype for each in operands if isinstance(each, Tensor | np.ndarray)]
    device = next((each.device for each in operands if isinstance(each, Tensor)), default_device())
    values: list[Value] = []
    for position, operand in enumerate(operands):
        if isinstance(operand, Value):
            values.append(operand)
        elif isinstance(operand, int | float | np.bool | np.integer | np.floating):
            number = operand.item() if isinstance(operand, np.generic) else operand
            array = device.array(number, np.result_type(*dtypes, number))
            values.append(Tensor.make_const(array))
        else:
            values.append(as_constant(type(op).__name__, position, operand, device))
    return tuple(values)


def as_constant(name: str, position: int, operand: Any, device: Device) -> Tensor:
    """An array, a number, or nested lists of numbers, as a constant: operand `position` of `name`.

    A copy, because the owner of an array may write to it before backward.
    """
    hint = "wrap it with needle.Tensor(...)"
    if isinstance(operand, list | tuple):
        if _holds_values(operand):
            hint = "needle.stack(...) makes one tensor of several, in the graph"
        else:
            try:
                operand = np.asarray(operand)
            except ValueError:
                hint = "its rows differ in length"
    kind = getattr(operand, "dtype", None)
    if kind is None and isinstance(operand, int | float):
        kind = np.result_type(operand)
    if kind is None or kind.kind not in "biuf":
        raise TypeError(
            f"{name} expected a Tensor of real numbers as operand {position}, "
            f"got {type(operand).__name__ if kind is None else kind}: {hint}"
        )
    return Tensor.make_const(device.array(operand))


def _holds_values(entries: Any) -> bool:
    return any(
        isinstance(each, Value) or (isinstance(each, list | tuple) and _holds_values(each))
        for each in entries
    )


def _call(op: Op, *operands: Any) -> Any:
    for operand in operands:
        if not isinstance(operand, Value):
            operands = as_operands(op, operands)
            break
    return op.value_type.make_from_op(op, operands)  # type: ignore[attr-defined]


class TensorOp(Op):
    """An op whose value is a Tensor.

    Example:
        >>> import needle as ndl
        >>> class Cube(ndl.TensorOp):
        ...     def compute(self, a):
        ...         return a**3
        ...     def gradient(self, out_grad, node):
        ...         return out_grad * node.inputs[0] ** 2 * 3
        >>> x = ndl.Tensor([2.0])
        >>> Cube()(x).backward()
        >>> print(x.grad)
        [12.]
    """

    value_type = Tensor
    __call__ = _call


class TensorTupleOp(Op):
    """An op with several outputs: its value is a TensorTuple.

    Example:
        >>> import needle as ndl
        >>> class MinMax(ndl.TensorTupleOp):
        ...     def compute(self, a):
        ...         return a.min(), a.max()
        >>> low, high = MinMax()(ndl.Tensor([3.0, 1.0, 2.0], requires_grad=False))
        >>> low.item(), high.item()
        (1.0, 3.0)
    """

    value_type = TensorTuple
    __call__ = _call
