"""Parameter, a tensor that is trained, and what may be assigned in its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..autograd import Tensor
from ..autograd.watch import check_unwatched

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that is a parameter of a Module: `Module.parameters()` lists it.

    Example:
        >>> import needle as ndl
        >>> weight = ndl.nn.Parameter(ndl.Tensor([1.0, 2.0]))
        >>> weight.requires_grad
        True
    """

    __slots__ = ()
    _is_parameter = True


def assigned(owner: Any, name: str, former: Parameter | None, value: Any) -> Any:
    """What `owner.name` holds after `value` is assigned in the place of the parameter `former`.

    A Parameter or None takes its place. The values of a Tensor are copied into `former`, which
    optimizers go on training: it must have the same dtype and shape, and no graph.

    Raises:
        TypeError: `value` is something else.
    """
    if value is None or isinstance(value, Parameter):
        return value
    place = f"as the parameter {name!r} of {type(owner).__name__}"
    if not isinstance(value, Tensor):
        raise TypeError(
            f"cannot assign {type(value).__name__} {place}: expected a Parameter, None, or a "
            "Tensor with new values"
        )
    if former is None:
        raise TypeError(f"cannot assign a Tensor {place}, which is None: use nn.Parameter(tensor)")
    if value.requires_grad and not value.is_leaf():
        raise TypeError(
            f"cannot assign a Tensor made by {type(value.op).__name__} {place}, which would not "
            f"be trained any more: assign tensor.detach(), or change the values by "
            f"`{name}.data = ...` or under needle.no_grad()"
        )
    try:
        former.data = Tensor(value, device=former.device, requires_grad=False)
    except ValueError as error:
        raise TypeError(f"cannot assign a Tensor {place}: {error}") from None
    return former


def check_uncompiled(value: Any) -> None:
    """Refuse a compiled module as a part of a module, whose `parameters()` would lack its own."""
    if hasattr(getattr(value, "__wrapped__", None), "named_parameters"):
        raise TypeError(
            f"a module cannot hold a compiled {type(value.__wrapped__).__name__}, whose parameters "
            "would be missing in parameters(): compile the whole model, or the step that trains it"
        )


def check_buffer(name: str, value: Any) -> None:
    """Raise a TypeError for what cannot be a buffer, which is not trained."""
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise TypeError(f"register_buffer takes a Tensor or None, got {type(value).__name__}")
    if isinstance(value, Parameter):
        raise TypeError(
            f"register_buffer: {name!r} is a Parameter, and a buffer is not trained: set it as an "
            "attribute, or pass its detach()"
        )
    check_unwatched(value, "register_buffer", "give it to a function as an argument")


def check_listed(
    owner: Any, entries: Iterable[tuple[str, Any]], known: frozenset[str]
) -> frozenset[str]:
    """The names of the Parameters in lists and dicts, which `known` were before.

    Raises:
        TypeError: a Tensor that requires a gradient took the place of a Parameter.
    """
    names = set()
    for name, value in entries:
        if isinstance(value, Parameter):
            if "." in name:
                names.add(name)
        elif name in known and isinstance(value, Tensor) and value.requires_grad:
            raise TypeError(
                f"a Tensor took the place of the parameter {name!r} of {type(owner).__name__}, and "
                "would not be trained: change the values by `parameter.data = ...`, or wrap the "
                "Tensor in nn.Parameter(...)"
            )
    return frozenset(names)
