"""Forward mode: tangents that travel beside the values, op by op."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor, modes
from ..ops import identity
from .arguments import check_differentiable, check_outputs, full_like, matching
from .checkpoint import checkpoint
from .tree import flatten, substituted

__all__ = ["jvp", "push_forward"]

Carriers = weakref.WeakValueDictionary[int, Any]  # by id: the values that carry a tangent


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """The value of `function` at `primals`, and its derivative along `tangents`: forward mode.

    The tangents travel beside the values, op by op, and no graph is kept, so that memory does not
    grow with the number of ops: `backward` through the results computes them again. (In lazy mode
    the graph is there anyway.)

    Args:
        primals: the arguments.
        tangents: one for each primal, in its structure, shapes and dtypes (for a Module a dict
            under the names of its parameters).

    Returns:
        The value and Jacobian·tangents, in the same structure.

    Raises:
        ValueError: structures or shapes of tangents and primals differ.
        TypeError: their dtypes differ, or `function` gives no tensor.

    Example:
        >>> import needle as ndl
        >>> f = lambda x1, x2: ndl.log(x1) + x1 * x2 - ndl.sin(x2)
        >>> one, zero = ndl.Tensor(1.0), ndl.Tensor(0.0)
        >>> value, tangent = ndl.jvp(f, (ndl.Tensor(2.0), ndl.Tensor(5.0)), (one, zero))
        >>> round(value.item(), 3), tangent.item()
        (11.652, 5.5)
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise TypeError("jvp takes tuples of primals and of tangents: write (x,) for one argument")
    given = matching("tangents", tuple(tangents), "the primals", tuple(primals))

    def run() -> tuple[Any, Any]:
        return push_forward(function, primals, range(len(primals)), given)

    # a graph for `backward` would grow with each op: it is made when it is asked for
    return run() if modes.is_lazy.get() else checkpoint(run)


def push_forward(
    function: Callable[..., Any],
    args: Sequence[Any],
    argnums: Sequence[int],
    tangents: Sequence[Tensor],
) -> tuple[Any, Any]:
    """`jvp` along `tangents` of the tensors in the arguments `argnums`."""
    level = object()
    carriers: Carriers = weakref.WeakValueDictionary()
    carry = functools.partial(_carry_tangent, level, carriers)
    remaining = iter(tangents)

    def start(tensor: Tensor) -> Tensor:
        variable = identity(tensor)
        _attach(level, carriers, variable, next(remaining))
        return variable

    def start_parameter(parameter: Tensor) -> None:
        tangent = next(remaining)
        if parameter.requires_grad:  # else it is frozen
            _attach(level, carriers, parameter, tangent)

    args = list(args)
    try:
        with modes.setting(modes.observers, (*modes.observers.get(), carry)):
            for argnum in argnums:
                check_differentiable(function, argnum, flatten(args[argnum])[0])
                args[argnum] = substituted(args[argnum], start, start_parameter)
            value = function(*args)
            outputs, rebuild = flatten(value)
        check_outputs(function, outputs)
        found = [_tangents_of(output).get(level) for output in outputs]
    finally:
        # a recorded tangent refers to the value that carries it: such cycles would stay for long
        for carrier in carriers.values():
            del _tangents_of(carrier)[level]
    return value, rebuild(
        [
            full_like(output, 0) if tangent is None else tangent
            for output, tangent in zip(outputs, found, strict=True)
        ]
    )


def _tangents_of(value: Any) -> dict[object, Any]:
    """The tangents that travel with a value, one for each `jvp` under way."""
    return value.__dict__.setdefault("tangents", {})


def _attach(level: object, carriers: Carriers, value: Any, tangent: Any) -> None:
    _tangents_of(value)[level] = tangent
    carriers[id(value)] = value


def _carry_tangent(
    level: object, carriers: Carriers, value: Any, op: Any, inputs: tuple[Any, ...]
) -> None:
    """Observer: give a new value its tangent, if an input has one."""
    tangents = [
        operand.__dict__["tangents"].get(level) if "tangents" in operand.__dict__ else None
        for operand in inputs
    ]
    if not op.differentiable or all(tangent is None for tangent in tangents):
        return
    value.realize_cached_data()  # first, since a lazy constant forgets its op when it is computed
    former = value.op, value.inputs
    value.op, value.inputs = op, inputs  # kept only where a gradient is recorded
    try:
        tangent = op.tangent(tangents, value)
    finally:
        value.op, value.inputs = former
    if tangent is not None:
        _attach(level, carriers, value, tangent)
