"""What the arguments and results of differentiated functions must be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .tree import flatten, paths

__all__ = [
    "check_differentiable",
    "check_outputs",
    "full_like",
    "matching",
    "positions",
    "scalar_value",
    "with_options",
]


def positions(
    function: Callable[..., Any], argnums: int | Sequence[int], args: Sequence[Any]
) -> tuple[int, ...]:
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for position in positions:
        if not -len(args) <= position < len(args):
            raise ValueError(
                f"{name_of(function)} got {len(args)} arguments: no argnums {position}"
            )
    positions = tuple(position % len(args) for position in positions)
    if len(set(positions)) < len(positions):
        raise ValueError(f"{name_of(function)}: argnums {argnums} name an argument twice")
    return positions


def with_options(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """`function` with keyword arguments, which are not differentiated."""
    if not options:
        return function
    return functools.update_wrapper(functools.partial(function, **options), function)


def check_differentiable(
    function: Callable[..., Any], argnum: int, tensors: Sequence[Tensor]
) -> None:
    if not tensors:
        raise TypeError(
            f"argument {argnum} of {name_of(function)} holds no tensor to differentiate by: "
            "wrap numbers and arrays with needle.Tensor(...)"
        )
    for tensor in tensors:
        if tensor.dtype.kind != "f":
            raise TypeError(
                f"argument {argnum} of {name_of(function)} holds a tensor of {tensor.dtype}: "
                "derivatives are taken by floating-point tensors, use astype('float64')"
            )


def check_outputs(function: Callable[..., Any], outputs: Sequence[Tensor]) -> None:
    if not outputs:
        raise TypeError(f"{name_of(function)} returned no tensor")


def scalar_value(function: Callable[..., Any], result: Any, has_aux: bool) -> Tensor:
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
    found = dict(zip(paths(given), flatten(given)[0], strict=True))  # dicts may be in another order
    if found.keys() != set(paths(like)):
        raise ValueError(
            f"the structure of the {what} differs from that of {like_what}: "
            f"tensors at {paths(given)}, expected at {paths(like)}"
        )
    tensors = [found[path] for path in paths(like)]
    for path, tensor, model in zip(paths(like), tensors, flatten(like)[0], strict=True):
        if tensor.shape != model.shape:
            raise ValueError(
                f"the {what} differ from {like_what}{path and ' at ' + path}: "
                f"shape {tensor.shape}, expected {model.shape}"
            )
        if tensor.dtype != model.dtype:
            raise TypeError(
                f"the {what} differ from {like_what}{path and ' at ' + path}: "
                f"dtype {tensor.dtype}, expected {model.dtype}"
            )
    return tensors


def full_like(tensor: Tensor, value: float) -> Tensor:
    return Tensor.make_const(np.full_like(tensor.realize_cached_data(), value))


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
