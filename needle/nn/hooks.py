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
    watched = None
    if hooks.backward:
        args, watched = _watch(module, hooks.backward, args)
    output = module.forward(*args, **kwargs)
    for hook in tuple(hooks.after.values()):
        changed = hook(module, args, output)
        if changed is not None:
            output = changed
    return output if watched is None else watched(output)


class _Tap(TensorTupleOp):
    """The identity; `on_adjoints` gets the adjoints in backward and may replace them."""

    def __init__(self, on_adjoints: Callable[[tuple[Tensor, ...]], Any]) -> None:
        self.on_adjoints = on_adjoints

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        return arrays

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, ...]:
        return self.on_adjoints(out_grad.tuple())


def _watch(
    module: Module, hooks: dict[Any, Callable[..., Any]], args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], Callable[[Any], Any]]:
    """The arguments of one call of a module with backward hooks, and a function of its output.

    Inputs and outputs pass through taps, so that hooks see the adjoints of this module alone,
    whatever else the tensors are used for.
    """
    tensors = [value for value in args if isinstance(value, Tensor)]
    count = len(tensors)
    # no input gets a gradient: backward ends in this module
    is_first = not any(x.requires_grad and x.dtype.kind == "f" for x in tensors)
    output_grads: tuple[Tensor, ...] = ()

    def at_outputs(adjoints: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal output_grads
        output_grads = adjoints
        if is_first:
            run_hooks((None,) * count)
        return adjoints

    def run_hooks(input_grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in tuple(hooks.values()):
            changed = hook(module, input_grads, output_grads)
            if changed is None:
                continue
            input_grads = tuple(changed) if isinstance(changed, tuple | list) else (changed,)
            if len(input_grads) != count or not all(
                isinstance(each, Tensor | None) for each in input_grads
            ):
                kinds = ", ".join(type(each).__name__ for each in input_grads)
                raise ValueError(
                    f"a backward hook of {type(module).__name__} returned ({kinds}): return a "
                    f"tuple of {count}, one Tensor or None per input, or None"
                )
        return input_grads

    def watched(output: Any) -> Any:
        if isinstance(output, Tensor):
            return _tapped((output,), at_outputs)[0]
        if type(output) in (tuple, list):
            return type(output)(_tapped(tuple(output), at_outputs))
        return output

    return args if is_first else _tapped(args, run_hooks), watched


def _tapped(values: tuple[Any, ...], on_adjoints: Callable[..., Any]) -> tuple[Any, ...]:
    """`values` with its Tensors passed through one tap."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    passed = iter(_Tap(on_adjoints)(*tensors)) if tensors else iter(())
    return tuple(next(passed) if isinstance(value, Tensor) else value for value in values)
