"""RecordedStep: a program that was recorded, with the tensors and optimizers that it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..autograd import Tensor
from ..autograd.changes import Changes, before_change, changes_of, last_change, tick
from ..autograd.reverse import Stored, check_used
from ..differentiation.tree import flatten, substituted
from ..nn import Parameter
from ..optim.effects import Update
from .captured import Reached
from .executors import Executable
from .numba_executor import numba_executable
from .numpy_executor import NumpyExecutable
from .passes import rewritten
from .picture import ProgramGraph
from .program import Constant, Node, Program
from .recording import RecordingArray
from .report import report
from .tracer import Tracer

__all__ = ["EXECUTORS", "RecordedStep", "record"]

EXECUTORS: dict[str, Callable[..., Executable]] = {
    "numba": numba_executable,
    "numpy": NumpyExecutable,
}


def record(
    function: Callable[..., Any], args: Any, kwargs: Any, tensors: Sequence[Tensor], executor: str
) -> RecordedStep:
    """Run `function` on recording arrays, and compile what it does. Changes no values.

    `tensors` are the arguments that are tensors, as `RecordedStep.run` will get them.
    """
    reached = Reached(function, (args, kwargs))
    given: dict[int, Tensor] = {}  # by id: a tensor that is passed twice is one argument
    own = [each for each in tensors if each not in reached.outside]
    passed = {id(each) for each in own}
    known = [each for each in reached.tensors if id(each) not in passed]
    tracer = Tracer(getattr(function, "__name__", type(function).__name__), known)
    arguments = []
    for tensor in tensors:
        arguments.append(tracer.argument(tensor))
        given.setdefault(id(tensor), arguments[-1] if id(tensor) in passed else tensor)
    try:
        args, kwargs = substituted((args, kwargs), lambda tensor: given.get(id(tensor), tensor))
        parts = tracer.record(
            lambda: _Parts(tracer, function, arguments, function(*args, **kwargs))
        )
    finally:
        for tensor, (gradient, stored) in tracer.former.items():
            tensor._grad, tensor._stored = gradient, stored
    reached.forget_changed(tracer.former)
    return _compiled(tracer, reached, parts, tensors, executor)


class _Parts:
    """What is left of a recording: its results, gradients and assignments, by their nodes."""

    def __init__(self, tracer: Tracer, function: Any, given: Sequence[Tensor], result: Any) -> None:
        after = Reached(function)
        kept = after.outside
        self.local = {
            leaf for leaf, _ in tracer.captured if tracer.is_made(leaf) and leaf.tensor not in kept
        }
        """Leaves that the function created and did not keep: constants, if not written to."""
        outside = tracer.former.keys() - {leaf.tensor for leaf in self.local}
        returned, self.rebuild = flatten(result, keeps_modules=True)
        self.is_single = isinstance(result, Tensor)
        nodes = [tracer.array_of(tensor).node for tensor in returned]
        positions = {id(tensor): position for position, tensor in enumerate(given)}
        new: dict[int, int] = {}  # results that are new tensors, each once
        self.results: list[Node] = []
        self.places: list[tuple[str, Any]] = []
        for tensor, node in zip(returned, nodes, strict=True):
            if tensor in outside:
                self.places.append(("outside", tensor))
            elif id(tensor) in positions:
                self.places.append(("argument", positions[id(tensor)]))
            else:
                if id(tensor) not in new:
                    new[id(tensor)] = len(self.results)
                    self.results.append(node)
                self.places.append(("new", new[id(tensor)]))
        stored, cleared, self.uses_gradients = _gradients(tracer, given, returned)
        self.gradients = [
            (positions.get(id(tensor), tensor), tracer.array_of(gradient).node)
            for tensor, gradient in stored
        ]
        self.cleared = [tensor for tensor in cleared if tensor in tracer.former]
        self.assignments = [
            (leaf, array.node)
            for leaf, array in tracer.captured
            if array.node is not leaf and leaf not in self.local
        ]
        for tensor in after.tensors:
            if isinstance(tensor, Parameter) and isinstance(tensor.cached_data, RecordingArray):
                raise ValueError(
                    f"the compiled function {tracer.name} puts a new Parameter of shape "
                    f"{tensor.shape} in the place of another: write into the one there is, by "
                    "parameter.data = tensor"
                )


def _gradients(
    tracer: Tracer, given: Sequence[Tensor], returned: Iterable[Tensor]
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor], bool]:
    """The gradients to store after the step, with their tensors, and the tensors to get none.

    And whether the step itself uses some, which counts for all, as in eager mode.
    """
    updates = [action for action in tracer.actions if isinstance(action, Update)]
    used = {param for update in updates for param in update.params}
    of_results = {id(tensor) for tensor in returned}
    stored, cleared, uses_some = [], [], bool(used)
    for leaf in dict.fromkeys([*tracer.former, *given]):
        gradient = leaf._grad
        former = tracer.former[leaf][0] if leaf in tracer.former else None
        if gradient is None:
            if former is not None or leaf in tracer.cleared:
                cleared.append(leaf)
        elif gradient is not former:
            is_read = leaf._stored.is_used or id(gradient) in of_results
            uses_some |= is_read
            if leaf not in used or is_read or leaf in tracer.accumulated:
                stored.append((leaf, gradient))
            else:
                cleared.append(leaf)
    return stored, cleared, uses_some


def _compiled(
    tracer: Tracer, reached: Reached, parts: _Parts, tensors: Sequence[Tensor], executor: str
) -> RecordedStep:
    replaced = [(leaf, node) for leaf, node in parts.assignments if leaf in tracer.replaced]
    assigned = [pair for pair in parts.assignments if pair[0] not in tracer.replaced]
    program = Program(
        tracer.inputs,
        [*parts.results, *[node for _, node in [*parts.gradients, *replaced]]],
        assigned,
        tracer.draws,
        tracer.checks,
    )
    constants = {leaf: Constant(leaf.tensor.cached_data) for leaf in parts.local}
    for leaf, constant in constants.items():
        constant.order = leaf.order
    if constants:
        program = rewritten(program, lambda node: constants.get(node, node))
    before = [
        (leaf.tensor, leaf in tracer.unread) for leaf, _ in assigned if hasattr(leaf, "tensor")
    ]
    outside = {id(each): each for each in reached.outside}
    return RecordedStep(
        tracer.name, reached, EXECUTORS[executor](program, tracer.arguments), program,
        rebuild=parts.rebuild,
        is_single=parts.is_single and parts.places == [("new", 0)] and len(program.results) == 1,
        count=len(parts.results),
        places=parts.places,
        actions=_ordered(tracer.actions),
        gradients=[place for place, _ in parts.gradients],
        uses_gradients=parts.uses_gradients,
        overwritten=[
            place
            for place, _ in parts.gradients
            if not isinstance(place, int) and tracer.leaves_gradient(place)
        ],
        cleared=parts.cleared,
        replaced=[leaf.tensor for leaf, _ in replaced],
        had_gradient=[
            (tensor, former is not None)
            for tensor, (former, _) in tracer.former.items()
            if tensor in tracer.accumulated or former is not None
        ],
        changed=[tensor for tensor, is_statistic in before if not is_statistic],
        outside=[id(each) if id(each) in outside else None for each in tensors],
    )  # fmt: skip


def _ordered(actions: list[Any]) -> list[Any]:
    """The actions as they begin, schedules told whether an update of their optimizer follows."""
    for position, action in enumerate(actions):
        later = actions[position + 1 :]
        if not isinstance(action, Update):
            action.is_last = not any(
                isinstance(each, Update) and each.optimizer is action.optimizer for each in later
            )
    return sorted(actions, key=lambda action: not action.is_first)


@dataclass(eq=False)
class RecordedStep:
    """What a function did with arguments of some shapes, as an executable program."""

    name: str
    reached: Reached
    executable: Executable
    recorded_program: Program
    rebuild: Callable[[Sequence[Any]], Any]
    is_single: bool
    """Whether the only result is one new tensor."""
    count: int
    """How many new tensors the function returns; gradients and new values of tensors follow."""
    places: list[tuple[str, Any]]
    """For each result a new tensor by number, an argument by position, or a tensor from outside."""
    actions: list[Any]
    gradients: list[Any]
    """What the results after those of the function are gradients of: positions or tensors."""
    uses_gradients: bool
    overwritten: list[Tensor]
    """The tensors that get new gradients, and whose former ones the step has not used or reset."""
    cleared: list[Tensor]
    replaced: list[Tensor]
    had_gradient: list[tuple[Tensor, bool]]
    changed: list[Tensor]
    outside: list[int | None]
    """The ids of those arguments that the function also reaches by itself."""
    _changes: list[Changes] = field(default_factory=list)
    _bound: Any = None

    def fits(self, tensors: Sequence[Tensor]) -> bool:
        """Whether the function would do the same again."""
        for tensor, had_gradient in self.had_gradient:
            if (tensor._grad is not None) is not had_gradient:
                return False
        if not self.reached.holds() or not self.executable.bind():
            return False
        reached = self.reached.outside
        if [id(tensor) if tensor in reached else None for tensor in tensors] != self.outside:
            return False
        fitting = [action.fits() for action in self.actions]
        return all(fitting)

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """The results for these arguments, with all effects."""
        arrays = [tensor.cached_data for tensor in tensors]
        executable, actions = self.executable, self.actions
        executable.check(arrays)
        written: list[bool] = []
        try:
            for action in actions:
                action.begin()
            self._before_change()
            results = executable.run(arrays, partial(written.append, True))
            written.append(True)
            for action in actions:
                action.end()
        except BaseException:
            for action in actions if written else reversed(actions):
                if written:
                    action.end()
                else:
                    action.undo()
            raise
        for tensor in self.cleared:
            tensor._grad = None
        make = Tensor.make_const
        if self.is_single:
            return make(results[0])
        made = [make(array) for array in results]
        kinds = {"new": made, "argument": tensors}
        returned = [kinds[kind][at] if kind in kinds else at for kind, at in self.places]
        others = iter(made[self.count :])
        for tensor in self.overwritten:
            if tensor._grad is not None:
                check_used(tensor)
        stored = Stored(self.uses_gradients)
        for place in self.gradients:
            tensor = tensors[place] if isinstance(place, int) else place
            tensor._grad, tensor._stored = next(others), stored
        for tensor in self.replaced:
            tensor.data = next(others)
        return self.rebuild(returned)

    def _before_change(self) -> None:
        """`before_change` of all tensors that get new values, whose changes are looked up once."""
        if self._bound is not self.executable.arrays:
            before_change(self.changed)
            self._changes = [changes_of(tensor) for tensor in self.changed]
            for changes in self._changes:
                changes.compute_readers()
            self._bound = self.executable.arrays
        last_change[0] = now = tick()
        for changes in self._changes:
            if changes.readers:
                changes.compute_readers()
            changes.time = now

    # --- looking at it

    def report(self) -> str:
        return report(self.name, self.recorded_program, self.executable)

    def source(self) -> str:
        return self.executable.source()

    def graph(self) -> ProgramGraph:
        return ProgramGraph(self.executable.program)
