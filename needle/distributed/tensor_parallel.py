"""Linear layers whose weights are split over the ranks (Shoeybi et al. 2019, Megatron-LM).

All ranks compute the same loss of the same batch, which is differentiated as one loss; what the
collectives differentiate is the sum of the losses of all ranks. So a gradient is the same on all
ranks where its parameter is, and an optimizer on each rank is enough: nothing is averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..autograd import AbstractArray, Array, Tensor, TensorOp
from ..device import Device
from ..nn import Linear, functional
from .collectives import all_gather, broadcast
from .communicator import communicator

__all__ = ["ColumnParallelLinear", "RowParallelLinear"]


class _Exchange(TensorOp):
    """Linear in its operand. The adjoint is the other op of a pair."""

    adjoint: Callable[[], TensorOp]

    def tangent(self, input_tangents: Any, node: Tensor) -> Tensor:
        return self(*input_tangents)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return self.adjoint()(out_grad)


class Copy(_Exchange):
    """a, which is the same on all ranks, for a computation that is split. Adjoint: Σ g."""

    shares_memory = True

    def compute(self, a: Array) -> Array:
        return a[...]


class Sum(_Exchange):
    """Σ a over the ranks, from which all ranks compute the same. Adjoint: g."""

    adjoint = Copy

    def compute(self, a: Array) -> Array:
        return communicator().all_reduce(a, "sum")

    def infer(self, a: AbstractArray) -> AbstractArray:
        return a


class Split(_Exchange):
    """The part of this rank of the last axis. Adjoint: g of all ranks, joined."""

    shares_memory = True

    def compute(self, a: Array) -> Array:
        return _own_part(a, -1)


class Gather(_Exchange):
    """a of all ranks, joined along the last axis. Adjoint: the part of this rank of g."""

    adjoint = Split

    def compute(self, a: Array) -> Array:
        return np.concatenate(list(communicator().all_gather(a)), -1)

    def infer(self, a: AbstractArray) -> AbstractArray:
        return AbstractArray((*a.shape[:-1], a.shape[-1] * communicator().size), a.dtype)


Copy.adjoint, Split.adjoint = Sum, Gather  # which are defined after them


def _own_part(a: Any, axis: int) -> Any:
    """The part of this rank of an axis."""
    count, rank = a.shape[axis] // communicator().size, communicator().rank
    own = [slice(None)] * len(a.shape)
    own[axis] = slice(rank * count, (rank + 1) * count)
    return a[tuple(own)]


def _drawn(draw: Callable[..., Tensor], axis: int | None, **where: Any) -> Tensor:
    """What rank 0 draws, or the part of this rank of it."""
    array = broadcast(draw(**where)).detach().numpy()
    return Tensor(array if axis is None else _own_part(array, axis), **where)


def is_split(parameter: Tensor) -> bool:
    """Whether each rank has another part of what is one parameter."""
    return "_is_split" in vars(parameter)


class _ParallelLinear(Linear):
    """A `Linear` of which each rank has a part; `axes` says along which axis of a parameter."""

    axes: ClassVar[dict[str, int]]

    def __init__(self, in_features: int, out_features: int, *args: Any) -> None:
        name, ranks = type(self).__name__, communicator().size
        split = {"out_features": out_features, "in_features": in_features}
        split_name = ("in_features", "out_features")[self.axes["weight"]]
        if isinstance(split[split_name], int) and split[split_name] % ranks:
            raise ValueError(
                f"{name}: {split_name}={split[split_name]} cannot be divided by {ranks} ranks"
            )
        super().__init__(in_features, out_features, *args)
        for name in self.axes:
            if getattr(self, name) is not None:
                vars(getattr(self, name))["_is_split"] = True

    def _draws(self) -> dict[str, Any]:
        draws = super()._draws()
        return {name: partial(_drawn, draw, self.axes.get(name)) for name, draw in draws.items()}

    def whole_state_dict(self) -> dict[str, Tensor]:
        """The `state_dict` of a `Linear` with the parts of all ranks, which all must call."""
        return {
            name: Tensor(np.concatenate(list(all_gather(part.detach()).numpy()), self.axes[name]))
            if name in self.axes
            else part
            for name, part in self.state_dict().items()
        }


class ColumnParallelLinear(_ParallelLinear):
    """`Linear` with the columns of its weight split: each rank has out_features/ranks outputs.

    x is the same on all ranks. With `gather_output`, the result is that of `Linear` on all ranks;
    without, the part of this rank, for a `RowParallelLinear`. The initial values are parts of those
    that a `Linear` draws on rank 0.

    Attributes:
        weight: (in_features, out_features/ranks).
        bias: (1, out_features/ranks); None without bias.

    Raises:
        ValueError: `out_features` cannot be divided by the number of ranks.

    Example:
        >>> import needle as ndl
        >>> from needle import nn
        >>> from needle.distributed import ColumnParallelLinear, RowParallelLinear
        >>> model = nn.Sequential(
        ...     ColumnParallelLinear(8, 64, gather_output=False),
        ...     nn.ReLU(),
        ...     RowParallelLinear(64, 4, input_is_parallel=True),
        ... )
        >>> model(ndl.init.rand(5, 8)).shape
        (5, 4)
    """

    axes: ClassVar = {"weight": 1, "bias": 1}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        gather_output: bool = True,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.gather_output = gather_output

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(Copy()(x), self.weight, self.bias)
        return Gather()(y) if self.gather_output else y


class RowParallelLinear(_ParallelLinear):
    """`Linear` with the rows of its weight split: each rank takes in_features/ranks inputs.

    With `input_is_parallel`, x is the part of this rank, as of a `ColumnParallelLinear` without
    `gather_output`; otherwise x is the same on all ranks, and split here. The result is that of
    `Linear`, on all ranks. The initial values are parts of those that a `Linear` draws on rank 0.

    Attributes:
        weight: (in_features/ranks, out_features).
        bias: (1, out_features), whole on every rank; None without bias.

    Raises:
        ValueError: `in_features` cannot be divided by the number of ranks.

    Example:
        >>> import needle as ndl
        >>> ndl.distributed.RowParallelLinear(64, 4)(ndl.init.rand(5, 64)).shape
        (5, 4)
    """

    axes: ClassVar = {"weight": 0}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        input_is_parallel: bool = False,
        device: Device | str | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.input_is_parallel = input_is_parallel

    def forward(self, x: Tensor) -> Tensor:
        if not self.input_is_parallel:
            x = Split()(x)
        y = Sum()(functional.linear(x, self.weight))
        return y if self.bias is None else y + self.bias
