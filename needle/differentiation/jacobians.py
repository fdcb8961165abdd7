"""All derivatives of a function: Jacobians and Hessians, and Hessian-vector products."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, modes
from ..ops import reshape, stack
from ..ops.kinds import constant_like
from .arguments import Arguments, Function, check_outputs, with_gradients
from .forward import jvp, push_forward
from .reverse import GradientTape, grad
from .tree import flatten

__all__ = ["hessian", "hvp", "jacobian"]


def jacobian(
    function: Callable[..., Any], mode: str = "reverse", argnums: int | Sequence[int] = 0
) -> Callable[..., Any]:
    """A function of the same arguments that gives all partial derivatives of `function`.

    A tensor of shape `out`, differentiated by one of shape `in`, gives a tensor `out + in`;
    containers nest, those of the results outside.

    Args:
        function: gives tensors of any shapes.
        mode: "reverse" costs a walk back for each element of the results, "forward" an evaluation
            for each element of the arguments: take the one with fewer.
        argnums: the argument to differentiate by, or several.

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
    blocks = []
    for output in tape.outputs:
        rows = [tape.pull_back([output], [unit]) for unit in _units_like(output)]
        with modes.enable_grad(tape.keeps_graph):
            by_variable = [
                _stacked([row[index] for row in rows], output, variable, axis=0)
                for index, variable in enumerate(tape.variables)
            ]
        blocks.append(tape.rebuild(by_variable))
    return tape.rebuild_outputs(blocks)


def _forward_jacobian(argnums: Any, function: Function, args: Sequence[Any]) -> Any:
    arguments = Arguments(function, args, argnums)
    variables = arguments.tensors
    zeros = [constant_like(variable, 0) for variable in variables]
    columns: list[list[Any]] = []  # of each variable, the tangents of all outputs
    value = None
    for index, variable in enumerate(variables):
        columns.append([])
        for unit in _units_like(variable):
            tangents = [*zeros[:index], unit, *zeros[index + 1 :]]
            value, tangent = push_forward(function, arguments, tangents)
            columns[-1].append(flatten(tangent)[0])
    if value is None:  # nothing but empty arguments
        value = function(*args)
    outputs, rebuild_outputs = flatten(value)
    return rebuild_outputs(
        [
            arguments.rebuild(
                [
                    _stacked([tangents[number] for tangents in column], output, variable, axis=-1)
                    for column, variable in zip(columns, variables, strict=True)
                ]
            )
            for number, output in enumerate(outputs)
        ]
    )


_JACOBIANS = {"reverse": _reverse_jacobian, "forward": _forward_jacobian}


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function of the same arguments that gives all second derivatives of `function`.

    Shapes and containers as in `jacobian` of `grad`.

    Example:
        >>> import needle as ndl
        >>> ndl.hessian(lambda x: (x**3).sum())(ndl.Tensor([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]])
    """
    return jacobian(grad(function, argnums), argnums=argnums)


def hvp(function: Callable[..., Any], primals: Any, vectors: Any) -> Any:
    """The product Hessian·vectors, at the cost of a few gradients: forward over reverse.

    Args:
        function: gives a tensor of one element.
        primals: its argument, or a tuple of arguments.
        vectors: in the structure of `primals`.

    Returns:
        In the structure of `primals`.

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
    rows = np.eye(tensor.size, dtype=tensor.dtype)
    return [Tensor.make_const(row.reshape(tensor.shape)) for row in rows]


def _stacked(parts: list[Tensor], output: Tensor, variable: Tensor, axis: int) -> Tensor:
    """Rows or columns of a Jacobian as a tensor of shape output.shape + variable.shape."""
    shape = output.shape + variable.shape
    if not parts:
        return Tensor.make_const(np.zeros(shape, output.dtype))
    return reshape(stack(parts, axis), shape)
