"""Hooks: functions that are called when a module runs forward or backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, TensorTuple, TensorTupleOp

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Hooks", "call_with_hooks"]


class Hooks:
    """The hooks of one module, each kind in the order in which they were added."""

    def __init__(self) -> None:
        self.before: dict[Any, Callable[..., Any]] = {}
        self.after: dict[Any, Callable[..., Any]] = {}
        self.backward: dict[Any, Callable[..., Any]] = {}


def call_with_hooks(module: Module, hooks: Hooks, args: Any, kwargs: dict[str, Any]) -> Any:
    """`module.forward` between its hooks."""
    for hook in tuple(hooks.before.values()):
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    call = _Backward(module, hooks.backward) if hooks.backward else None
    if call is not None:
        args = call.watch_inputs(args)
    output = module.forward(*args, **kwargs)
    for hook in tuple(hooks.after.values()):
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

    def __init__(self, module: Module, hooks: dict[Any, Callable[..., Any]]) -> None:
        self.module = module
        self.hooks = hooks
        self.input_count = 0
        self.is_first = True  # no input gets a gradient: backward ends in this module
        self.output_grads: tuple[Tensor, ...] = ()

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tensors = [value for value in args if isinstance(value, Tensor)]
        self.input_count = len(tensors)
        self.is_first = not any(
            tensor.requires_grad and tensor.dtype.kind == "f" for tensor in tensors
        )
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
        for hook in tuple(self.hooks.values()):
            changed = hook(self.module, input_grads, self.output_grads)
            if changed is not None:
                input_grads = self._checked(changed)
        return input_grads

    def _checked(self, changed: Any) -> tuple[Any, ...]:
        """What a hook returned, as a tuple with a Tensor or None for each input."""
        result = tuple(changed) if isinstance(changed, tuple | list) else (changed,)
        is_fit = all(entry is None or isinstance(entry, Tensor) for entry in result)
        if not is_fit or len(result) != self.input_count:
            kinds = ", ".join(type(entry).__name__ for entry in result)
            raise ValueError(
                f"a backward hook of {type(self.module).__name__} returned ({kinds}): return a "
                f"tuple of {self.input_count}, one Tensor or None an input, or nothing"
            )
        return result


def _tapped(values: tuple[Any, ...], on_adjoints: Callable[..., Any]) -> tuple[Any, ...]:
    """`values` with its Tensors passed through one tap."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return values
    passed = iter(_Tap(on_adjoints)(*tensors))
    return tuple(next(passed) if isinstance(value, Tensor) else value for value in values)
