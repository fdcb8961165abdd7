"""The computational graph: values, the ops that make them, and reverse-mode differentiation.

A `Value` is a node. An `Op` computes arrays forward (`compute`) and writes the graph of its
adjoint out of other ops (`gradient`). `backward` walks the graph once, from the output to the
leaves. This module knows no op: `needle.ops` binds the operators of `Tensor` to its ops.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import modes
from .array_like import ArrayLike
from .device import Device, default_device
from .hooks import Hook
from .modes import lazy_mode, no_grad
from .op import Array, Op
from .reverse import compute_adjoints, compute_gradient_of_variables, copied, find_topo_sort

__all__ = [
    "LAZY_MODE",
    "TENSOR_COUNTER",
    "Op",
    "Tensor",
    "TensorOp",
    "TensorTuple",
    "TensorTupleOp",
    "Value",
    "compute_adjoints",
    "compute_gradient_of_variables",
    "count_live_tensors",
    "find_topo_sort",
    "lazy_mode",
    "no_grad",
]

LAZY_MODE = False
"""Set it to compute nothing until it is needed, in every thread; `lazy_mode()` does it locally."""

if TYPE_CHECKING:
    TENSOR_COUNTER: int


def __getattr__(name: str) -> Any:
    # counted on access, so that creating a Value pays nothing for it
    if name == "TENSOR_COUNTER":
        return count_live_tensors()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def count_live_tensors() -> int:
    """The number of Values alive now; what grows from step to step of a loop is a leak.

    Example:
        >>> import needle as ndl
        >>> before = ndl.count_live_tensors()
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> ndl.count_live_tensors() - before
        1
    """
    return sum(issubclass(type(candidate), Value) for candidate in gc.get_objects())


class Value:
    """A node of the computational graph: an op applied to inputs, or a leaf."""

    __slots__ = ("__dict__", "__weakref__", "cached_data", "grad", "inputs", "op", "requires_grad")

    op: Op | None
    inputs: tuple[Any, ...]  # Values; an op knows of which kind
    cached_data: Any
    requires_grad: bool
    grad: Any  # a Value of the same kind, or None

    _hooks: dict[Any, Callable[[Any], Any]] | None = None

    @classmethod
    def make_const(cls, data: Array, requires_grad: bool = False) -> Self:
        """A leaf that holds `data` itself, not a copy."""
        value = _new(cls)
        value.op = value.grad = None
        value.inputs = ()
        value.cached_data = data
        value.requires_grad = requires_grad
        return value

    @classmethod
    def make_from_op(cls, op: Op, inputs: tuple[Any, ...]) -> Self:
        """The value of `op` on `inputs`, computed at once unless in lazy mode.

        Keeps `op` and `inputs` only where a gradient may flow back through them.
        """
        is_lazy = _lazy_mode() or LAZY_MODE
        requires_grad = False
        arrays = []
        try:
            for operand in inputs:
                data = operand.cached_data
                if data is None and not is_lazy:
                    data = operand.realize_cached_data()
                arrays.append(data)
                if operand.requires_grad:
                    requires_grad = True
        except AttributeError:
            return cls.make_from_op(op, _as_values(op, inputs))
        value = _new(cls)
        value.cached_data = None if is_lazy else op._run(arrays)
        value.grad = None
        if requires_grad and op.differentiable and _grad_enabled():
            value.requires_grad = True
            value.op = op
            value.inputs = inputs
        else:
            value.requires_grad = False
            value.op = op if is_lazy else None
            value.inputs = inputs if is_lazy else ()
        if _observers():
            modes.notify(value, op, inputs)
        return value

    def realize_cached_data(self) -> Any:
        """The value's own array, computed now if it was not yet."""
        # a stack instead of recursion: a lazy graph may be 100,000 ops deep
        stack = [self] if self.cached_data is None else []
        while stack:
            value = stack[-1]
            if value.cached_data is None:
                pending = [operand for operand in value.inputs if operand.cached_data is None]
                if pending:
                    stack += pending
                    continue
                assert value.op is not None, "a leaf holds data"
                value.cached_data = value.op._run([operand.cached_data for operand in value.inputs])
                if not value.requires_grad:
                    value.op, value.inputs = None, ()
            stack.pop()
        return self.cached_data

    def is_leaf(self) -> bool:
        """Whether no op made this value."""
        return self.op is None

    def register_hook(self, hook: Callable[[Any], Any]) -> Hook:
        """Have `hook` called with this value's adjoint when `backward` has summed it up.

        What it returns, unless it is None, takes the adjoint's place.

        Returns:
            A handle; its `remove()` takes the hook away.

        Example:
            >>> import needle as ndl
            >>> x = ndl.Tensor([1.0, 2.0])
            >>> handle = x.register_hook(lambda adjoint: adjoint * 10)
            >>> (x * x).sum().backward()
            >>> x.grad.numpy()
            array([20., 40.])
            >>> handle.remove()
        """
        if self._hooks is None:
            self._hooks = {}
        return Hook(self._hooks, hook)

    def retain_grad(self) -> None:
        """Ask `backward` to store `.grad` here although this is no leaf."""

        def store(adjoint: Any) -> None:
            self.grad = copied(adjoint)  # inputs may get the same adjoint

        if not self.is_leaf():
            self._hooks = {} if self._hooks is None else self._hooks
            self._hooks["retain_grad"] = store


