"""RecordedStep: a program that was recorded, with the tensors and optimizers that it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..autograd import Tensor, modes
from ..autograd.changes import before_change
from ..differentiation.tree import flatten, substituted
from .captured import Reached
from .executors import Executable
from .numba_executor import NumbaExecutable
from .numpy_executor import NumpyExecutable
from .program import Captured, Program
from .recording import RecordingArray
from .tracer import Tracer

__all__ = ["RecordedStep", "record"]


def record(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], executor: str
) -> RecordedStep:
    """Run `function` on recording arrays, and compile what it does. Changes no values."""
    reached = Reached(function, (args, kwargs))
    arguments = {id(tensor) for tensor in flatten((args, kwargs))[0] if not tensor._is_parameter}
    outside = set(Reached(function, ()).tensors)
    known = {
        tensor for tensor in reached.tensors if id(tensor) not in arguments or tensor in outside
    }
    tensors = [tensor for tensor in reached.tensors if tensor in known]
    name = getattr(function, "__name__", type(function).__name__)
    former = {tensor: (tensor._grad, tensor._stored) for tensor in tensors}
    tracer = Tracer(name, tensors, [t for t in tensors if t._grad is not None])
    given: list[Tensor] = []

    def argument(tensor: Tensor) -> Tensor:
        if tensor in known:
            return tensor
        given.append(tracer.argument(tensor))
        return given[-1]

    try:
        new_args, new_kwargs = substituted((args, kwargs), argument)
        with tracer.recording():
            result = function(*new_args, **new_kwargs)
            return _finished(tracer, reached, former, given, result, executor)
    finally:
        for tensor, (gradient, stored) in former.items():
            tensor._grad, tensor._stored = gradient, stored
        for node, _ in tracer.captured:
            if isinstance(node, Captured) and node.tensor not in former:
                node.tensor._grad = None


def _finished(
    tracer: Tracer, reached: Reached, former: dict[Tensor, Any], given: list[Tensor], result: Any,
    executor: str,
) -> RecordedStep:  # fmt: skip
    reached.forget_changed()
    returned, rebuild = flatten(result)
    nodes = [tracer.array_of(tensor).node for tensor in returned]
    places: list[Any] = [None] * len(nodes)  # of results that are tensors from outside
    owners = {id(node.tensor) for node, _ in tracer.captured if isinstance(node, Captured)}
    positions = {id(tensor): position for position, tensor in enumerate(given)}
    for position, tensor in enumerate(returned):
        if id(tensor) in positions:
            places[position] = positions[id(tensor)]
        elif id(tensor) in owners:
            places[position] = tensor
    stored, cleared = _gradients(tracer, former, given, returned)
    assignments = [(leaf, array.node) for leaf, array in tracer.captured if array.node is not leaf]
    replaced = [(leaf, node) for leaf, node in assignments if leaf in tracer.replaced]
    program = Program(
        tracer.inputs,
        [
            *[node for node, place in zip(nodes, places, strict=True) if place is None],
            *[tracer.array_of(gradient).node for _, gradient in stored],
            *[node for _, node in replaced],
        ],
        [pair for pair in assignments if pair[0] not in tracer.replaced],
        tracer.draws,
        tracer.checks,
    )
    step = RecordedStep()
    step.name, step.reached, step.rebuild = tracer.name, reached, rebuild
    step.is_single = isinstance(result, Tensor) and places == [None]
    step.places, step.actions = places, tracer.actions
    step.gradients = [positions.get(id(tensor), tensor) for tensor, _ in stored]
    step.cleared = cleared
    step.replaced = [leaf.tensor for leaf, _ in replaced]
    step.had_gradient = [
        (tensor, former[tensor][0] is not None)
        for tensor in former
        if tensor in tracer.accumulated or tensor in set(tracer.gradients.values())
    ]
    step.recorded_program = program
    with modes.override(modes.effects, None):
        step.executable = _EXECUTORS[executor](program, tracer.arguments)
    step.changed = [
        leaf.tensor for leaf, _ in program.assignments
        if isinstance(leaf, Captured) and not is_statistic(leaf, tracer)
    ]  # fmt: skip
    return step


def is_statistic(leaf: Captured, tracer: Tracer) -> bool:
    """Whether `backward` does not mind that the tensor changes: running statistics."""
    return leaf in tracer.unread


def _gradients(
    tracer: Tracer, former: dict[Tensor, Any], given: Sequence[Tensor], returned: Iterable[Tensor]
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """The gradients to store after the step, with their tensors, and the tensors to get none."""
    outside = [node.tensor for node, _ in tracer.captured if isinstance(node, Captured)]
    leaves = list(dict.fromkeys([*former, *outside, *given]))
    used = {param for action in tracer.actions for param in getattr(action, "params", ())}
    of_results = {id(tensor) for tensor in returned}
    stored, cleared = [], []
    for leaf in leaves:
        gradient = leaf._grad
        is_new = gradient is not None and isinstance(gradient.cached_data, RecordingArray)
        was_read = leaf._stored.is_used
        is_kept = (
            leaf not in used or was_read or leaf in tracer.accumulated or id(gradient) in of_results
        )
        if is_new and is_kept:
            stored.append((leaf, gradient))
        elif (
            is_new or leaf in tracer.cleared or (gradient is None and former.get(leaf, (None,))[0])
        ):
            cleared.append(leaf)
    return stored, [leaf for leaf in cleared if not isinstance(leaf.cached_data, RecordingArray)]


_EXECUTORS: dict[str, Callable[[Program], Executable]] = {
    "numba": NumbaExecutable,
    "numpy": NumpyExecutable,
}


class RecordedStep:
    """What a function did with arguments of some shapes, as an executable program."""

    name: str
    reached: Reached
    executable: Executable
    recorded_program: Program
    rebuild: Callable[[Sequence[Any]], Any]
    is_single: bool  # the function returns one new tensor
    places: list[Any]
    """For each result None, if it is new, or the argument or the tensor that it is."""
    actions: list[Any]
    gradients: list[Any]
    """What the results after those of the function are gradients of: positions or tensors."""
    cleared: list[Tensor]
    replaced: list[Tensor]
    had_gradient: list[tuple[Tensor, bool]]
    changed: list[Tensor]

    def fits(self) -> bool:
        """Whether the function would do the same again."""
        if not self.reached.holds() or not self.executable.bind():
            return False
        for tensor, had_gradient in self.had_gradient:
            if (tensor._grad is not None) is not had_gradient:
                return False
        return not any(not action.fits() for action in self.actions)

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """The results for these arguments, with all effects."""
        arrays = [tensor.cached_data for tensor in tensors]
        self.executable.check(arrays)
        for action in self.actions:
            action.begin()
        before_change(self.changed)
        results = self.executable.run(arrays)
        for action in self.actions:
            action.end()
        if self.cleared:
            for tensor in self.cleared:
                tensor._grad = None
        make = Tensor.make_const
        if self.is_single and len(results) == 1:
            return make(results[0])
        return self._rebuilt(tensors, iter(results), make)

    def _rebuilt(self, tensors: Sequence[Tensor], results: Any, make: Any) -> Any:
        returned = [
            make(next(results)) if place is None
            else tensors[place] if isinstance(place, int) else place
            for place in self.places
        ]  # fmt: skip
        for place in self.gradients:
            tensor = tensors[place] if isinstance(place, int) else place
            tensor.grad = make(next(results))
        for tensor in self.replaced:
            tensor.data = make(next(results))
        return self.rebuild(returned)

    # --- looking at it

    def report(self) -> str:
        return self.executable.report()

    def source(self) -> str:
        return self.executable.source()

    def graph(self) -> Any:
        return self.executable.program
