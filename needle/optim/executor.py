"""How a step walks over parameters and memory: few NumPy calls, and a bounded scratch array.

Small parameters that share their settings are updated together: their gradients are gathered into
one flat array, the rule runs once over it, and the change goes back to the parameters' own arrays.
A step over 22 small parameters then costs a dozen NumPy calls, not 22 dozens. A large parameter is
updated in pieces that fit the cache.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..autograd import Array, Tensor, modes, no_grad
from ..autograd.assign import assign
from ..autograd.changes import before_change
from ..autograd.modes import observers
from .effects import Update
from .program import Program, structure
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Executor"]

_SMALL = 8_192  # elements: up to here, gathering is cheaper than a rule's calls
_LEAST_SCRATCH = 32_768  # elements: what models smaller than this may spend on speed
_MOST_SCRATCH = 131_072  # elements: pieces of this size were faster than the whole, and than others


class Executor:
    """Runs the update rule of an optimizer, in place or by ops that an observer sees."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []  # filled by the first step
        self.saved: dict[Tensor, dict[str, Any]] = {}  # the state, while there are no buckets
        self.programs: dict[Any, Program] = {}  # by the structure of groups

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """The step count and state arrays of each parameter that has some: views."""
        gathered = dict(self.saved)
        for bucket in self.buckets:
            gathered.update(bucket.states())
        return gathered

    def regroup(self, state: dict[Tensor, dict[str, Any]]) -> None:
        """Go on from this state, with the parameter groups of the next step."""
        self.saved, self.buckets = state, []

    def __getstate__(self) -> dict[str, Any]:
        # buckets hold views of shared memory, which a copy or a pickle would tear apart
        return {**vars(Executor()), "saved": self.state}

    def _filled(self, optimizer: Optimizer) -> list[Bucket]:
        if not self.buckets:
            groups = [(group, self.updated(group)) for group in optimizer.param_groups]
            self.buckets, self.saved = _fill_buckets(groups, self.saved), {}
        return self.buckets

    def updated(self, group: ParamGroup) -> Sequence[Tensor]:
        """What the rule updates of a group: its parameters."""
        return group["params"]

    def step(self, optimizer: Optimizer) -> None:
        """Update the parameters that have gradients."""
        buckets = self._filled(optimizer)
        # all gradients first: in lazy mode they are computed here, from values before the step
        work = [(bucket, bucket.gradients()) for bucket in buckets]
        is_recorded = bool(observers.get())
        for bucket, gradients in work:
            if not gradients:
                continue
            if len(gradients) < len(bucket.params):
                position = buckets.index(bucket)
                parts = bucket.split()
                # another list: what was recorded for the former buckets looks at these again
                buckets = [*buckets[:position], *parts, *buckets[position + 1 :]]
                self.buckets, bucket = buckets, parts[0]
            bucket.prepare(optimizer, self.programs)
            if is_recorded:
                bucket.record(optimizer)
            else:
                before_change(bucket.params)
                bucket.update(gradients)

    def source(self, optimizer: Optimizer) -> str:
        """The compiled functions."""
        for bucket in self._filled(optimizer):
            bucket.prepare(optimizer, self.programs)
        return "\n".join(dict.fromkeys(bucket.program.source for bucket in self.buckets))


def _kind(param: Tensor) -> Any:
    array = param.realize_cached_data()
    return type(array), array.dtype


