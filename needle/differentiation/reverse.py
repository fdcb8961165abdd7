"""Reverse mode: gradients and vector-Jacobian products of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor, compute_adjoints, find_topo_sort, modes
from ..ops import identity
from .arguments import (
    check_differentiable,
    check_outputs,
    full_like,
    matching,
    positions,
    scalar_value,
    with_options,
)
from .tree import flatten, substituted

__all__ = ["Recording", "grad", "value_and_grad", "vjp"]


class Recording:
    """One evaluation of a function, recorded so that it can be pulled back to its arguments.

    `variables` are the tensors to differentiate by: a copy of each argument, through which
    outer transformations see the argument itself, and the parameters of Modules as they are. A
    parameter that requires no gradient is frozen: a constant.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int]):
        args = list(args)
        self._selected: list[tuple[int, Callable[..., Any]]] = []
        self.variables: list[Tensor] = []
        own: set[Tensor] = set()

        def variable_for(tensor: Tensor) -> Tensor:
            variable = identity(tensor)
            if not variable.requires_grad:
                variable.requires_grad = True
                own.add(variable)
            self.variables.append(variable)
            return variable

        with modes.enable_grad():
            for argnum in argnums:
                tensors, rebuild = flatten(args[argnum])
                check_differentiable(function, argnum, tensors)
                args[argnum] = substituted(args[argnum], variable_for, self.variables.append)
                self._selected.append((len(tensors), rebuild))
            self.result = function(*args)
        self.outputs, self.rebuild_outputs = flatten(self.result)
        captured = find_topo_sort(self.outputs, known=self.variables)
        self._is_shared = any(
            variable.requires_grad for variable in self.variables if variable not in own
        ) or any(
            node.requires_grad and not any(operand.requires_grad for operand in node.inputs)
            for node in captured
        )

    @property
    def keeps_graph(self) -> bool:
        """Whether somebody else can differentiate the derivative, who needs its graph."""
        return self._is_shared and modes.grad_enabled.get()

    def pull_back(self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[Tensor]:
        """The adjoint of each variable, zeros where the outputs do not depend on it."""
        pairs = [
            (output, cotangent)
            for output, cotangent in zip(outputs, cotangents, strict=True)
            if output.requires_grad
        ]
        is_shared = self._is_shared or any(cotangent.requires_grad for cotangent in cotangents)
        with modes.enable_grad(is_shared and modes.grad_enabled.get()):
            adjoints = compute_adjoints(
                [output for output, _ in pairs], [cotangent for _, cotangent in pairs],
                self.variables,
            )  # fmt: skip
        return [
            full_like(variable, 0) if adjoint is None else adjoint
            for variable, adjoint in zip(self.variables, adjoints, strict=True)
        ]

    def arrange(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """One value a variable, in the structure of each differentiated argument."""
        arranged = []
        position = 0
        for count, rebuild in self._selected:
            arranged.append(rebuild(values[position : position + count]))
            position += count
        return tuple(arranged)

    def released(self, tree: Any) -> Any:
        """A result, outside the graph unless somebody else can differentiate it."""
        if self.keeps_graph:
            return tree
        with modes.no_grad():
            return substituted(tree, identity)  # unlike detached ones, they keep their tangents


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function of the same arguments that gives the value of `function` and its gradient.

    Keyword arguments are passed on. Parameters of a Module that require no gradient are frozen:
    theirs is zero.

    Args:
        function: gives a tensor of one element.
        argnums: the position of the argument to differentiate by, or several.
        has_aux: whether `function` gives a pair (value, anything); the first result of the new
            function is then that pair.

    Raises:
        ValueError: the value has several elements, or there is no argument `argnums`.
        TypeError: the value is no tensor, or the argument holds no floating-point tensors.

    Example:
        >>> import needle as ndl
        >>> value, gradient = ndl.value_and_grad(lambda x: (x * x).sum())(ndl.Tensor([1.0, 2.0]))
        >>> value.item(), gradient.numpy()
        (5.0, array([2., 4.]))
    """

    @functools.wraps(function)
    def differentiated(*args: Any, **options: Any) -> Any:
        call = with_options(function, options)
        recording = Recording(call, args, positions(function, argnums, args))
        value = scalar_value(function, recording.result, has_aux)
        gradients = recording.arrange(recording.pull_back([value], [full_like(value, 1)]))
        gradient = gradients[0] if isinstance(argnums, int) else gradients
        return recording.released(recording.result), gradient

    return differentiated


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function of the same arguments that gives the gradient of `function`.

    Arguments and errors as in `value_and_grad`. With `has_aux` it gives (gradient, anything).

    Example:
        >>> import needle as ndl
        >>> cube = lambda x: x**3
        >>> ndl.grad(cube)(ndl.Tensor(2.0)).item(), ndl.grad(ndl.grad(cube))(ndl.Tensor(2.0)).item()
        (12.0, 12.0)
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def differentiated(*args: Any, **options: Any) -> Any:
        value, gradient = both(*args, **options)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The value of `function` at `primals`, and the function that pulls a cotangent back.

    The latter takes cotangents in the structure of the value, and gives a tuple with the
    product cotangent·Jacobian for each primal. It may be called several times.

    Example:
        >>> import needle as ndl
        >>> value, pull_back = ndl.vjp(lambda x: x * x, ndl.Tensor([1.0, 2.0]))
        >>> pull_back(ndl.Tensor([1.0, 10.0]))[0].numpy()
        array([ 2., 40.])
    """
    recording = Recording(function, primals, range(len(primals)))
    check_outputs(function, recording.outputs)

    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        given = matching("cotangents", cotangents, "the value", recording.result)
        return recording.arrange(recording.pull_back(recording.outputs, given))

    return recording.released(recording.result), pull_back