# looked up once: every op asks them
_new = object.__new__
_lazy_mode = modes.is_lazy.get
_grad_enabled = modes.grad_enabled.get
_observers = modes.observers.get


def _as_values(op: Op, inputs: Sequence[Any]) -> tuple[Value, ...]:
    """Operands with arrays and Python numbers made constants; numbers widen no tensor."""
    if all(isinstance(operand, Value) for operand in inputs):
        raise  # the AttributeError came from an op
    dtypes = [value.dtype for value in inputs if isinstance(value, Tensor | np.ndarray)]
    values: list[Value] = []
    for position, operand in enumerate(inputs):
        if isinstance(operand, Value):
            values.append(operand)
        elif isinstance(operand, np.ndarray) and operand.dtype.kind in "biuf":
            values.append(Tensor.make_const(operand))
        elif isinstance(operand, int | float | np.bool | np.integer | np.floating):
            number = operand.item() if isinstance(operand, np.generic) else operand
            dtype = np.result_type(*dtypes, number)
            values.append(Tensor.make_const(np.asarray(number, dtype)))
        else:
            kind = getattr(operand, "dtype", type(operand).__name__)
            raise TypeError(
                f"{type(op).__name__} expected a Tensor of real numbers as operand {position}, "
                f"got {kind}: wrap it with needle.Tensor(...)"
            )
    return tuple(values)


