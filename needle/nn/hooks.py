"""Hooks: functions that are called when a module runs forward or backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, TensorTuple, TensorTupleOp

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Handle", "HookList", "Hooks", "call_with_hooks"]

Hook = Callable[..., Any]


class HookList:
    """Hooks of one kind, called in the order in which they were added."""

    def __init__(self) -> None:
        self._hooks: dict[int, Hook] = {}
        self._next = 0

    def add(self, hook: Hook) -> Handle:
        """Add a hook; the handle takes it away again."""
        self._next += 1
        self._hooks[self._next] = hook
        return Handle(self, self._next)

    def discard(self, key: int) -> None:
        """Take a hook away; nothing happens if it is gone."""
        self._hooks.pop(key, None)

    def __len__(self) -> int:
        return len(self._hooks)

    def __iter__(self) -> Iterator[Hook]:
        return iter(tuple(self._hooks.values()))


class Handle:
    """Takes a hook away again: by `remove()`, or at the end of a `with` block."""

    def __init__(self, hooks: HookList, key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.discard(self._key)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


class Hooks:
    """The hooks of one module."""

    def __init__(self) -> None:
        self.before = HookList()
        self.after = HookList()
        self.backward = HookList()


def call_with_hooks(module: Module, hooks: Hooks, args: Any, kwargs: dict[str, Any]) -> Any:
    """`module.forward` between its hooks."""
    for hook in hooks.before:
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    call = _Backward(module, hooks.backward) if hooks.backward else None
    if call is not None:
        args = call.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook in hooks.after:
        changed = hook(module, args, output)
        if changed is not None:
            output = changed
    return output if call is None else call.watch_outputs(output)


class _Tap(TensorTupleOp):
    """The same tensors; backward goes through `on_adjoints`, which may replace the adjoints."""

    def __init__(self, on_adjoints: Callable[[tuple[Tensor, ...]], Any]) -> None:
        self.on_adjoints = on_adjoints

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        return arrays

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, ...]:
        return self.on_adjoints(out_grad.tuple())


class _Backward:
    """One call of a module whose backward is watched.

    The tensors that go in and those that come out each pass through a tap, so that the module's
    own share of the adjoints is seen, whatever else the tensors are used for.
    """

    def __init__(self, module: Module, hooks: HookList) -> None:
        self.module = module
        self.hooks = hooks
        self.input_count = 0
        self.is_first = True  # no input requires a gradient: backward ends in this module
        self.output_grads: tuple[Tensor, ...] = ()

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tensors = [value for value in args if isinstance(value, Tensor)]
        self.input_count = len(tensors)
        self.is_first = not any(tensor.requires_grad for tensor in tensors)
        return args if self.is_first else _tapped(args, self._at_inputs)

    def watch_outputs(self, output: Any) -> Any:
        if isinstance(output, Tensor):
            return _tapped((output,), self._at_outputs)[0]
        if type(output) in (tuple, list):
            return type(output)(_tapped(tuple(output), self._at_outputs))
        return output

    def _at_outputs(self, adjoints: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.output_grads = adjoints
        if self.is_first:
            self._run((None,) * self.input_count)
        return adjoints

    def _at_inputs(self, adjoints: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self._run(adjoints)

    def _run(self, input_grads: Any) -> Any:
        for hook in self.hooks:
            changed = hook(self.module, input_grads, self.output_grads)
            if changed is not None:
                input_grads = changed if isinstance(changed, tuple) else (changed,)
        return input_grads


def _tapped(values: tuple[Any, ...], on_adjoints: Callable[..., Any]) -> tuple[Any, ...]:
    """`values` with its Tensors passed through one tap."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return values
    passed = iter(_Tap(on_adjoints)(*tensors))
    return tuple(next(passed) if isinstance(value, Tensor) else value for value in values)
