"""Parameters that are updated together: one large one, or several small ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..autograd import Array, Tensor, no_grad
from ..autograd.assign import assign
from ..autograd.modes import observers
from .program import Program, structure
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Bucket"]


class Bucket:
    """Parameters that are updated together; they share settings, dtype and number of steps.

    Args:
        group: the settings.
        params: one parameter of any size, or several small ones.
        scratch: returns memory shared with other buckets; several parameters fit in it twice.
        saved: the step count and state arrays that parameters start with; none by default.
    """

    def __init__(
        self,
        group: ParamGroup,
        params: list[Tensor],
        scratch: Callable[[], Array],
        saved: Mapping[Tensor, dict[str, Any]],
    ) -> None:
        self.group, self.params, self.scratch = group, params, scratch
        self.arrays = [param.realize_cached_data() for param in params]
        self.joined = len(params) > 1
        self.size = sum(array.size for array in self.arrays)
        self.shape = (self.size,) if self.joined else self.arrays[0].shape
        states = [dict(saved.get(param, {})) for param in params]
        self.steps: int = states[0].pop("step", 0)
        self.state: dict[str, Array] = {}  # flat for several parameters
        for name in states[0]:
            arrays = [state[name] for state in states]
            self.state[name] = np.concatenate(arrays, axis=None) if self.joined else arrays[0]
        self.settings: list[Any] = []  # those that the bucket is prepared for
        self.structure: Any = None

    def _parts(self, array: Array) -> list[Array]:
        """Views of a joined array, one in the shape of each parameter."""
        if not self.joined:
            return [array]
        starts = accumulate((values.size for values in self.arrays), initial=0)
        return [
            array[start : start + values.size].reshape(values.shape)
            for start, values in zip(starts, self.arrays, strict=False)
        ]

    def states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """The step count and state arrays of each parameter that has some: views."""
        if self.state:
            parts = zip(*[self._parts(array) for array in self.state.values()], strict=True)
            for param, arrays in zip(self.params, parts, strict=True):
                yield param, {"step": self.steps, **dict(zip(self.state, arrays, strict=True))}

    def gradients(self) -> list[Array]:
        """The gradients there are, in order; looks up where the parameters' arrays are now."""
        gradients = []
        for position, param in enumerate(self.params):
            values = param.cached_data
            if values is not self.arrays[position]:
                values = self._moved(position)
            grad = param.grad
            if grad is not None:
                try:
                    gradient = grad.cached_data
                    if gradient is None:
                        gradient = grad.realize_cached_data()
                except AttributeError:
                    raise TypeError(f".grad holds a Tensor, got {type(grad).__name__}") from None
                if gradient.shape != values.shape:
                    raise ValueError(
                        f"gradient of shape {gradient.shape} for a parameter of {values.shape}"
                    )
                gradients.append(gradient)
        return gradients

    def _moved(self, position: int) -> Array:
        """The new array of a parameter whose `data` was replaced."""
        old, new = self.arrays[position], self.params[position].realize_cached_data()
        if new.shape != old.shape or new.dtype != old.dtype:
            raise ValueError(
                f"a parameter of shape {old.shape} and dtype {old.dtype} became one of "
                f"{new.shape} and {new.dtype}: make a new optimizer after such a change"
            )
        self.arrays[position] = new
        return new

    def split(self) -> list[Bucket]:
        """Two buckets: the parameters with a gradient, and those without."""
        # copies: a view would keep the joined arrays alive, and every further split more of them
        saved = {param: copy.deepcopy(state) for param, state in self.states()}
        halves = [[p for p in self.params if (p.grad is None) == lacks] for lacks in (False, True)]
        return [Bucket(self.group, params, self.scratch, saved) for params in halves]

    def prepare(self, optimizer: Optimizer, programs: dict[Any, Program]) -> None:
        """Find the program for the settings there are, and make what it needs."""
        settings = [*self.group.values()]
        if settings == self.settings:
            return
        if (now := structure(self.group)) != self.structure:
            initial = optimizer.initial_state(self.group)
            for name, fill in initial.items():
                if name not in self.state:
                    self.state[name] = np.full_like(self.arrays[0], fill, shape=self.shape)
            self.used_state = [self.state[name] for name in initial]
            key = now, self.joined
            if key not in programs:
                programs[key] = Program(optimizer, self.group, list(initial), self.joined)
            self.program, self.structure = programs[key], now
            self._lay_out()
        self.settings = settings

    def _lay_out(self) -> None:
        """Choose the arrays that the compiled program works with."""
        self.numbers: list[Tensor] | None = None  # of a recorded step
        count, scratch = self.program.scratch, self.scratch()
        if self.joined and count * self.size > scratch.size:  # a rule that needs much
            scratch = np.empty_like(scratch, shape=(count * self.size,))
        self.limit = limit = scratch.size // max(count, 1)
        self.buffers = [scratch[i * limit : (i + 1) * limit] for i in range(count)]
        if self.size <= limit:
            arrays = [*self.used_state, *self._buffers(self.size, self.shape)]
            self.arguments = [*arrays, self.group]
            if self.joined:
                self.arguments.insert(0, self._parts(arrays[self.program.change]))

    def _buffers(self, size: int, shape: tuple[int, ...]) -> list[Array]:
        return [buffer[:size].reshape(shape) for buffer in self.buffers]

    def update(self, gradients: list[Array]) -> None:
        """Change the parameters by the rule; `gradients` holds one for each."""
        if self.used_state:
            self.steps += 1
        function = self.program.function
        if self.joined:
            function(self.arrays, gradients, *self.arguments, self.steps)
        elif self.size <= self.limit:
            function(self.arrays[0], gradients[0], *self.arguments, self.steps)
        else:
            for piece in _pieces([*self.arrays, *gradients, *self.used_state], self.limit):
                buffers = self._buffers(piece[0].size, piece[0].shape)
                function(*piece, *buffers, self.group, self.steps)

    def record(self) -> None:
        """The same update by ops on Tensors, one parameter after another, seen by observers."""
        if self.numbers is None:
            numbers = [np.zeros_like(self.arrays[0], shape=()) for _ in self.program.numbers]
            self.numbers = [Tensor.make_const(number) for number in numbers]
            parts = zip(self.arrays, *map(self._parts, self.used_state), strict=True)
            self.state_tensors = [[Tensor.make_const(part) for part in own] for _, *own in parts]
        self.advance(self.numbers)
        for param, states in zip(self.params, self.state_tensors, strict=True):
            with no_grad():
                gradient = ops.astype(param.grad, param.dtype)
                results = self.program.run([param, gradient, *states, *self.numbers])
            for _, value in results:  # in lazy mode, from values before the step
                value.realize_cached_data()
            for target, value in results:
                assign(target, value)

    def advance(self, tensors: list[Tensor]) -> None:
        """Count a step, and give the recorded step the numbers of it."""
        if self.used_state:
            self.steps += 1
        numbers = self.program.compute_numbers(self.group, self.steps)
        token = observers.set(())  # a recorded assignment would repeat the numbers of this step
        for tensor, number in zip(tensors, numbers, strict=True):
            assign(tensor, Tensor.make_const(np.full_like(tensor.cached_data, number)))
        observers.reset(token)


def _pieces(arrays: list[Array], limit: int) -> Iterator[list[Array]]:
    """Cut arrays of one shape alike into pieces of at most `limit` elements: views of them."""
    size = arrays[0].size
    if all(getattr(array.flags, "c_contiguous", False) for array in arrays):
        arrays = [array.reshape(-1) for array in arrays]
    length = len(arrays[0])
    if limit * length < size:  # one row is already too much
        for row in range(length):
            yield from _pieces([array[row] for array in arrays], limit)
    else:
        step = limit * length // size
        for start in range(0, length, step):
            yield [array[start : start + step] for array in arrays]