def _fill_buckets(
    groups: Sequence[tuple[ParamGroup, Sequence[Tensor]]],
    saved: Mapping[Tensor, dict[str, Any]],
) -> list[Bucket]:
    """Distribute the parameters of all groups over buckets, small ones together."""
    kinds: dict[Any, list[Array]] = {}
    for _, params in groups:
        for param in params:
            kinds.setdefault(_kind(param), []).append(param.realize_cached_data())
    sizes, scratch = {}, {}
    for kind, arrays in kinds.items():
        size = min(max(_LEAST_SCRATCH, *[array.size for array in arrays]), _MOST_SCRATCH)
        sizes[kind] = max(size // len(kinds), 2 * _SMALL)  # kinds share the memory
        scratch[kind] = cache(partial(np.empty_like, arrays[0], shape=(sizes[kind],)))
    together: dict[Any, list[list[Tensor]]] = {}
    for number, (_, params) in enumerate(groups):
        for param in params:
            kind, state = _kind(param), saved.get(param, {})
            alone = param if param.size > _SMALL else None
            key = number, kind, state.get("step", 0), tuple(state), alone
            parts = together.setdefault(key, [[]])
            size = sum(other.size for other in parts[-1])
            if parts[-1] and size + param.size > sizes[kind] // 2:
                parts.append([])
            parts[-1].append(param)
    return [
        Bucket(groups[number][0], part, scratch[kind], saved)
        for (number, kind, *_), parts in together.items()
        for part in parts
    ]


class Bucket:
    """One parameter of any size, or several small ones that share settings, dtype and step count.

    `scratch` returns memory shared with other buckets; several parameters fit in it twice.
    """

    # set by `prepare`
    program: Program
    used_state: list[Array]
    limit: int
    buffers: list[Array]
    arguments: list[Any]

    def __init__(
        self,
        group: ParamGroup,
        params: list[Tensor],
        scratch: Callable[[], Array],
        saved: Mapping[Tensor, dict[str, Any]],
    ) -> None:
        self.group, self.params, self.scratch = group, params, scratch
        self.kind = _kind(params[0])
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
        ends = [*accumulate(values.size for values in self.arrays)]
        parts = np.split(array, ends[:-1])
        return [part.reshape(own.shape) for part, own in zip(parts, self.arrays, strict=True)]

    def states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """The step count and state arrays of each parameter that has some: views."""
        if self.state:
            parts = zip(*[self._parts(array) for array in self.state.values()], strict=True)
            for param, arrays in zip(self.params, parts, strict=True):
                yield param, {"step": self.steps, **dict(zip(self.state, arrays, strict=True))}

    def gradients(self) -> list[Array]:
        """The gradients there are, in order; looks up where the parameters' arrays are now."""
        gradients = []
        is_recorded = modes.effects.get() is not None
        for param, values in zip(self.params, self.arrays, strict=True):
            if param.cached_data is not values:
                values = self._moved(param)
            grad = param._grad
            if grad is None:
                continue
            if not is_recorded:
                param._stored.is_used = True  # `backward` must know that it was read
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

    def _moved(self, param: Tensor) -> Array:
        """The new array of a parameter whose `data` was replaced."""
        position = next(i for i, each in enumerate(self.params) if each is param)
        old, new = self.arrays[position], param.realize_cached_data()
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
        if structure(self.group) != self.structure:
            # all at once: an interrupted step can be repeated
            vars(self).update(self._prepared(optimizer, programs))
        self.settings = settings

    def _prepared(self, optimizer: Optimizer, programs: dict[Any, Program]) -> dict[str, Any]:
        """The attributes that depend on the structure of the settings."""
        now = structure(self.group)
        initial = optimizer.initial_state(self.group)
        state = {
            name: np.full_like(self.arrays[0], fill, shape=self.shape)
            for name, fill in initial.items()
        } | self.state
        used_state = [state[name] for name in initial]
        key = now, self.joined
        if key not in programs:
            programs[key] = Program(optimizer, self.group, list(initial), self.joined)
        program, scratch = programs[key], self.scratch()
        count = program.scratch
        if self.joined and count * self.size > scratch.size:  # a rule that needs much
            scratch = np.empty_like(scratch, shape=(count * self.size,))
        limit = scratch.size // max(count, 1)
        buffers = [scratch[i * limit : (i + 1) * limit] for i in range(count)]
        arguments: list[Any] = []
        if self.size <= limit:
            arrays = [*used_state, *_cut(buffers, self.size, self.shape)]
            arguments = [*arrays, self.group]
            if self.joined:
                arguments.insert(0, self._parts(arrays[program.change]))
        return {
            "state": state, "used_state": used_state, "program": program, "limit": limit,
            "buffers": buffers, "arguments": arguments, "structure": now,
        }  # fmt: skip

    def update(self, gradients: list[Array]) -> None:
        """Change the parameters by the rule; `gradients` holds one for each."""
        steps = self.steps + 1 if self.used_state else 0
        function = self.program.function
        if self.joined:
            function(self.arrays, gradients, *self.arguments, steps)
        elif self.size <= self.limit:
            function(self.arrays[0], gradients[0], *self.arguments, steps)
        else:
            for piece in _pieces([*self.arrays, *gradients, *self.used_state], self.limit):
                buffers = _cut(self.buffers, piece[0].size, piece[0].shape)
                function(*piece, *buffers, self.group, steps)
        self.steps = steps

    def record(self, optimizer: Optimizer) -> None:
        """The same update by ops on Tensors, seen by observers."""
        effects = modes.effects.get()
        formers = effects.actions if effects is not None else []
        number = 1 + sum(self in action.buckets for action in formers)
        rule = type(optimizer).__name__
        former = formers[-1] if formers else None
        if isinstance(former, Update) and former.shares_numbers(self, number):
            update = former
            update.buckets.append(self)
        else:
            numbers = [
                _named(f"{rule}.{each.name}", np.zeros_like(self.arrays[0], shape=()))
                for each in self.program.numbers
            ]
            update = Update(optimizer, self, numbers, number)
            if effects is None:
                update.begin()
            else:
                effects.act(update)
        if effects is not None:
            for param in self.params:
                param._stored.is_stepped = True
        with no_grad():
            gradients = [ops.astype(param._grad, param.dtype) for param in self.params]
            state = [
                _named(f"{rule}.{name}", array)
                for name, array in zip(self.state, self.used_state, strict=False)
            ]
            results = self.program.run(self.params, gradients, state, update.numbers)
        for _, value in results:  # in lazy mode, from values before the step
            value.realize_cached_data()
        params = set(self.params)
        for target, value in results:
            assign(target, value, is_read_by_gradients=target in params)
        if effects is None:
            update.end()


def _named(name: str, array: Array) -> Tensor:
    """A tensor with a name for pictures and generated code."""
    tensor = Tensor.make_const(array)
    vars(tensor)["_name"] = name
    return tensor


def _cut(buffers: list[Array], size: int, shape: tuple[int, ...]) -> list[Array]:
    return [buffer[:size].reshape(shape) for buffer in buffers]


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
