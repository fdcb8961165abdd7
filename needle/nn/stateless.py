"""A module called with other parameters and buffers than its own."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..autograd import Tensor
from ..ops import Identity
from .module import Module, Parameter

__all__ = ["functional_call"]

_lock = threading.RLock()  # a module has one set of parameters at a time
_identity = Identity()


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """`module(*args, **kwargs)` with these tensors in the place of parameters and buffers.

    As torch.func.functional_call. The result can be differentiated by the tensors, and mapped over
    them by `vmap`, which makes an ensemble of models. What is not named keeps its value, tied
    parameters change together, and the module is as before after the call and after an error. New
    running statistics are written into a buffer that was given. Other threads that call
    `functional_call` wait.

    Args:
        module: its parameters and buffers are those of `named_parameters()` and `named_buffers()`.
        parameter_and_buffer_dicts: tensors by name, in a dict or in several.
        args: a tuple of arguments, or one argument.
        kwargs: further arguments by name.

    Raises:
        KeyError: the module has no parameter or buffer of that name.
        TypeError: a value is not a Tensor.
        ValueError: a value has another shape, or tied parameters get different values.

    Example:
        >>> import needle as ndl
        >>> layer, x = ndl.nn.Linear(2, 1), ndl.Tensor([[1.0, 2.0]])
        >>> zeros = {name: ndl.init.zeros_like(p) for name, p in layer.named_parameters()}
        >>> ndl.functional_call(layer, zeros, x).item()
        0.0
        >>> loss = lambda parameters: ndl.functional_call(layer, parameters, x).sum()
        >>> ndl.grad(loss)(zeros)["weight"].numpy()
        array([[1.],
               [2.]], dtype=float32)
    """
    if not isinstance(module, Module):
        raise TypeError(f"functional_call takes a Module, got {type(module).__name__}")
    dicts = parameter_and_buffer_dicts
    given: dict[str, Tensor] = {}
    for each in [dicts] if isinstance(dicts, Mapping) else dicts:
        given.update(each)
    arguments = args if isinstance(args, tuple) else (args,)
    with _lock, _replaced(module, _replacements(module, given)):
        return module(*arguments, **(kwargs or {}))


def _replacements(module: Module, given: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """The tensor that takes the place of each, by its id."""
    own = {path: each for path, each in module._walk("") if isinstance(each, Tensor)}
    found: dict[int, Tensor] = {}
    sources: dict[int, tuple[str, Tensor]] = {}
    for name, value in given.items():
        if name not in own:
            raise KeyError(
                f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}; "
                f"it has {', '.join(own) or 'none'}"
            )
        target = own[name]
        if not isinstance(value, Tensor):
            raise TypeError(
                f"functional_call: {name} expected a Tensor, got {type(value).__name__}"
            )
        if value.shape != target.shape:
            raise ValueError(f"functional_call: {name} has shape {target.shape}, got {value.shape}")
        former, source = sources.setdefault(id(target), (name, value))
        if source is not value:
            raise ValueError(
                f"functional_call: {former} and {name} are one tensor, and got different values"
            )
        # a Parameter, so that the module finds it as one, and yet a value of the graph
        is_parameter = isinstance(target, Parameter) and not isinstance(value, Parameter)
        found[id(target)] = Parameter.make_from_op(_identity, (value,)) if is_parameter else value
    return found


@contextmanager
def _replaced(module: Module, tensors: Mapping[int, Tensor]) -> Iterator[None]:
    """Attributes with tensors in the place of those with the given ids, inside a block."""
    former: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for part in {id(each): each for _, each in module.named_modules()}.values():
            attributes = vars(part)
            for name, value in list(attributes.items()):
                changed = _with(value, tensors)
                if changed is not value:
                    former.append((attributes, name, value))
                    attributes[name] = changed
        yield
    finally:
        for attributes, name, value in former:
            attributes[name] = value


def _with(value: Any, tensors: Mapping[int, Tensor]) -> Any:
    """A value, or a nested container; itself if nothing in it is to be replaced."""
    if isinstance(value, Tensor):
        return tensors.get(id(value), value)
    if not isinstance(value, list | tuple | dict):
        return value
    items = list(value.values() if isinstance(value, dict) else value)
    changed = [_with(item, tensors) for item in items]
    if all(new is old for new, old in zip(changed, items, strict=True)):
        return value
    if isinstance(value, dict):
        result = copy.copy(value)  # a subclass may hold more than its entries
        result.update(zip(value, changed, strict=True))
        return result
    return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)
