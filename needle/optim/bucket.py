"""How a step walks over parameters and memory: few NumPy calls, and a bounded scratch array.

Small parameters that share their settings are updated together: their gradients are gathered into
one flat array, the rule runs once over it, and the change it states goes back to the parameters'
own arrays. A step over 22 small parameters then costs a dozen NumPy calls, not 22 dozens. A large
parameter is updated in pieces that fit the cache.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Array, Tensor
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Bucket", "State", "fill_buckets"]

State = dict[str, Array]

_SMALL = 8_192  # elements: up to here, gathering is cheaper than a rule's calls
_LEAST_SCRATCH = 32_768  # elements: what models smaller than this may spend on speed
_MOST_SCRATCH = 131_072  # elements: pieces of this size were faster than the whole, and than others


class Bucket:
    """Parameters that are updated together; they share settings, dtype and number of steps.

    Args:
        group: the settings.
        params: one parameter of any size, or several small ones.
        memory: scratch, shared with other buckets; several parameters fit in it twice.
        saved: the step count and state arrays that parameters start with; none by default.
    """

    def __init__(
        self,
        group: ParamGroup,
        params: list[Tensor],
        memory: Array,
        saved: Mapping[Tensor, dict[str, Any]],
    ) -> None:
        self.group = group
        self.params = params
        self.memory = memory
        self.arrays = [param.realize_cached_data() for param in params]
        self.size = sum(array.size for array in self.arrays)
        self.steps = 0
        self.state: State = {}  # in the shape of a single parameter, flat for several
        states = [saved.get(param, {}) for param in params]
        for name in states[0]:
            if name == "step":
                self.steps = states[0][name]
            else:
                self.state[name] = _joined([state[name] for state in states])
        # views of the scratch for the whole bucket, where it has room
        half = memory.size // 2
        shape = self.arrays[0].shape if len(params) == 1 else (self.size,)
        self.out = memory[: self.size].reshape(shape) if self.size <= memory.size else None
        self.own = memory[half : half + self.size].reshape(shape) if self.size <= half else None
        self.changes = list(self._by_param(self.out)) if len(params) > 1 else []

    def _by_param(self, array: Array) -> Iterator[Array]:
        """Views of the joined `array`, one in the shape of each parameter."""
        start = 0
        flat = array.reshape(-1)
        for values in self.arrays:
            yield flat[start : start + values.size].reshape(values.shape)
            start += values.size

    def states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """The step count and state arrays of each parameter that has some: views."""
        if self.state:
            views = [
                [array] if len(self.params) == 1 else list(self._by_param(array))
                for array in self.state.values()
            ]
            for param, arrays in zip(self.params, zip(*views, strict=True), strict=True):
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

    def split(self) -> tuple[Bucket, Bucket]:
        """Two buckets: the parameters with a gradient, and those without."""
        # copies: a view would keep the joined arrays alive, and every further split more of them
        saved = {param: copy.deepcopy(state) for param, state in self.states()}
        present = [param for param in self.params if param.grad is not None]
        absent = [param for param in self.params if param.grad is None]
        with_gradient, without = (
            Bucket(self.group, params, self.memory, saved) for params in (present, absent)
        )
        return with_gradient, without

    def update(self, optimizer: Optimizer, gradients: list[Array]) -> None:
        """Change the parameters by the optimizer's rule; `gradients` holds one for each."""
        group, memory = self.group, self.memory
        if initial_state := optimizer.initial_state(group):
            self.steps += 1
            for name, fill in initial_state.items():
                if name not in self.state:
                    shape = None if len(self.params) == 1 else (self.size,)
                    self.state[name] = np.full_like(self.arrays[0], fill, shape=shape)
        needs_own = group.get("maximize") or group.get("weight_decay")
        limit = memory.size // 2 if needs_own else memory.size
        if self.size <= limit:
            self._run(optimizer, self.arrays, gradients, self.state, self.out, self.own)
            return
        own = None
        for values, gradient, *states in _pieces(
            [self.arrays[0], gradients[0], *self.state.values()], limit
        ):
            shape = values.shape
            out = memory[: values.size].reshape(shape)
            if needs_own:
                own = memory[-values.size :].reshape(shape)
            state = dict(zip(self.state, states, strict=True)) if states else self.state
            self._run(optimizer, [values], [gradient], state, out, own)

    def _run(
        self,
        optimizer: Optimizer,
        arrays: list[Array],
        gradients: list[Array],
        state: State,
        out: Array,
        own: Array,
    ) -> None:
        """The rule, with what all rules have in common, on arrays that the scratch has room for.

        `out` takes the change; `own` is more memory, for a gradient that differs from the
        parameter's, or for weight decay.
        """
        group = self.group
        decay, shrinks = group.get("weight_decay"), optimizer.decouples_weight_decay
        gradient = _joined(gradients, own)
        if group.get("maximize"):
            gradient = np.negative(gradient, out=own)
        if decay and not shrinks:
            np.multiply(_joined(arrays, out), decay, out=out)
            gradient = np.add(gradient, out, out=own)
        optimizer.update_one(gradient, state, group, self.steps, out)
        if decay and shrinks:
            np.multiply(_joined(arrays, own), group["lr"] * decay, out=own)
            np.add(out, own, out=out)
        if len(arrays) == 1:
            np.subtract(arrays[0], out, out=arrays[0])
            return
        for values, change in zip(arrays, self.changes, strict=True):
            np.subtract(values, change, out=values)


def _joined(arrays: list[Array], out: Array | None = None) -> Array:
    """The arrays flattened into one; a single array is left as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=None, out=out)


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


def fill_buckets(
    groups: Sequence[ParamGroup], saved: Mapping[Tensor, dict[str, Any]]
) -> list[Bucket]:
    """Distribute the parameters of all groups over buckets, small ones together.

    Args:
        groups: the parameter groups.
        saved: step count and state arrays of the parameters that have some.
    """
    arrays: dict[Any, list[Array]] = {}
    for group in groups:
        for param in group["params"]:
            array = param.realize_cached_data()
            arrays.setdefault(_kind(array), []).append(array)
    memories = {kind: _scratch(of_kind, len(arrays)) for kind, of_kind in arrays.items()}
    return [
        Bucket(group, params, memory, saved)
        for group in groups
        for params, memory in _distribute(group["params"], saved, memories)
    ]


def _kind(array: Array) -> Any:
    return type(array), array.dtype


def _scratch(arrays: Sequence[Array], kinds: int) -> Array:
    """Memory for the largest of `arrays`, or for a piece of it; less where kinds have to share."""
    largest = max(array.size for array in arrays)
    size = min(max(largest, _LEAST_SCRATCH), _MOST_SCRATCH)
    return np.empty_like(arrays[0], shape=(max(size // kinds, 2 * _SMALL),))


def _distribute(
    params: Sequence[Tensor], saved: Mapping[Tensor, dict[str, Any]], memories: dict[Any, Array]
) -> Iterator[tuple[list[Tensor], Array]]:
    together: dict[Any, list[Tensor]] = {}
    filled: dict[Any, int] = {}
    for param in params:
        array = param.realize_cached_data()
        kind = _kind(array)
        if array.size > _SMALL:
            yield [param], memories[kind]
            continue
        state = saved.get(param, {})
        key = kind, state.get("step", 0), tuple(state)
        if filled.get(key, 0) + array.size > memories[kind].size // 2:
            yield together.pop(key), memories[kind]
            filled[key] = 0
        together.setdefault(key, []).append(param)
        filled[key] = filled.get(key, 0) + array.size
    for (kind, *_), rest in together.items():
        yield rest, memories[kind]
