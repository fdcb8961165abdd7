"""Checkpointing: less memory for more time."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple, TensorTupleOp, compute_adjoints, modes
from .tree import flatten, substituted

__all__ = ["checkpoint"]


class _Checkpoint(TensorTupleOp):
    """A function whose inner graph is not kept, but made again to go back through it.

    Its inputs are the tensors from outside that require a gradient.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.random_state = np.random.get_state()
        self.is_lazy = modes.is_lazy.get()  # which decides in what order random ops draw

    def run(
        self, with_graph: bool = False, is_recomputing: bool = True
    ) -> tuple[Any, list[Tensor]]:
        """The function's result, and the tensors in it, computed."""
        with (
            modes.enable_grad(with_graph),
            modes.setting(modes.is_lazy, self.is_lazy),
            modes.setting(modes.is_recomputing, is_recomputing),
        ):
            result = self.function()
            outputs = flatten(result)[0]
            for output in outputs:
                output.realize_cached_data()
        return result, outputs

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        with _random_state(self.random_state):
            return tuple(output.cached_data for output in self.run()[1])

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> tuple[Any, ...]:
        with _random_state(self.random_state):
            outputs = self.run(with_graph=True)[1]
        return tuple(compute_adjoints(outputs, out_grad.tuple(), node.inputs))


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, without keeping what it computes inside: backward computes it again.

    Equal to the plain call to the bit, random draws included: NumPy's random state is replayed.
    The running statistics of BatchNorm move once. Under `detect_anomaly` and inside `jvp`, which
    watch the ops inside, it is the plain call.
    A stack of n layers, checkpointed in √n pieces, keeps about 2√n activations instead of n.

    Args:
        function: gives tensors; it must do the same when called again, apart from random draws.
        args: containers of tensors, or anything else.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> ndl.checkpoint(lambda x: ndl.exp(x).sum(), x).backward()
        >>> x.grad.numpy().round(3)
        array([2.718, 7.389])
    """
    if modes.observers.get():  # forward mode keeps no graph, and others watch the ops inside
        return function(*args)
    op = _Checkpoint(functools.partial(function, *args))
    # by weak references: what is made inside, by a gradient taken there, dies with it
    captured: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()

    def note(values: Iterable[Tensor]) -> None:
        captured.update({id(value): value for value in values if value.requires_grad})

    with modes.setting(modes.observers, (lambda value, op, inputs: note(inputs),)):
        result, outputs = op.run(is_recomputing=modes.is_recomputing.get())
    note(outputs)
    if not (captured and modes.grad_enabled.get()):
        return result
    node = TensorTuple.make_const(tuple(output.cached_data for output in outputs), True)
    node.op = op
    node.inputs = tuple(captured.values())
    index = itertools.count()
    return substituted(result, lambda output: node[next(index)])


@contextmanager
def _random_state(state: Any) -> Iterator[None]:
    """NumPy's random state is `state` inside the block, and afterwards what it was before."""
    former = np.random.get_state()
    np.random.set_state(state)
    try:
        yield
    finally:
        np.random.set_state(former)
