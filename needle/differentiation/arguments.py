"""Checks of the arguments and the results of functions that are differentiated."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor
from .tree import flatten, paths, substituted

__all__ = ["Arguments", "check_outputs", "matching", "scalar_value", "with_gradients"]

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Arguments:
    """The arguments of a function, some of which it is differentiated with respect to.

    `tensors` are those to differentiate by; `rebuild` puts a value for each of them into the
    structure of the argument that `argnums` names, or of a tuple of arguments if it is a sequence.
    """

    def __init__(self, function: Function, args: Sequence[Any], argnums: Argnums):
        self._args = args
        positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ValueError(
                    f"{name_of(function)} got {len(args)} arguments: no argnums {position}"
                )
        self._positions = [position % len(args) for position in positions]
        if len(set(self._positions)) < len(positions):
            raise ValueError(f"{name_of(function)}: argnums {argnums} name an argument twice")
        for position in self._positions:
            _check_differentiable(function, position, flatten(args[position])[0])
        self._selected = tuple(args[position] for position in self._positions)
        self.tensors, rebuild = flatten(self._selected)
        is_single = isinstance(argnums, int)
        self.rebuild = (lambda values: rebuild(values)[0]) if is_single else rebuild

    def substituted(
        self, of_tensor: Callable[[Tensor], Tensor], of_parameter: Callable[[Tensor], Any]
    ) -> list[Any]:
        """All arguments, with of_tensor(tensor) for the tensors; see `tree.substituted`."""
        replaced = substituted(self._selected, of_tensor, of_parameter)
        args = list(self._args)
        for position, argument in zip(self._positions, replaced, strict=True):
            args[position] = argument
        return args


def _check_differentiable(function: Function, position: int, tensors: Sequence[Tensor]) -> None:
    what = f"argument {position} of {name_of(function)} holds"
    if not tensors:
        raise TypeError(
            f"{what} no tensor to differentiate by: wrap numbers and arrays with needle.Tensor(...)"
        )
    for tensor in tensors:
        if tensor.dtype.kind != "f":
            raise TypeError(
                f"{what} a tensor of {tensor.dtype}: derivatives are taken by floating-point "
                "tensors, use astype('float64')"
            )


def with_gradients(function: Function, evaluate: Callable[[Function, Sequence[Any]], Any]) -> Any:
    """A function of the arguments of `function` that gives evaluate(function, arguments).

    Keyword arguments are bound to the function that `evaluate` gets: they are not differentiated.
    """

    @functools.wraps(function)
    def differentiated(*args: Any, **options: Any) -> Any:
        bound = functools.partial(function, **options)
        return evaluate(functools.update_wrapper(bound, function) if options else function, args)

    return differentiated


def check_outputs(function: Function, outputs: Sequence[Tensor]) -> None:
    if not outputs:
        raise TypeError(f"{name_of(function)} returned no tensor")


def scalar_value(function: Function, result: Any, has_aux: bool) -> Tensor:
    """The tensor of one element in the result of a function for `grad`."""
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(f"{name_of(function)} must return (value, aux), as has_aux=True says")
    value = result[0] if has_aux else result
    if not isinstance(value, Tensor):
        raise TypeError(f"{name_of(function)} must return a Tensor, got {type(value).__name__}")
    if value.size != 1:
        raise ValueError(
            f"grad needs a function that gives one number, but {name_of(function)} gave shape "
            f"{value.shape}: sum it, or use jacobian"
        )
    return value


def matching(what: str, given: Any, like_what: str, like: Any) -> list[Tensor]:
    """The tensors of `given`, which must have the structure, shapes and dtypes of `like`."""
    # by path, because dicts may be in another order
    found = dict(zip(paths(given), flatten(given)[0], strict=True))
    expected = dict(zip(paths(like), flatten(like)[0], strict=True))
    if found.keys() != expected.keys():
        raise ValueError(
            f"the structure of the {what} differs from that of {like_what}: "
            f"tensors at {list(found)}, expected at {list(expected)}"
        )
    for path, model in expected.items():
        tensor = found[path]
        for attribute, error in (("shape", ValueError), ("dtype", TypeError)):
            if getattr(tensor, attribute) != getattr(model, attribute):
                raise error(
                    f"the {what} differ from {like_what}{path and ' at ' + path}: {attribute} "
                    f"{getattr(tensor, attribute)}, expected {getattr(model, attribute)}"
                )
    return [found[path] for path in expected]


def name_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)
