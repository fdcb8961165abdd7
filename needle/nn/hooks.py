"""Hooks: functions that are called when a module runs forward or backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, TensorTuple, TensorTupleOp

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Hooks", "call_with_hooks"]


class Hooks:
    """The hooks of one module, each kind in the order of registration."""

    def __init__(self) -> None:
        self.before: dict[Any, Callable[..., Any]] = {}
        self.after: dict[Any, Callable[..., Any]] = {}
        self.backward: dict[Any, Callable[..., Any]] = {}


def call_with_hooks(module: Module, hooks: Hooks, args: Any, kwargs: dict[str, Any]) -> Any:
    """`module.forward` with its hooks before and after it."""
    for hook in tuple(hooks.before.values()):
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    call = None
    if hooks.backward:
        call = _WatchedCall(module, hooks.backward, args)
        args = call.args
    output = module.forward(*args, **kwargs)
    for hook in tuple(hooks.after.values()):
        changed = hook(module, args, output)
        if changed is not None:
            output = changed
    return output if call is None else call.watched(output)


class _Tap(TensorTupleOp):
    """The identity; `on_adjoints` gets the adjoints in backward and may replace them."""

    def __init__(self, on_adjoints: Callable[[tuple[Tensor, ...]], Any]) -> None:
        self.on_adjoints = on_adjoints

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        return arrays

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, ...]:
        return self.on_adjoints(out_grad.tuple())


class _WatchedCall:
    """One call of a module with backward hooks.

    Its inputs and outputs pass through taps, so that hooks see the adjoints of this module alone,
    whatever else the tensors are used for.
    """

    def __init__(
        self, module: Module, hooks: dict[Any, Callable[..., Any]], args: tuple[Any, ...]
    ) -> None:
        self.module = module
        self.hooks = hooks
        tensors = [value for value in args if isinstance(value, Tensor)]
        self.input_count = len(tensors)
        # no input gets a gradient: backward ends in this module
        self.is_first = not any(x.requires_grad and x.dtype.kind == "f" for x in tensors)
        self.output_grads: tuple[Tensor, ...] = ()
        self.args = args if self.is_first else _tapped(args, self._run_hooks)

    def watched(self, output: Any) -> Any:
        """The output, with its Tensors passed through a tap."""
        if isinstance(output, Tensor):
            return _tapped((output,), self._at_outputs)[0]
        if type(output) in (tuple, list):
            return type(output)(_tapped(tuple(output), self._at_outputs))
        return output

    def _at_outputs(self, adjoints: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.output_grads = adjoints
        if self.is_first:
            self._run_hooks((None,) * self.input_count)
        return adjoints

    def _run_hooks(self, input_grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in tuple(self.hooks.values()):
            changed = hook(self.module, input_grads, self.output_grads)
            if changed is None:
                continue
            input_grads = tuple(changed) if isinstance(changed, tuple | list) else (changed,)
            if len(input_grads) != self.input_count or not all(
                isinstance(each, Tensor | None) for each in input_grads
            ):
                kinds = ", ".join(type(each).__name__ for each in input_grads)
                raise ValueError(
                    f"a backward hook of {type(self.module).__name__} returned ({kinds}): return a "
                    f"tuple of {self.input_count}, one Tensor or None per input, or None"
                )
        return input_grads


def _tapped(values: tuple[Any, ...], on_adjoints: Callable[..., Any]) -> tuple[Any, ...]:
    """`values` with its Tensors passed through one tap."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    passed = iter(_Tap(on_adjoints)(*tensors)) if tensors else iter(())
    return tuple(next(passed) if isinstance(value, Tensor) else value for value in values)
