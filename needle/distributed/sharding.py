"""The state of an optimizer, of which each rank keeps its share (ZeRO, stage 1).

All parameters of a dtype, one after another, are cut into as many equal shards as there are ranks.
A rank updates the pieces of parameters that are in its shard, and needs state for these only. Then
all ranks get the new values of each other.

Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import (
    AbstractArray,
    Array,
    Tensor,
    TensorTupleOp,
    clear_gradients,
    modes,
    no_grad,
)
from ..autograd.assign import assign
from ..autograd.changes import before_change
from ..optim import Optimizer
from ..optim.executor import Executor
from ..optim.settings import ParamGroup
from .collectives import in_memory
from .communicator import communicator

__all__ = ["ShardedExecutor"]


class ShardedExecutor(Executor):
    """Updates the pieces of parameters that this rank owns.

    `state` is that of whole parameters, which all ranks must ask for together.
    """

    def __init__(self, state: dict[Tensor, dict[str, Any]]) -> None:
        super().__init__()
        self.saved = state
        self.shards: list[Shard] | None = None  # none while `saved` is of whole parameters

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        if self.shards is None:
            return dict(self.saved)
        of_pieces = super().state
        whole: dict[Tensor, dict[str, Any]] = {}
        for shard in self.shards:
            whole.update(shard.gathered_states(of_pieces))
        return whole

    @property
    def own_state(self) -> dict[Tensor, dict[str, Any]]:
        """The state that this rank keeps, of the pieces of its shards."""
        return super().state

    def regroup(self, state: dict[Tensor, dict[str, Any]]) -> None:
        self.shards = None
        super().regroup(state)

    def _filled(self, optimizer: Optimizer) -> Any:
        if self.shards is None:
            by_dtype: dict[Any, list[Tensor]] = {}
            for param in optimizer.params:
                by_dtype.setdefault(param.dtype, []).append(param)
            self.shards = [Shard(params) for params in by_dtype.values()]
            self.saved = dict([
                pair for shard in self.shards for pair in shard.cut_states(self.saved)
            ])  # fmt: skip
        return super()._filled(optimizer)

    def updated(self, group: ParamGroup) -> list[Tensor]:
        params = set(group["params"])
        pieces = [piece for shard in self.shards or () for piece in shard.pieces]
        return [piece.tensor for piece in pieces if piece.param in params]

    def step(self, optimizer: Optimizer) -> None:
        self._filled(optimizer)
        shards = self.shards or []
        if modes.effects.get() is None:
            before_change(optimizer.params)
        else:
            modes.effects.get().act(SameArrays(optimizer, shards))
        for shard in shards:
            shard.take_gradients()
        super().step(optimizer)
        for shard in shards:
            shard.gather()


class Piece(NamedTuple):
    """The elements of a parameter from `start` to `end`, in a tensor of one axis."""

    param: Tensor
    start: int
    end: int
    tensor: Tensor


class Shard:
    """The share of this rank in parameters of one dtype."""

    def __init__(self, params: Sequence[Tensor]) -> None:
        world = communicator()
        self.params = params
        self.length = -(-sum([param.size for param in params]) // world.size)
        first = world.rank * self.length
        self.pieces: list[Piece] = []
        self.arrays = [param.realize_cached_data() for param in params]
        position = 0
        for param, array in zip(params, self.arrays, strict=True):
            start = min(max(first - position, 0), param.size)
            end = min(max(first + self.length - position, 0), param.size)
            if start < end:
                part = Tensor.make_const(array.reshape(-1)[start:end])
                self.pieces.append(Piece(param, start, end, part))
            position += param.size
        self._collect = Collect(tuple([param.shape for param in params]), self.length)
        self._anchor = Tensor.make_const(np.zeros(0, params[0].dtype))

    def is_current(self) -> bool:
        """Whether the parameters have the arrays that pieces are views of."""
        pairs = zip(self.params, self.arrays, strict=True)
        return all(param.cached_data is array for param, array in pairs)

    def take_gradients(self) -> None:
        """Give the pieces their parts of the gradients."""
        is_recorded = modes.effects.get() is not None
        if not self.is_current():
            self.arrays = [param.realize_cached_data() for param in self.params]
            for param, start, end, tensor in self.pieces:
                tensor.cached_data = param.realize_cached_data().reshape(-1)[start:end]
        for param in self.params:
            if is_recorded:
                param._stored.is_stepped = True
            else:
                param._stored.is_used = True
        clear_gradients([piece.tensor for piece in self.pieces])  # a recording notes it
        with no_grad():
            for param, start, end, tensor in self.pieces:
                gradient = param._grad
                tensor._grad = None if gradient is None else gradient.reshape(-1)[start:end]

    def gather(self) -> None:
        """Give the parameters of all ranks the new values of all pieces."""
        with no_grad():
            values = self._collect(self._anchor, *[piece.tensor for piece in self.pieces])
            for param, value in zip(self.params, values, strict=True):
                assign(param, value)
        for piece in self.pieces:
            piece.tensor._grad = None

    # --- state

    def cut_states(self, states: Mapping[Tensor, dict[str, Any]]) -> Iterator[tuple[Tensor, Any]]:
        """The state of each piece from those of whole parameters; in memory of its own."""
        for param, start, end, tensor in self.pieces:
            if param in states:
                yield (
                    tensor,
                    {
                        name: value if name == "step" else value.reshape(-1)[start:end].copy()
                        for name, value in states[param].items()
                    },
                )

    def gathered_states(self, states: Mapping[Tensor, Any]) -> Iterator[tuple[Tensor, Any]]:
        """The state of each parameter from those of the pieces of all ranks."""
        found = {id(piece.param): states.get(piece.tensor) for piece in self.pieces}
        own = [found.get(id(param)) for param in self.params]
        heads = [
            state and (state["step"], *(name for name in state if name != "step")) for state in own
        ]
        every = communicator().gather_objects(heads)
        known = [next(filter(None, of_ranks), None) for of_ranks in zip(*every, strict=True)]
        names = dict.fromkeys([name for head in known if head for name in head[1:]])
        with no_grad():
            whole = {
                name: self._collect(self._anchor, *self._arrays_of(states, name)) for name in names
            }
        for position, (param, head) in enumerate(zip(self.params, known, strict=True)):
            if head:
                arrays = {name: whole[name][position].realize_cached_data() for name in head[1:]}
                yield param, {"step": head[0], **arrays}

    def _arrays_of(self, states: Mapping[Tensor, Any], name: str) -> list[Tensor]:
        return [
            Tensor.make_const(states.get(tensor, {}).get(name, np.zeros_like(tensor.cached_data)))
            for _, _, _, tensor in self.pieces
        ]


class Collect(TensorTupleOp):
    """Whole arrays of these shapes from the pieces of all ranks. No gradient."""

    differentiable = False
    is_random = True  # as those that draw: never merged, left out or moved past another

    def __init__(self, shapes: tuple[tuple[int, ...], ...], length: int) -> None:
        self.shapes, self.length = shapes, length

    def compute(self, *pieces: Array) -> tuple[Array, ...]:
        own = np.zeros(self.length, in_memory(pieces[0]).dtype)
        np.concatenate(pieces, out=own[: sum([piece.size for piece in pieces])])
        flat = communicator().all_gather(own).reshape(-1)
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = np.split(flat, np.cumsum(sizes))
        return tuple([part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=False)])

    def infer(self, *pieces: AbstractArray) -> tuple[AbstractArray, ...]:
        return tuple([AbstractArray(shape, pieces[0].dtype) for shape in self.shapes])


class SameArrays:
    """Tells whether the pieces that a recorded step writes to are still those of the parameters."""

    is_first = False
    buckets = ()

    def __init__(self, optimizer: Optimizer, shards: Sequence[Shard]) -> None:
        self.optimizer, self.shards = optimizer, shards
        self.executor: Any = optimizer._executor

    def fits(self) -> bool:
        is_same = self.executor.shards is self.shards
        return is_same and all(shard.is_current() for shard in self.shards)

    def begin(self) -> None:
        pass

    end = undo = begin
