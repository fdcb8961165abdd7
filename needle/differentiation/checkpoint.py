"""checkpoint: intermediate values are computed again in backward, which saves memory."""

import functools
import weakref
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..autograd import Tensor, TensorTuple, TensorTupleOp, compute_adjoints, modes
from ..autograd.changes import tick
from ..autograd.watch import is_watching, records, watching
from ..device import to_numpy
from .draws import Draws
from .tree import flatten, substituted

__all__ = ["checkpoint"]


class _Checkpoint(TensorTupleOp):
    """A function whose inner graph is not kept, but computed again when its gradient is asked for.

    Its inputs are the tensors from outside that require a gradient.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.draws = Draws()
        self.samples: list[np.ndarray] = []  # of the first call's results
        self.is_watched = is_watching()
        self.is_lazy = modes.is_lazy.get()  # which decides in what order random ops draw

    def run(self, with_graph: bool, is_recomputing: bool = True) -> tuple[Any, list[Tensor]]:
        """The function's result, and the tensors in it, computed."""
        with (
            modes.enable_grad(with_graph),
            modes.override(modes.is_lazy, self.is_lazy),
            modes.override(modes.is_recomputing, is_recomputing),
            watching(records) if with_graph and self.is_watched else nullcontext(),
        ):
            result = self.function()
            outputs = flatten(result)[0]
            for output in outputs:
                output.realize_cached_data()
        return result, outputs

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        with self.draws.repeated():
            return tuple(output.cached_data for output in self.run(with_graph=False)[1])

    def gradient(self, out_grad: TensorTuple, node: TensorTuple) -> tuple[Any, ...]:
        with self.draws.repeated():
            outputs = self.run(with_graph=True)[1]
        _check_repeated(self.samples, outputs)
        return tuple(compute_adjoints(outputs, out_grad.tuple(), node.inputs))


def _sample(array: Any) -> np.ndarray:
    """A few entries of an array, spread over it."""
    flat = array.reshape(-1)
    return to_numpy(flat[:: max(1, flat.size // 64)]).copy()


def _check_repeated(samples: list[np.ndarray], outputs: list[Tensor]) -> None:
    """Raise where results of the second call are others than those of the first."""
    for first, output in zip(samples, outputs, strict=True):
        again = _sample(output.cached_data)
        if first.tobytes() == again.tobytes():
            continue
        # BLAS may round otherwise when it runs on another number of threads
        finite = np.abs(first[np.isfinite(first)])
        if first.shape != again.shape or not np.allclose(
            first, again, rtol=1e-2, atol=1e-3 * finite.max(initial=0), equal_nan=True
        ):
            raise RuntimeError(
                "checkpoint: the function computes other values in backward than in forward, and "
                "the gradient would belong to those: tensors, arrays or random numbers that it "
                "uses have changed"
            )


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` without keeping its intermediate values: `backward` computes them again.

    Bitwise equal to the plain call: what needle draws at random is drawn again, also while other
    threads draw, and tensors are assigned to (as running statistics are) the first time only.
    Under `detect_anomaly` and inside `jvp`, which observe the ops inside, it is the plain call. A
    stack of n layers, checkpointed in √n pieces, keeps about 2√n activations instead of n.

    `function` returns tensors; a second call must do the same. Calls of `np.random` in it are
    repeated, too, by setting NumPy's global random state: only while no other thread draws from it.

    Raises:
        RuntimeError: in `backward`, if the second call computes other values than the first.

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

    observe = modes.override(modes.observers, (lambda value, op, inputs: note(inputs),))
    with op.draws.noted(), observe:
        result, outputs = op.run(with_graph=False, is_recomputing=modes.is_recomputing.get())
    op.draws.end()
    note(outputs)
    if not (captured and modes.grad_enabled.get()):
        return result
    node = TensorTuple.make_const(tuple(output.cached_data for output in outputs), True)
    node.op = op
    op.samples = [_sample(output.cached_data) for output in outputs]
    node.inputs = tuple(captured.values())
    node.made = tick()
    entries = iter(node)
    return substituted(result, lambda output: next(entries))
