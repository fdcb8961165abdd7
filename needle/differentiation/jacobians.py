"""Jacobians, Hessians and Hessian-vector products."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, modes
from ..ops import reshape, stack
from ..ops.kinds import constant_like
from .arguments import Argnums, Arguments, Function, check_outputs, with_gradients
from .forward import jvp, push_forward
from .reverse import GradientTape, grad
from .tree import flatten

__all__ = ["hessian", "hvp", "jacobian"]


def jacobian(function: Function, mode: str = "reverse", argnums: Argnums = 0) -> Function:
    """A function of the same arguments that returns all partial derivatives of `function`.

    The derivative of a tensor of shape `out` with respect to one of shape `in` has shape
    `out + in`. Containers nest: each tensor in the result of `function` is replaced by the
    structure of the argument.

    Args:
        function: returns tensors of any shapes.
        mode: "reverse" costs a backward pass for each element of the results, "forward" an
            evaluation for each element of the arguments.
        argnums: the position of the argument to differentiate with respect to, or several.

    Example:
        >>> import needle as ndl
        >>> ndl.jacobian(lambda x: x * x)(ndl.Tensor([1.0, 2.0])).numpy()
        array([[2., 0.],
               [0., 4.]])
    """
    if mode not in _JACOBIANS:
        raise ValueError(f"jacobian: mode is one of {', '.join(_JACOBIANS)}, got {mode!r}")
    return with_gradients(function, functools.partial(_JACOBIANS[mode], argnums))


def _reverse_jacobian(argnums: Any, function: Function, args: Sequence[Any]) -> Any:
    tape = GradientTape(function, args, argnums)
    check_outputs(function, tape.outputs)
    rows = [[tape.pull_back([y], [unit]) for unit in _units_like(y)] for y in tape.outputs]
    with modes.enable_grad(tape.keeps_graph):
        blocks = [
            [_block(y, x, [row[j] for row in rows[i]], 0) for j, x in enumerate(tape.variables)]
            for i, y in enumerate(tape.outputs)
        ]
    return tape.rebuild_outputs([tape.rebuild(block) for block in blocks])


def _forward_jacobian(argnums: Any, function: Function, args: Sequence[Any]) -> Any:
    arguments = Arguments(function, args, argnums)
    variables = arguments.tensors
    zeros = [constant_like(variable, 0) for variable in variables]
    value = None
    columns: list[list[Any]] = [[] for _ in variables]
    for index, variable in enumerate(variables):
        for unit in _units_like(variable):
            along = [*zeros[:index], unit, *zeros[index + 1 :]]
            value, tangents = push_forward(function, arguments, along)
            columns[index].append(flatten(tangents)[0])
    if value is None:  # nothing but empty arguments
        value = function(*args)
    outputs, rebuild_outputs = flatten(value)
    blocks = [
        [_block(y, x, [each[i] for each in columns[j]], -1) for j, x in enumerate(variables)]
        for i, y in enumerate(outputs)
    ]
    return rebuild_outputs([arguments.rebuild(block) for block in blocks])


_JACOBIANS = {"reverse": _reverse_jacobian, "forward": _forward_jacobian}


def hessian(function: Function, argnums: Argnums = 0) -> Function:
    """A function of the same arguments that returns all second derivatives of `function`.

    Shapes and containers are those of `jacobian` of `grad`.

    Example:
        >>> import needle as ndl
        >>> ndl.hessian(lambda x: (x**3).sum())(ndl.Tensor([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]])
    """
    return jacobian(grad(function, argnums), argnums=argnums)


def hvp(function: Function, primals: Any, vectors: Any) -> Any:
    """The product Hessian·vectors, by forward over reverse mode, without the Hessian.

    `function` returns a tensor of one element; `primals` is its argument or a tuple of arguments,
    and `vectors` and the result have the same structure.

    Example:
        >>> import needle as ndl
        >>> x, vector = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 0.0])
        >>> ndl.hvp(lambda x: (x**3).sum(), x, vector).numpy()
        array([6., 0.])
    """
    if type(primals) is not tuple:
        return hvp(function, (primals,), (vectors,))[0]
    return jvp(grad(function, tuple(range(len(primals)))), primals, vectors)[1]


def _units_like(tensor: Tensor) -> list[Tensor]:
    """For each element a tensor that is 1 there and 0 elsewhere."""
    rows = np.eye(tensor.size, dtype=tensor.dtype).reshape(tensor.size, *tensor.shape)
    return [Tensor(row, device=tensor.device, requires_grad=False) for row in rows]


def _block(y: Tensor, x: Tensor, parts: list[Tensor], axis: int) -> Tensor:
    """stack(parts, axis), of which there may be none, in the shape of y and then x."""
    shape = y.shape + x.shape
    if not parts:
        return Tensor.make_const(y.device.full(shape, 0, y.dtype))
    return reshape(stack(parts, axis), shape)
