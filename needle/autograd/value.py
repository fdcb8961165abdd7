"""Value, a node of the computational graph: an op applied to inputs, or a leaf."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any, Self

from . import modes
from .abstract import abstract_like
from .changes import changes_of, tick, unchanged
from .hooks import Hook
from .op import Array, Op
from .reverse import RETAINED, Stored

__all__ = ["Value", "count_live_tensors"]

LAZY_MODE = False  # `needle.autograd.LAZY_MODE`, see compatibility.py


def count_live_tensors() -> int:
    """The number of Values alive now; a number that grows in a loop indicates a leak.

    Example:
        >>> import needle as ndl
        >>> before = ndl.count_live_tensors()
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> ndl.count_live_tensors() - before
        1
    """
    return sum(issubclass(type(candidate), Value) for candidate in gc.get_objects())


class Value:
    """A node of the computational graph: an op applied to inputs, or a leaf.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> y = x * 2
        >>> y.inputs[0] is x, y.is_leaf()
        (True, False)
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_grad",
        "cached_data",
        "inputs",
        "made",
        "op",
        "requires_grad",
    )

    op: Op | None
    inputs: tuple[Any, ...]  # of Values
    cached_data: Any
    requires_grad: bool

    made: int  # the time when an op made this value, later than its inputs; 0 for leaves

    _hooks: dict[Any, Any] | None = None
    _abstract: Any = None
    _stored = Stored(is_used=True)  # by `backward`, which warns if it replaces what nobody used
    _changes = unchanged
    _replaced = 0  # the time when it got other memory
    _shared: Any = None  # its part in gradients that ranks average

    @classmethod
    def make_const(cls, data: Array, requires_grad: bool = False) -> Self:
        """A leaf that holds `data` itself, not a copy."""
        value = _new(cls)
        value.op = value._grad = None
        value.inputs = ()
        value.cached_data = data
        value.made = 0
        value.requires_grad = requires_grad
        return value

    @classmethod
    def make_from_op(cls, op: Op, inputs: tuple[Any, ...]) -> Self:
        """The value of `op` on `inputs`, which are Values: computed at once unless in lazy mode.

        Keeps `op` and `inputs` only where a gradient may flow back through them.
        """
        if _lazy_mode() or LAZY_MODE:
            return cls._deferred(op, inputs)
        requires_grad = False
        arrays = []
        for operand in inputs:
            data = operand.cached_data
            if data is None:
                data = operand.realize_cached_data()
            arrays.append(data)
            if operand.requires_grad:
                requires_grad = True
        value = _new(cls)
        value.cached_data = op._run(arrays)
        value._grad = None
        if requires_grad and op.differentiable and _grad_enabled():
            value.requires_grad = True
            value.op = op
            value.inputs = inputs
            value.made = tick()
        else:
            value.requires_grad = False
            value.op = None
            value.inputs = ()
            value.made = 0
            if op.shares_memory:
                value._changes = changes_of(inputs[0])
        if _observers():
            modes.notify(value, op, inputs)
        return value

    @classmethod
    def _deferred(cls, op: Op, inputs: tuple[Any, ...]) -> Self:
        """The value of `op`, which is computed when it is needed or before an operand changes."""
        requires_grad = any(operand.requires_grad for operand in inputs)
        value = cls.make_const(None, requires_grad and op.differentiable and _grad_enabled())
        value.op, value.inputs, value.made = op, inputs, tick()
        for operand in inputs:
            changes_of(operand).add_reader(value)
        if op.shares_memory:
            value._changes = changes_of(inputs[0])
        if _observers():
            modes.notify(value, op, inputs)
        return value

    def realize_cached_data(self) -> Any:
        """The value's own array, computed now if it was not yet."""
        if self.cached_data is None:
            with _computing:
                _inputs_first(self, lambda value: value.cached_data, Value._compute)
        return self.cached_data

    def _compute(self) -> None:
        assert self.op is not None, "a leaf holds data"
        self.cached_data = self.op._run([operand.cached_data for operand in self.inputs])
        if not self.requires_grad:
            self.op, self.inputs = None, ()

    def abstract(self) -> Any:
        """The shape and dtype as an `AbstractArray` (or a tuple); computes only where it must."""
        _inputs_first(self, Value._known, Value._infer)
        return self._known()

    def _known(self) -> Any:
        return self._abstract if self.cached_data is None else abstract_like(self.cached_data)

    def _infer(self) -> None:
        assert self.op is not None, "a leaf holds data"
        try:
            self._abstract = self.op.infer(*[operand._known() for operand in self.inputs])
        except Exception:  # computing works without a rule, or raises the error of the op
            self.realize_cached_data()

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has stored, a Tensor, or None."""
        self._stored.is_used = True
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._stored.is_used = True
        self._grad = gradient

    def is_leaf(self) -> bool:
        """Whether this value is a leaf: not the result of an op."""
        return self.op is None

    def register_hook(self, hook: Callable[[Any], Any]) -> Hook:
        """Have `backward` call `hook(adjoint)` once the adjoint of this value is complete.

        A result other than None replaces the adjoint. The handle's `remove()` removes the hook.

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
        """Have `backward` store `.grad` here although this is not a leaf."""
        if not self.is_leaf():
            if self._hooks is None:
                self._hooks = {}
            self._hooks[RETAINED] = None


def _inputs_first(
    value: Value, known: Callable[[Value], Any], make: Callable[[Value], None]
) -> None:
    """Call `make` on `value` and on all that it depends on and is not `known`, inputs first."""
    stack = [value]  # instead of recursion: a lazy graph may be 100,000 ops deep
    while stack:
        value = stack[-1]
        if known(value) is None:
            pending = [operand for operand in value.inputs if known(operand) is None]
            if pending:
                stack += pending
                continue
            make(value)
        stack.pop()


_computing = threading.RLock()
"""Held while lazy values are computed: threads may read one graph."""

# looked up once: every op asks them
_new = object.__new__
_lazy_mode = modes.is_lazy.get
_grad_enabled = modes.grad_enabled.get
_observers = modes.observers.get
