"""wrap: an optimizer whose gradients are averaged over ranks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from ..autograd import Tensor, no_grad
from ..autograd.assign import assign
from ..nn import Module
from ..optim import LBFGS, Optimizer
from .averaging import start_averaging
from .buckets import Averager
from .collectives import all_reduce
from .communicator import DistributedError, communicator
from .sharding import ShardedExecutor
from .tensor_parallel import is_split
from .transports import COMPRESSIONS

__all__ = ["wrap"]


class Wrapped(Optimizer):
    """What the class of a wrapped optimizer has beside its own class."""

    _averager: Averager

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        super().add_param_group(group)
        position = len(self.param_groups) - 1
        start_alike(_named(self.param_groups[position]["params"], f"group {position}, parameter "))
        self._averager.cover(self.params)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is not None and isinstance(self, LBFGS):
            closure = _mean_of(closure)  # which it reads: all ranks must find the same
        return super().step(closure)


def wrap(
    optimizer: Optimizer,
    model: Module | None = None,
    *,
    shard_state: bool = False,
    compress: str | None = None,
) -> Any:
    """Make an optimizer train on the batches of all ranks together.

    Parameters, the optimizer's state and the buffers of `model` start as they are on rank 0. From
    then on each `backward` that reaches parameters of the optimizer leaves the mean over ranks in
    their `.grad`: clipping, accumulation and schedules work as with one process, and ranks with
    batches of 50 do what one process does with the batches joined.

    The means are computed in buckets, while `backward` is still at work. A parameter that some
    ranks do not reach counts as zeros there. Gradients of gradients (`create_graph`) do not go
    through the means.

    Random numbers are each rank's own: with one seed, all draw the same dropout masks, for other
    samples. `needle.manual_seed(1 + rank())` after `wrap` gives each rank other ones.

    Args:
        optimizer: is changed, and returned.
        model: the module whose buffers, such as running statistics, start from rank 0's. With it,
            errors name parameters, and a rank on which it is in eval mode is found.
        shard_state: each rank keeps the optimizer's state for its share of the parameters only,
            updates these, and gets the others from the other ranks (ZeRO, stage 1). The numbers are
            the same. `state_dict()` and `state` are those of the whole optimizer: all ranks must
            ask for them together.
        compress: "float16" or "bfloat16": gradients travel in 16 bits, which takes less time where
            the network is slow. What rounding takes away is added to the next gradients (error
            feedback).

    Returns:
        The same optimizer.

    Raises:
        DistributedError: names, shapes or dtypes of parameters differ between ranks; later, in
            `backward`, ranks do something else or have `model` in another mode.
        ValueError: parameters are split over the ranks, as those of a `ColumnParallelLinear`.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Linear(3, 2)
        >>> optimizer = ndl.distributed.wrap(ndl.optim.SGD(model.parameters(), lr=0.1), model)
        >>> model(ndl.ones(1, 3)).sum().backward()
        >>> optimizer.step()
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"wrap takes an optimizer, got {type(optimizer).__name__}")
    if isinstance(optimizer, Wrapped):
        raise ValueError("this optimizer was already given to wrap()")
    if compress not in (None, *COMPRESSIONS):
        raise ValueError(f"compress must be None or one of {[*COMPRESSIONS]}, got {compress!r}")
    if shard_state and isinstance(optimizer, LBFGS):
        raise ValueError("the state of LBFGS cannot be sharded: its rule is not elementwise")
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"model must be a Module or None, got {type(model).__name__}")
    if any(is_split(param) for param in optimizer.params):
        raise ValueError(
            "the optimizer has parameters that are split over the ranks, of a ColumnParallelLinear "
            "or RowParallelLinear: there is nothing to average, use it as it is"
        )
    if communicator().size == 1:
        return optimizer
    named = () if model is None else model.named_parameters()
    names: dict[Tensor, str] = {tensor: name for name, tensor in named}
    tensors = {
        names.get(param, f"parameter {position}"): param
        for position, param in enumerate(optimizer.params)
    }
    for position, state in enumerate(optimizer.state.values()):
        for name, array in state.items():
            if name != "step":
                tensors[f"{name} of the {position}-th state"] = Tensor.make_const(array)
    tensors.update(() if model is None else model.named_buffers())
    start_alike(tensors)
    kind: Any = type(optimizer)
    optimizer.__class__ = _wrapped_class(kind)
    if shard_state:
        optimizer._executor = ShardedExecutor(optimizer.state)
    vars(optimizer)["_averager"] = Averager(optimizer.params, compress, model)
    start_averaging()
    return optimizer


@functools.cache
def _wrapped_class(kind: Any) -> Any:
    return type(kind.__name__, (Wrapped, kind), {"__module__": kind.__module__})


def _named(params: Any, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{position}": param for position, param in enumerate(params)}


def start_alike(tensors: Mapping[str, Tensor]) -> None:
    """Give tensors the values of rank 0, once all ranks have the same names and shapes.

    Raises:
        DistributedError: they have not. It tells the first difference, on all ranks.
    """
    world = communicator()
    lines = [f"{name}: {tensor.dtype} {tensor.shape}" for name, tensor in tensors.items()]
    details = world.agree("wrap(optimizer)", "\n".join(lines))
    if len(details) > 1:
        differences = _differences([each.split("\n") for each in details])
        raise DistributedError("\n  ".join(["the models of the ranks differ:", *differences]))
    with no_grad():
        for tensor in tensors.values():
            array = world.broadcast(tensor.realize_cached_data(), 0)
            assign(tensor, Tensor.make_const(array))


def _differences(every: list[list[str]]) -> Iterator[str]:
    """The first tensor in which each rank differs from rank 0."""
    for rank, lines in enumerate(every):
        for one, other in zip_longest(every[0], lines, fillvalue="no more tensors"):
            if one != other:
                yield f"rank 0 has {one}, rank {rank} has {other}"
                break


def _mean_of(closure: Callable[[], Any]) -> Callable[[], Any]:
    """The loss of a closure as the mean over ranks."""

    def mean() -> Any:
        loss = closure()
        return all_reduce(
            loss.detach() if isinstance(loss, Tensor) else Tensor(loss, requires_grad=False),
            op="mean",
        )

    return mean
