"""Names of arguments: NumPy's, PyTorch's and needle's are understood alike.

`axis=`, `dim=` and `keepdim=` do what `axes=` and `keepdims=` do, in every function and method.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from ..autograd import Tensor
from ..autograd.tensor import as_constant
from ..device import default_device

__all__ = ["AnyName", "as_tensors", "by_any_name", "speller"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

SYNONYMS = (
    ("axes", "axis", "dim", "dims"),
    ("keepdims", "keepdim"),
    ("ddof", "correction", "unbiased"),
    ("low", "min", "a_min"),
    ("high", "max", "a_max"),
    ("k", "diagonal"),
    ("shift", "shifts"),
    ("ord", "p"),
    ("method", "interpolation"),
    ("in_axes", "in_dims"),
    ("out_axes", "out_dims"),
    ("axis1", "dim1"),
    ("axis2", "dim2"),
)


def speller(function: str, names: Iterable[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What puts the names of the parameters of a function into keyword arguments.

    A keyword that is no synonym of a parameter, or a parameter given twice, is a TypeError.
    """

    @functools.cache  # at the first call with keywords
    def known() -> dict[str, str]:
        found = {name: name for name in names}
        for group in SYNONYMS:
            here = [name for name in group if name in found]
            if len(here) == 1:
                found.update(dict.fromkeys(group, here[0]))
        return found

    def spelled(options: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for given, value in options.items():
            name = known().get(given)
            if name is None:
                raise TypeError(f"{function}() has no argument {given!r}")
            if name in result:
                raise TypeError(f"{function}() got {name!r} twice: as {' and '.join(options)}")
            result[name] = value
        return result

    return spelled


class AnyName(Protocol[P, R_co]):
    """The type of a function that takes synonyms: its own signature, or keywords of the table."""

    __name__: str

    @overload
    def __call__(self, *args: P.args, **options: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self,
        a: Any,
        /,
        *args: Any,
        axes: Any = ...,
        axis: Any = ...,
        dim: Any = ...,
        dims: Any = ...,
        keepdims: bool = ...,
        keepdim: bool = ...,
        ddof: int = ...,
        correction: int = ...,
        unbiased: bool = ...,
        low: Any = ...,
        min: Any = ...,
        a_min: Any = ...,
        high: Any = ...,
        max: Any = ...,
        a_max: Any = ...,
        shift: Any = ...,
        shifts: Any = ...,
        k: Any = ...,
        diagonal: Any = ...,
        ord: Any = ...,
        p: Any = ...,
        method: str = ...,
        interpolation: str = ...,
        in_axes: Any = ...,
        in_dims: Any = ...,
        out_axes: Any = ...,
        out_dims: Any = ...,
        axis1: int = ...,
        dim1: int = ...,
        axis2: int = ...,
        dim2: int = ...,
    ) -> R_co: ...


def as_tensors(name: str, operands: Iterable[Any]) -> list[Tensor]:
    """The operands of the function `name`, with constants in place of arrays and lists.

    These live on the device of the first Tensor among them.
    """
    given = list(operands)
    tensors = [each for each in given if isinstance(each, Tensor)]
    if len(tensors) == len(given):
        return tensors
    device = tensors[0].device if tensors else default_device()
    return [
        each if isinstance(each, Tensor) else as_constant(name, place, each, device)
        for place, each in enumerate(given)
    ]


def by_any_name(function: Callable[P, R]) -> AnyName[P, R]:
    """Decorator: `function` takes the synonyms of its parameters as keywords.

    An array or a list of numbers in the place of one of the first Tensors becomes a constant.
    PyTorch's `dim` without `correction` is a warning for a function with `ddof`, whose default is
    NumPy's.
    """
    call: Callable[..., R] = function
    name = function.__name__
    parameters = inspect.signature(function).parameters
    spelled = speller(name, parameters)
    has_ddof = "ddof" in parameters
    kinds = [each.annotation for each in parameters.values()]
    count = next((at for at, kind in enumerate(kinds) if kind is not Tensor), len(kinds))

    @functools.wraps(function)
    def accepting(*args: Any, **options: Any) -> Any:
        if count and args and (not isinstance(args[0], Tensor) or count > 1):
            args = (*as_tensors(name, args[:count]), *args[count:])
        if not options:
            return call(*args)
        ours = spelled(options)
        if has_ddof and "dim" in options and "ddof" not in ours:
            warnings.warn(
                f"{name}(dim=...) divides by n, as in NumPy; PyTorch divides by n - 1: say "
                "correction=0 or correction=1",
                stacklevel=2,
            )
        return call(*args, **ours)

    return cast(AnyName[P, R], accepting)
