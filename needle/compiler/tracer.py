"""Tracer: runs a function once on recording arrays, and so makes a program of it.

The function runs in lazy mode, so that nothing is computed, under an observer that opens each op by
running its `compute` on recording arrays. An op that cannot be opened stays a call of it. What else
a step does is reported to the tracer: assignments, random draws, optimizer steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import numpy as np

from ..autograd import Op, Tensor, Value, modes
from ..autograd.abstract import AbstractArray, NeedsNumbers, abstract_like
from ..autograd.reverse import Stored
from ..device import draw_instead, drawn, global_draws, note_array
from ..ops import GetItem
from .calls import Call
from .program import (
    Captured,
    Check,
    Constant,
    Draw,
    Input,
    Node,
    entry,
    evaluate,
    kind_of,
    nodes_in,
)
from .recording import Escaped, RecordingArray, TooLong, count, nodes_left, operands_of
from .rules import recorded

__all__ = ["OF_A_GRAPH", "Tracer"]

_LONGEST = 300
"""An op that makes more nodes, by a loop over time steps, say, stays a call."""


OF_A_GRAPH = (
    "a tensor that an op made outside of it requires a gradient, which cannot flow back through a "
    "compiled function: pass tensor.detach(), or compile the whole step"
)


class FormerGradient:
    """The gradient that a tensor has when a step begins, whichever that is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def realize_cached_data(self) -> Any:
        return self.tensor._grad.realize_cached_data()

    cached_data = property(realize_cached_data)