class TensorTuple(Value):
    """A Value that holds a tuple of arrays; `value[i]` is the i-th Tensor."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.realize_cached_data())

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def tuple(self) -> Any:
        """The Tensors, as a Python tuple."""
        arrays = self.cached_data
        if arrays is None or self.requires_grad or _observers():
            return tuple(self)
        return tuple([Tensor.make_const(array) for array in arrays])  # which no graph is lost by

    @property
    def shape(self) -> Any:
        """The shapes of the entries."""
        return tuple(array.shape for array in self.realize_cached_data())

    def detach(self) -> TensorTuple:
        """The same arrays outside the graph."""
        return TensorTuple.make_const(self.realize_cached_data())

    def __repr__(self) -> str:
        return f"needle.TensorTuple{self.tuple()!r}"

    if TYPE_CHECKING:  # bound in needle.ops

        def __getitem__(self, index: int) -> Tensor: ...
        def __add__(self, other: TensorTuple) -> TensorTuple: ...


class Tensor(Value, ArrayLike):
    """A Value that holds an array: NumPy's dtypes and broadcasting, with gradients.

    Args:
        array: a Tensor, an array, or (nested lists of) numbers; copied.
        device: where it lives; the CPU by default.
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

    def __init__(
        self,
        array: Any,
        *,
        device: Device | None = None,
        dtype: Any = None,
        requires_grad: bool = True,
    ) -> None:
        source = array.realize_cached_data() if isinstance(array, Tensor) else array
        try:
            data = (device or default_device()).array(source, dtype)
        except ValueError as error:
            raise ValueError(f"Tensor could not make one array of its argument: {error}") from None
        if data.dtype.kind not in "biuf":
            raise TypeError(f"Tensor holds real numbers, got dtype {data.dtype}")
        self.op = self.grad = None
        self.inputs = ()
        self.cached_data = data
        self.requires_grad = requires_grad

    def realize_cached_data(self) -> Array:
        """The tensor's own writable array, computed now if it was not yet."""
        data = super().realize_cached_data()
        if not getattr(
            data.flags, "writeable", True
        ):  # a broadcast view: several elements, one memory
            data = self.cached_data = data.copy()
        return data

    def _array(self) -> Array:
        data = self.cached_data
        return Value.realize_cached_data(self) if data is None else data

    @property
    def data(self) -> Tensor:
        """A detached Tensor that shares this one's array; assigning replaces the array."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data takes a Tensor, got {type(value).__name__}")
        if value.dtype != self.dtype or value.shape != self.shape:
            raise ValueError(
                f"data of a {self.dtype} tensor of shape {self.shape} cannot be replaced by "
                f"{value.dtype} of shape {value.shape}: convert with astype or reshape first"
            )
        self.cached_data = value.realize_cached_data()

    def detach(self) -> Tensor:
        """A Tensor outside the graph that shares this one's array."""
        return Tensor.make_const(self.realize_cached_data())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        array = self.realize_cached_data()
        if self.op is not None:
            raise RuntimeError(
                f"a copy of a tensor made by {type(self.op).__name__} would not belong to its "
                "graph: only leaves can be copied, so copy tensor.detach()"
            )
        copy = self.make_const(array.copy(), self.requires_grad)
        copy.grad = None if self.grad is None else self.grad.detach().__deepcopy__(memo)
        vars(copy).update({name: vars(self)[name] for name in vars(self) if name != "_hooks"})
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        # the values alone: a graph, or a gradient with its graph, is not what one stores
        return type(self).make_const, (self.realize_cached_data(), self.requires_grad)

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return default_device()

    def backward(self, out_grad: Tensor | None = None, create_graph: bool = True) -> None:
        """Store in `.grad` of every leaf the gradient of this tensor (summed, if it has axes).

        Args:
            out_grad: the adjoint of this tensor, of its shape; ones by default.
            create_graph: keep the gradient's own graph, so that it can be differentiated again.
                Training loops that do not need it pass False and save the memory.

        Raises:
            RuntimeError: nothing upstream requires a gradient.
            ValueError: `out_grad` has another shape.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward() on a tensor without a graph: it requires no gradient, because no input "
                "did or because it was made under no_grad() or by detach()"
            )
        if out_grad is None:
            ones = np.empty_like(self._array())  # ones_like takes ten times as long
            ones[...] = 1
            out_grad = Tensor.make_const(ones)
        elif not isinstance(out_grad, Tensor):
            dtype = self.dtype if self.dtype.kind == "f" else None  # integers get fractions, too
            out_grad = Tensor(out_grad, dtype=dtype, requires_grad=False)
        if out_grad.shape != self.shape:
            raise ValueError(f"out_grad of shape {out_grad.shape} for a tensor of {self.shape}")
        if create_graph:
            compute_gradient_of_variables(self, out_grad)
        else:
            with no_grad():
                compute_gradient_of_variables(self, out_grad)


class TensorOp(Op):
    """An op whose value is a Tensor."""

    value_type = Tensor


class TensorTupleOp(Op):
    """An op whose value is a TensorTuple."""

    value_type = TensorTuple
