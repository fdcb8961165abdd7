"""Names of arguments: NumPy's, PyTorch's and needle's are understood alike.

`axis=`, `dim=` and `keepdim=` do what `axes=` and `keepdims=` do, in every function and method.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = ["by_any_name", "speller"]

R = TypeVar("R")

SYNONYMS = (
    ("axes", "axis", "dim", "dims"),
    ("keepdims", "keepdim"),
    ("ddof", "correction", "unbiased"),
    ("low", "min", "a_min"),
    ("high", "max", "a_max"),
    ("shift", "shifts"),
    ("ord", "p"),
    ("axis1", "dim1"),
    ("axis2", "dim2"),
)


def speller(function: str, names: Iterable[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What puts the names of the parameters of a function into keyword arguments.

    A keyword that is no synonym of a parameter, or a parameter given twice, is a TypeError.
    """
    known = {name: name for name in names}
    for group in SYNONYMS:
        here = [name for name in group if name in known]
        if len(here) == 1:
            known.update(dict.fromkeys(group, here[0]))

    def spelled(options: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for given, value in options.items():
            name = known.get(given)
            if name is None:
                raise TypeError(f"{function}() has no argument {given!r}")
            if name in result:
                raise TypeError(f"{function}() got {name!r} twice: as {' and '.join(options)}")
            result[name] = value
        return result

    return spelled


def by_any_name(function: Callable[..., R]) -> Callable[..., R]:
    """Decorator: `function` takes the synonyms of its parameters as keywords.

    PyTorch's `dim` without `correction` is a warning for a function with `ddof`, whose default is
    NumPy's.
    """
    name = function.__name__
    parameters = inspect.signature(function).parameters
    spelled = speller(name, parameters)
    has_ddof = "ddof" in parameters

    @functools.wraps(function)
    def accepting(*args: Any, **options: Any) -> R:
        if not options:
            return function(*args)
        ours = spelled(options)
        if has_ddof and "dim" in options and "ddof" not in ours:
            warnings.warn(
                f"{name}(dim=...) divides by n, as in NumPy; PyTorch divides by n - 1: say "
                "correction=0 or correction=1",
                stacklevel=2,
            )
        return function(*args, **ours)

    return accepting
