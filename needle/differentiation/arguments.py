"""Checks of the arguments and the results of functions that are differentiated."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor
from .arrays import as_arrays, as_tensors, only_arrays
from .tree import flatten, paths, substituted

__all__ = ["Arguments", "check_outputs", "matching", "name_of", "with_gradients"]

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Arguments:
    """The arguments of a function, some of which it is differentiated with respect to.

    `tensors` are those to differentiate by; `rebuild` puts a value for each of them into the
    structure of the argument that `argnums` names, or of a tuple of arguments if it is a sequence.
    """

    def __init__(self, function: Function, args: Sequence[Any], argnums: Argnums):
        self._args = args
        name = name_of(function)
        positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ValueError(f"{name} got {len(args)} arguments: no argnums {position}")
        self._positions = [position % len(args) for position in positions]
        if len(set(self._positions)) < len(positions):
            raise ValueError(f"{name}: argnums {argnums} name an argument twice")
        for position in self._positions:
            tensors, _ = flatten(args[position])
            what = f"argument {position} of {name} holds"
            if not tensors:
                raise TypeError(
                    f"{what} no tensor to differentiate by: wrap numbers and arrays with "
                    "needle.Tensor(...)"
                )
            for tensor in tensors:
                if tensor.dtype.kind != "f":
                    raise TypeError(
                        f"{what} a tensor of {tensor.dtype}: derivatives are taken by "
                        "floating-point tensors, use astype('float64')"
                    )
        self._selected = tuple(args[position] for position in self._positions)
        self.tensors, rebuild = flatten(self._selected)
        is_single = isinstance(argnums, int)
        self.rebuild = (lambda values: rebuild(values)[0]) if is_single else rebuild

    def substituted(
        self, of_tensor: Callable[[Tensor], Tensor], of_parameter: Callable[[Tensor], Any]
    ) -> list[Any]:
        """All arguments, with of_tensor(tensor) for the tensors; see `tree.substituted`."""
        values = substituted(self._selected, of_tensor, of_parameter)
        replaced = dict(zip(self._positions, values, strict=True))
        return [replaced.get(position, given) for position, given in enumerate(self._args)]


def with_gradients(function: Function, evaluate: Callable[[Function, Sequence[Any]], Any]) -> Any:
    """A function of the arguments of `function` that gives evaluate(function, arguments).

    Keyword arguments are bound to the function that `evaluate` gets: they are not differentiated.
    Where the arguments hold NumPy arrays and no Tensors, the function gets Tensors, and the results
    are arrays.
    """

    @functools.wraps(function)
    def differentiated(*args: Any, **options: Any) -> Any:
        bound = function
        if options:
            bound = functools.update_wrapper(functools.partial(function, **options), function)
        if only_arrays(args):
            return as_arrays(evaluate(bound, as_tensors(args)))
        return evaluate(bound, args)

    return differentiated


def check_outputs(function: Function, outputs: Sequence[Tensor]) -> None:
    if not outputs:
        raise TypeError(f"{name_of(function)} returned no tensor")


def matching(what: str, given: Any, like_what: str, like: Any) -> list[Tensor]:
    """The tensors of `given`, which must have the structure, shapes and dtypes of `like`."""
    # by path, because dicts may be in another order
    found, expected = paths(given), paths(like)
    if found.keys() != expected.keys():
        raise ValueError(
            f"the structure of the {what} differs from that of {like_what}: "
            f"tensors at {list(found)}, expected at {list(expected)}"
        )
    for path, model in expected.items():
        for attribute, error in (("shape", ValueError), ("dtype", TypeError)):
            value, wanted = getattr(found[path], attribute), getattr(model, attribute)
            if value != wanted:
                where = f"{like_what}{path and ' at ' + path}"
                raise error(
                    f"the {what} differ from {where}: {attribute} {value}, expected {wanted}"
                )
    return [found[path] for path in expected]


def name_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)
