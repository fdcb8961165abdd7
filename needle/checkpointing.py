"""Checkpointing: less memory for more time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import modes
from .autograd import Tensor, TensorTuple, TensorTupleOp, compute_adjoints
from .ops import alias
from .tree import flatten

__all__ = ["checkpoint"]


class _Checkpoint(TensorTupleOp):
    """A function whose inner graph is not kept, but made again to go back through it.

    Its inputs are the tensors that require a gradient: arguments, and what the function captures.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments, self.rebuild = flatten(args)
        self.random_state = np.random.get_state()

    def run(self, arguments: list[Tensor]) -> Any:
        """The function on other tensors in the places of its arguments."""
        return self.function(*self.rebuild(arguments))

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        with modes.no_grad(), _random_state(self.random_state):
            outputs = flatten(self.run(self.arguments))[0]
            return tuple(output.realize_cached_data() for output in outputs)

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> tuple[Any, ...]:
        with modes.enable_grad(), _random_state(self.random_state):
            # aliases, so that the walk back stops here and outer ones can go on
            inner = {tensor: alias(tensor) for tensor in self.arguments}
            outputs = flatten(self.run([inner[tensor] for tensor in self.arguments]))[0]
        variables = [inner.get(operand, operand) for operand in node.inputs]
        pairs = [
            (output, adjoint)
            for output, adjoint in zip(outputs, out_grad.tuple(), strict=True)
            if output.requires_grad
        ]
        return tuple(
            compute_adjoints(
                [output for output, _ in pairs], [adjoint for _, adjoint in pairs], variables
            )
        )


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, without keeping what it computes inside: backward computes it again.

    Equal to the plain call to the bit, random draws included: NumPy's random state is replayed.
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
    op = _Checkpoint(function, args)
    captured: dict[Tensor, None] = {}

    def note(value: Any, inner_op: Any, inputs: tuple[Any, ...]) -> None:
        captured.update({operand: None for operand in inputs if operand.requires_grad})

    with modes.no_grad(), modes.setting(modes.observers, (note,)):
        result = op.run(op.arguments)
    outputs, rebuild = flatten(result)
    if not (captured and modes.grad_enabled.get()):
        return result
    arrays = tuple(output.realize_cached_data() for output in outputs)
    node = TensorTuple.make_const(arrays, requires_grad=True)
    node.op = op
    node.inputs = tuple(captured)
    return rebuild([node[index] for index in range(len(outputs))])


@contextmanager
def _random_state(state: Any) -> Iterator[None]:
    """NumPy's random state is `state` inside the block, and afterwards what it was before."""
    former = np.random.get_state()
    np.random.set_state(state)
    try:
        yield
    finally:
        np.random.set_state(former)
