"""Forward mode: each op that runs gives its value a tangent."""

import weakref
from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor, modes
from ..autograd.watch import watching
from ..ops import identity
from ..ops.kinds import or_zeros
from .arguments import Arguments, Function, check_outputs, matching
from .arrays import as_arrays, as_tensors, only_arrays
from .checkpoint import checkpoint
from .tree import flatten

__all__ = ["jvp", "push_forward"]


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `function` at `primals`, and its derivative along `tangents`: forward mode.

    The tangents are computed with the values, op by op, and no graph is kept (except in lazy mode):
    memory does not grow with the number of ops, and `backward` through the results computes them
    again. A tensor that is assigned to has no tangent from there on.

    `primals` are the arguments, and `tangents` have their structure, shapes and dtypes (for a
    Module a dict under the names of its parameters). Arrays give arrays.

    Raises:
        ValueError: structures or shapes of tangents and primals differ.
        TypeError: their dtypes differ, or `function` returns no tensor.

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
    if only_arrays(primals):
        return as_arrays(jvp(function, as_tensors(primals), as_tensors(tangents)))
    given = matching("tangents", tuple(tangents), "the primals", tuple(primals))

    def run() -> tuple[Any, Any]:
        return push_forward(function, Arguments(function, primals, range(len(primals))), given)

    # the graph for `backward` would grow with each op: a checkpoint makes it when it is needed
    return run() if modes.is_lazy.get() else checkpoint(run)


def push_forward(
    function: Function, arguments: Arguments, given: Sequence[Tensor]
) -> tuple[Any, Any]:
    """`jvp` along the tangents `given` of the tensors in `arguments`."""
    # a tangent is an attribute of its value, under a name of this call's own: calls nest
    carriers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
    name = f"tangent {id(carriers)}"
    remaining = iter(given)

    def attach(value: Any, tangent: Any) -> None:
        vars(value)[name] = tangent
        carriers[id(value)] = value

    def start(tensor: Tensor) -> Tensor:
        variable = identity(tensor)
        attach(variable, next(remaining))
        return variable

    def start_parameter(parameter: Tensor) -> None:
        tangent = next(remaining)
        if parameter.requires_grad:  # else it is frozen
            attach(parameter, tangent)

    def observe(value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
        """Give a new value its tangent, if an input has one."""
        tangents = [vars(operand).get(name) for operand in inputs]
        if not op.differentiable or all(tangent is None for tangent in tangents):
            vars(value).pop(name, None)  # a tensor that was assigned to is a constant
            return
        value.realize_cached_data()  # first: a lazy constant forgets its op when it is computed
        former = value.op, value.inputs
        value.op, value.inputs = op, inputs  # kept only where a gradient is recorded
        try:
            tangent = op.tangent(tangents, value)
        finally:
            value.op, value.inputs = former
        if tangent is not None:
            attach(value, tangent)

    try:
        observing = modes.override(modes.observers, (*modes.observers.get(), observe))
        with observing, watching(lambda tensor: name in vars(tensor)):
            value = function(*arguments.substituted(start, start_parameter))
            outputs, rebuild = flatten(value)
        check_outputs(function, outputs)
        tangents = [vars(output).get(name) for output in outputs]
    finally:
        for carrier in list(carriers.values()):  # a tangent's graph refers to it: a cycle
            vars(carrier).pop(name, None)
    return value, rebuild(or_zeros(tangents, outputs))
