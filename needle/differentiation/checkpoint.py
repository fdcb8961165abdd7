"""checkpoint: intermediate values are computed again in backward, which saves memory."""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple, TensorTupleOp, compute_adjoints, modes
from ..autograd.changes import tick
from ..device import Generator
from .tree import flatten, substituted

__all__ = ["checkpoint"]


class _Checkpoint(TensorTupleOp):
    """A function whose inner graph is not kept, but computed again when its gradient is asked for.

    Its inputs are the tensors from outside that require a gradient.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.random_state = _RandomState(Generator.instances)
        self.is_lazy = modes.is_lazy.get()  # which decides in what order random ops draw

    def run(self, with_graph: bool, is_recomputing: bool = True) -> tuple[Any, list[Tensor]]:
        """The function's result, and the tensors in it, computed."""
        with (
            modes.enable_grad(with_graph),
            modes.override(modes.is_lazy, self.is_lazy),
            modes.override(modes.is_recomputing, is_recomputing),
        ):
            result = self.function()
            outputs = flatten(result)[0]
            for output in outputs:
                output.realize_cached_data()
        return result, outputs

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        with self.random_state.replayed():
            return tuple(output.cached_data for output in self.run(with_graph=False)[1])

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> tuple[Any, ...]:
        with self.random_state.replayed():
            outputs = self.run(with_graph=True)[1]
        return tuple(compute_adjoints(outputs, out_grad.tuple(), node.inputs))


class _RandomState:
    """The present state of NumPy's global random numbers and of `generators`."""

    def __init__(self, generators: Iterable[Generator]) -> None:
        self._global = np.random.get_state()
        self._states = {generator: generator.state_dict() for generator in generators}

    def keep_used(self) -> None:
        """Drop the generators that have drawn nothing since."""
        states = self._states.items()
        self._states = {each: state for each, state in states if each.state_dict() != state}

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """This state inside the block; the former one after it."""
        former = _RandomState(self._states)
        self._restore()
        try:
            yield
        finally:
            former._restore()

    def _restore(self) -> None:
        np.random.set_state(self._global)
        for generator, state in self._states.items():
            generator.load_state_dict(state)


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` without keeping its intermediate values: `backward` computes them again.

    Bitwise equal to the plain call: random numbers are drawn again from the same state, of NumPy's
    global random numbers and of every `Generator`, and tensors are assigned to (as running
    statistics are) the first time only. Under `detect_anomaly` and inside `jvp`, which observe the
    ops inside, it is the plain call. A stack of n layers, checkpointed in √n pieces, keeps about
    2√n activations instead of n.

    `function` returns tensors; a second call must do the same, apart from random numbers.

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

    with modes.override(modes.observers, (lambda value, op, inputs: note(inputs),)):
        result, outputs = op.run(with_graph=False, is_recomputing=modes.is_recomputing.get())
    op.random_state.keep_used()
    note(outputs)
    if not (captured and modes.grad_enabled.get()):
        return result
    node = TensorTuple.make_const(tuple(output.cached_data for output in outputs), True)
    node.op = op
    node.inputs = tuple(captured.values())
    node.made = tick()
    entries = iter(node)
    return substituted(result, lambda output: next(entries))
