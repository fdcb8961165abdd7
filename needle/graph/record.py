"""record: which module made which value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..autograd import Value, modes
from ..nn import Module

__all__ = ["Recording", "record"]


@dataclass(frozen=True)
class Recording:
    """The values that `module` made, as `record` noted them.

    `paths` has for each value, also for those assigned to, such as running statistics, the path
    of the innermost module that was running, "" for `module` itself.
    """

    module: Module
    paths: dict[Value, str] = field(default_factory=dict, repr=False)


@contextmanager
def record(module: Module) -> Iterator[Recording]:
    """Context manager that records which part of `module` makes which value, for `draw`.

    The recording keeps these values alive.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Sequential(ndl.nn.Linear(2, 3), ndl.nn.ReLU())
        >>> with ndl.graph.record(model) as recording:
        ...     y = model(ndl.init.ones(1, 2))
        >>> sorted(set(recording.paths.values()))
        ['0', '1']
        >>> "cluster" in ndl.graph.draw(y, module=recording).source
        True
    """
    recording = Recording(module)
    running: list[str] = []

    def note(value: Value, op: Any, inputs: Any) -> None:
        if running:
            recording.paths[value] = running[-1]

    @contextmanager
    def inside(path: str) -> Iterator[None]:
        running.append(path)
        try:
            yield
        finally:
            running.pop()

    with ExitStack() as stack:
        for path, part in module.named_modules():
            attributes = vars(part)
            if "forward" in attributes:
                stack.callback(attributes.__setitem__, "forward", part.forward)
            else:
                stack.callback(attributes.pop, "forward", None)
            # an attribute of the instance comes before the method of its class
            attributes["forward"] = inside(path)(part.forward)
        stack.enter_context(modes.override(modes.observers, (*modes.observers.get(), note)))
        yield recording