class Tracer:
    """One recording. `known` are tensors that live outside, which an array is looked up among."""

    def __init__(self, name: str, known: Iterable[Tensor]) -> None:
        self.name = name
        self.is_open = True
        self.inputs: list[Input] = []
        self.checks: list[Check] = []
        self.draws: list[Node] = []
        self.actions: list[Any] = []
        """What the step does in Python: optimizers' buckets that step, schedules."""
        self.captured: list[tuple[Any, RecordingArray]] = []
        """All leaves but constants, and what stands for their arrays."""
        self.replaced: set[Node] = set()
        """Leaves whose tensors get other arrays, in place of other values in their own."""
        self.unread: set[Node] = set()
        """Leaves that no gradient reads, such as running statistics."""
        self.former: dict[Tensor, tuple[Any, Any]] = {}
        """The tensors from outside, with the gradients that they had before."""
        self._uses: dict[Tensor, Stored] = {}
        """What the function does with these gradients."""
        self.cleared: set[Tensor] = set()
        """Tensors whose gradients were reset."""
        self.accumulated: set[Tensor] = set()
        """Tensors to whose former gradients others were added, as far as there were some."""
        self.arguments: list[Any] = []
        self._outside: dict[Node, Any] = {}
        """The arrays of arguments and captured tensors in this call."""
        self._arrays: dict[int, tuple[Any, RecordingArray]] = {}
        self._made: dict[int, Any] = {}
        for tensor in known:
            self._know(tensor)

    # --- what the function works on

    def _know(self, tensor: Tensor) -> RecordingArray:
        """Capture a tensor from outside, and its gradient."""
        if tensor.op is not None and tensor.requires_grad:
            raise ValueError(f"{self._place()}: {OF_A_GRAPH}")
        self.former[tensor] = tensor._grad, tensor._stored
        tensor._stored = self._uses[tensor] = Stored()
        tensor._stored.is_stepped = True  # replacing it is for `RecordedStep.run` to judge
        if tensor._grad is not None:
            self._capture(FormerGradient(tensor))
        return self._capture(tensor)

    def _capture(self, holder: Any) -> RecordingArray:
        node = Captured(holder)
        recording = RecordingArray(self, node)
        array = holder.realize_cached_data()
        self._arrays[id(array)] = array, recording
        self._outside[node] = array
        self.captured.append((node, recording))
        return recording

    def argument(self, tensor: Tensor) -> Tensor:
        """A tensor in the place of an argument."""
        array = tensor.realize_cached_data()
        node = Input(len(self.inputs), array.shape, array.dtype)
        self.inputs.append(node)
        self.arguments.append(array)
        self._outside[node] = array
        recording = RecordingArray(self, node)
        self.captured.append((node, recording))  # it may be assigned to
        return Tensor.make_const(recording, tensor.requires_grad)

    def note(self, array: Any) -> None:
        """An array that was created, not computed, while the function runs."""
        self._made[id(array)] = array

    def is_made(self, leaf: Node) -> bool:
        """Whether the array of a leaf was created while the function ran."""
        if not isinstance(leaf, Captured) or not isinstance(leaf.tensor, Tensor):
            return False
        return id(leaf.tensor.cached_data) in self._made

    def array_of(self, value: Value) -> Any:
        """The recording array of a tensor, or the tuple of those of a tuple."""
        data = value.cached_data
        if data is None:
            with modes.override(modes.observers, ()):
                data = value.realize_cached_data()
        if isinstance(data, RecordingArray):
            data.tracer.check_open()
            return data
        if isinstance(data, tuple):
            return tuple([self._of_array(value, each) for each in data])
        return self._of_array(value, data)

    def _of_array(self, value: Any, array: Any) -> RecordingArray:
        if isinstance(array, RecordingArray):
            return array
        found = self._arrays.get(id(array))
        if found is not None:
            return found[1]
        if value.cached_data is not array:  # an entry of a tuple
            return self._capture(Tensor.make_const(array))
        return self._know(value)

    # --- recording

    def record(self, function: Callable[[], Any]) -> Any:
        """The result of `function()`, whose ops, draws and effects are recorded."""
        try:
            with (
                modes.override(modes.observers, (self._observe,)),
                modes.override(modes.is_lazy, True),
                modes.override(modes.effects, self),
                modes.override(draw_instead, self._draw),
                modes.override(note_array, self.note),
            ):
                return function()
        finally:
            self.is_open = False

    def _observe(self, value: Any, op: Op, inputs: tuple[Any, ...]) -> None:
        arrays = [self.array_of(operand) for operand in inputs]
        value.cached_data = self._opened(op, arrays)

    def _opened(self, op: Op, arrays: list[Any]) -> Any:
        """The result of an op as recording arrays: by the functions that it calls, or as a call."""
        if op.check is not None:
            self.checks.append(Check(op, operands_of(tuple(arrays))))
        if op.compute_into is not None:
            return self._called(op, arrays, "it computes into the memory that it is given")
        draws = len(self.draws)
        try:
            with (
                modes.override(nodes_left, [_LONGEST]),
                modes.override(modes.observers, ()),
                _without_draws(op),
            ):
                result = self._as_recorded(op.compute(*arrays))
        except Exception as error:  # of any kind, because a `compute` may be anybody's
            if isinstance(op, GetItem) and _has_mask(arrays[1:]):
                raise self._error(
                    "the shape of x[mask] depends on the values of the mask: use needle.where, or "
                    "multiply by the mask"
                ) from None
            del self.draws[draws:]
            return self._called(op, arrays, _reason(error))
        if op.is_random and len(self.draws) == draws:
            return self._called(op, arrays, "it draws random numbers by itself")
        return result

    def _as_recorded(self, result: Any) -> Any:
        if isinstance(result, tuple):
            return tuple([self._as_recorded(each) for each in result])
        if isinstance(result, RecordingArray):
            # no array is shared: what is written to one result must not change another
            return RecordingArray(self, result.node)
        return RecordingArray(self, Constant(np.array(result)))

    def _called(self, op: Op, arrays: list[Any], reason: str) -> Any:
        """The result of an op as a call of it, which cannot be opened for a reason."""
        with _without_draws(op):
            try:
                abstract = op.infer(*[_abstract(array) for array in arrays])
            except Exception:  # no rule for an op of a user: its values show the shape
                abstract = abstract_like(op._run(self._values(arrays)))
        operands = operands_of(tuple(arrays))
        function = Call(op, abstract, reason)
        if isinstance(abstract, tuple):
            entries = tuple([(each.shape, each.dtype) for each in abstract])
            node = Node(function, operands, {}, entries=entries)
            parts = [Node(entry, (node, i), {}, *each) for i, each in enumerate(entries)]
            result: Any = tuple([RecordingArray(self, part) for part in parts])
        else:
            node = Node(function, operands, {}, abstract.shape, abstract.dtype)
            result = RecordingArray(self, node)
        if op.is_random:
            self.draws.append(node)
        return result

    def _values(self, arrays: Any) -> Any:
        """The arrays that the nodes have in this call; where they depend on draws, some others."""
        nodes = list(nodes_in(operands_of(tuple(arrays))))
        known = self._outside.copy()
        for node in self.draws:
            if node.shape is not None:
                known[node] = np.full(node.shape, 0.5).astype(node.dtype)
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, Constant):
                known[node] = node.array
            waiting += [each for each in node.nodes if each not in known]
        with modes.override(modes.is_lazy, False), modes.override(modes.observers, ()):
            evaluate(nodes, known)

        def value(array: Any) -> Any:
            return tuple(map(value, array)) if isinstance(array, tuple) else known[array.node]

        return [value(array) for array in arrays]

    def recorded(self, function: Any, *args: Any, like: Any = None, **options: Any) -> Any:
        """What NumPy's `function` gives for recording arrays, of which `like` is one."""
        return recorded(self, function, args, options, like)

    def recorded_as(
        self, function: Any, args: tuple[Any, ...], options: dict[str, Any], abstract: Any
    ) -> Any:
        """A node for `function(*args, **options)`, of the shape and dtype of `abstract`."""
        if isinstance(abstract, RecordingArray):
            return abstract
        operands = operands_of(args)
        if isinstance(abstract, tuple):
            entries = tuple([(each.shape, each.dtype) for each in abstract])
            node = Node(function, operands, options, entries=entries)
            parts = [Node(entry, (node, i), {}, *each) for i, each in enumerate(entries)]
            return tuple([RecordingArray(self, part) for part in parts])
        node = Node(function, operands, options, abstract.shape, abstract.dtype)
        count()
        is_view = kind_of(node) == "view" and isinstance(args[0], RecordingArray)
        return RecordingArray(self, node, args[0] if is_view else None)

    def _draw(self, stream: Any, method: str, size: Any) -> tuple[Any]:
        shape = (size,) if isinstance(size, int | np.integer) else tuple(size)
        dtype = np.int64 if method == "permutation" else np.float64
        node = Node(Draw(stream, method, size, drawn), (), {}, shape, dtype)
        self.draws.append(node)
        return (RecordingArray(self, node),)

    # --- effects, reported by needle

    def assign(
        self, target: Tensor, value: Tensor, in_place: bool, is_read_by_gradients: bool
    ) -> None:
        """`target` takes the values of `value`."""
        own, new = self.array_of(target), self.array_of(value)
        if in_place or isinstance(target.cached_data, np.ndarray):
            own.write(new)
            leaf = next((node for node, array in self.captured if array is own), None)
            if leaf is not None and not in_place:
                self.replaced.add(leaf)
            if leaf is not None and not is_read_by_gradients:
                self.unread.add(leaf)
        else:
            target.cached_data = RecordingArray(self, new.node)

    def accumulate(self, leaf: Tensor) -> None:
        """A gradient is added to the one that `leaf` has."""
        if leaf not in self.cleared:
            self.accumulated.add(leaf)

    def leaves_gradient(self, leaf: Tensor) -> bool:
        """Whether the former gradient of `leaf` is neither reset, read nor added to."""
        uses = self._uses.get(leaf)
        return uses is not None and not uses.is_used and leaf not in self.accumulated

    def clear(self, leaves: Iterable[Tensor]) -> None:
        """The gradients of `leaves` are reset."""
        for leaf in leaves:
            self.array_of(leaf)  # so that the gradient that it has is noted
            self.cleared.add(leaf)

    def act(self, action: Any) -> None:
        """Something to do in Python whenever the step runs."""
        self.actions.append(action)

    # --- errors

    def check_open(self) -> None:
        if not self.is_open:
            raise Escaped(
                f"a tensor that was made while {self.name} was recorded is used outside of it, "
                "where it has no numbers: a compiled function must return what is used later, not "
                "store it in an attribute, a list or a variable from outside"
            )

    def error_of_reading(self) -> Exception:
        """What to raise where the numbers of a tensor are asked for."""
        try:
            self.check_open()
        except Escaped as error:
            return error
        return self._error(
            "the values of a tensor are asked for (item(), numpy(), float(), bool(), `if`, print), "
            "but there are none while a function is recorded: return the tensor and read it "
            "outside, or choose between tensors by needle.where"
        )

    def _error(self, text: str) -> Exception:
        return NeedsNumbers(f"{self._place()}: {text}")

    def _place(self) -> str:
        return f"in the compiled function {self.name}, {_line_of_user()}"


@contextmanager
def _without_draws(op: Op) -> Iterator[None]:
    """A random op that draws from NumPy's global state by itself leaves that as it was."""
    if not op.is_random:
        yield
        return
    state = np.random.get_state()
    before = global_draws[get_ident()]
    try:
        yield
    finally:
        if global_draws[get_ident()] == before:
            np.random.set_state(state)


def _reason(error: Exception) -> str:
    if isinstance(error, TooLong):
        return f"it makes more than {_LONGEST} calls of NumPy"
    return str(error).partition("\n")[0] or type(error).__name__


def _line_of_user() -> str:
    frame: Any = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        package, "numpy", "contextlib",
    ):  # fmt: skip
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _abstract(array: Any) -> Any:
    if isinstance(array, tuple):
        return tuple(map(_abstract, array))
    return AbstractArray(array.shape, array.dtype)


def _has_mask(arrays: Sequence[Any]) -> bool:
    return any(not isinstance(array, tuple) and array.dtype == bool for array in arrays)
