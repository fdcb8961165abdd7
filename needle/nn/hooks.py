"""Hooks: functions that are called when a module runs forward or backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, TensorTuple, TensorTupleOp
from ..ops.kinds import or_zeros
from ..ops.tuples import make_tuple

if TYPE_CHECKING:
    from .module import Module

__all__ = ["call_with_hooks"]

Hooks = dict[Any, Callable[..., Any]]  # of one kind, in the order of registration


def call_with_hooks(module: Module, hooks: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """`module.forward` with its hooks before, after and backward."""
    for hook in tuple(hooks.before.values()):
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    at_outputs = None
    if hooks.backward:
        args, at_outputs = _watch(module, hooks.backward, args)
    output = module.forward(*args, **kwargs)
    for hook in tuple(hooks.after.values()):
        changed = hook(module, args, output)
        if changed is not None:
            output = changed
    return output if at_outputs is None else _tapped(output, at_outputs)


class _Tap(TensorTupleOp):
    """The identity; `on_adjoints` gets the adjoints in backward and may replace them."""

    def __init__(self, on_adjoints: Callable[[tuple[Tensor, ...]], Any]) -> None:
        self.on_adjoints = on_adjoints

    def compute(self, *arrays: Any) -> tuple[Any, ...]:
        return arrays

    def tangent(self, input_tangents: Sequence[Any], node: Any) -> TensorTuple:
        return make_tuple(*or_zeros(input_tangents, node.inputs))  # forward mode has no adjoints

    def gradient(self, out_grad: TensorTuple, node: Any) -> tuple[Tensor, ...]:
        return self.on_adjoints(out_grad.tuple())


def _watch(module: Module, hooks: Hooks, args: Any) -> tuple[Any, Callable[..., Any]]:
    """The arguments of one call of a module with backward hooks, and what its outputs' tap calls.

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
            fitting = [each for each in input_grads if isinstance(each, Tensor | None)]
            if not len(fitting) == len(input_grads) == count:
                kinds = ", ".join(type(each).__name__ for each in input_grads)
                raise ValueError(
                    f"a backward hook of {type(module).__name__} returned ({kinds}): return a "
                    f"tuple of {count}, one Tensor or None per input, or None"
                )
        return input_grads

    return args if is_first else _tapped(args, run_hooks), at_outputs


def _tapped(values: Any, on_adjoints: Callable[..., Any]) -> Any:
    """A Tensor, or the Tensors in a tuple or list, passed through one tap; or `values` itself."""
    if isinstance(values, Tensor):
        return _Tap(on_adjoints)(values)[0]
    if type(values) not in (tuple, list) or not any(isinstance(each, Tensor) for each in values):
        return values
    passed = iter(_Tap(on_adjoints)(*[each for each in values if isinstance(each, Tensor)]))
    return type(values)(next(passed) if isinstance(each, Tensor) else each for each in values)
