"""record: which module made which value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..autograd import Value, modes
from ..nn import Module

__all__ = ["Recording", "record"]


@dataclass(frozen=True)
class Recording:
    """What `record` notes: the values that a module made, and which part of it made each.

    Attributes:
        module: the module that was recorded.
        paths: for each value the path of the innermost module at work, "" for `module` itself.
    """

    module: Module
    paths: dict[Value, str] = field(default_factory=dict, repr=False)


@contextmanager
def record(module: Module) -> Iterator[Recording]:
    """Context that notes which part of `module` makes which value, for `draw`.

    The recording keeps these values alive. Outside of the context a module notes nothing.

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

    with ExitStack() as stack:
        for path, part in module.named_modules():
            stack.enter_context(_forward_replaced(part, path, running))
        stack.enter_context(modes.setting(modes.observers, (*modes.observers.get(), note)))
        yield recording


@contextmanager
def _forward_replaced(module: Module, path: str, running: list[str]) -> Iterator[None]:
    """`module.forward` puts `path` on top of `running` while it runs."""
    forward: Callable[..., Any] = module.forward
    had_its_own = "forward" in vars(module)

    def noting(*args: Any, **kwargs: Any) -> Any:
        running.append(path)
        try:
            return forward(*args, **kwargs)
        finally:
            running.pop()

    # in the instance, before the class's: nothing is left behind when it is taken away
    vars(module)["forward"] = noting
    try:
        yield
    finally:
        if had_its_own:
            vars(module)["forward"] = forward
        else:
            del vars(module)["forward"]
