"""Layers and optimizers by name: what a config may say of them follows from their classes.

Names come from `needle.nn` and `needle.optim`, the keys under them from the signatures: a layer
that is added to needle can be used in a config at once.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args

import numpy as np

from needle import Tensor, nn, no_grad, optim

from .datasets import Source
from .errors import UserError
from .kinds import (
    FLAG,
    NOTHING,
    NUMBER,
    REQUIRED,
    TEXT,
    WHOLE,
    Entry,
    Kind,
    join,
    pick,
    read_mapping,
    refused,
    whole,
)

__all__ = ["LAYER_LIST", "OPTIMIZER", "Part", "build_model", "check_model", "check_optimizer"]


@dataclass(frozen=True)
class Part:
    """A layer or an optimizer as a config describes it: a class and its keyword arguments."""

    cls: type
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.cls.__name__


def build_model(layers: list[Part], source: Source) -> nn.Sequential:
    """The model for images of `source`; draws its weights from needle's random state."""
    return nn.Sequential(*[_build_layer(layer, source) for layer in layers])


def _build_layer(layer: Part, source: Source) -> nn.Module:
    arguments = {name: _argument(value, source) for name, value in layer.arguments.items()}
    return layer.cls(**arguments)


def _argument(value: Any, source: Source) -> Any:
    if isinstance(value, list):  # layers inside a layer
        return build_model(value, source)
    return source.sizes.get(value, value) if isinstance(value, str) else value


def check_model(layers: list[Part], source: Source) -> None:
    """Send two blank images through the model, layer by layer.

    Raises:
        UserError: a layer cannot be built or does not fit what comes before it; there is nothing
            to train; or the output is not one number a class.
    """
    x = Tensor.make_const(np.zeros((2, *source.shape), "float32"))
    parameters = []
    for position, layer in enumerate(layers):
        try:
            module = _build_layer(layer, source).eval()
            with no_grad():
                x = module(x)
        except (ValueError, TypeError, MemoryError) as error:
            key = f"model.{position}.{layer.name}"
            raise UserError(f"{key}: does not work on {source.name}: {error}") from None
        parameters += module.parameters()
    if x.shape != (2, source.classes):
        raise UserError(
            f"model: found an output of shape {x.shape[1:]} for each image, allowed: "
            f"({source.classes},), one number for each class of {source.name}"
        )
    if not parameters:
        raise UserError("model: found no weights to train, allowed: at least one Linear layer")


def check_optimizer(optimizer: Part) -> None:
    """Build the optimizer for a single number: its class refuses impossible settings."""
    try:
        optimizer.cls([Tensor([0.0])], **optimizer.arguments)
    except (ValueError, TypeError) as error:
        raise UserError(f"optimizer: {error}") from None


def _read_layers(key: str, value: Any) -> list[Part]:
    if not isinstance(value, list):
        return [_read_layer(key, value)]
    return [_read_layer(join(key, position), item) for position, item in enumerate(value)]


def _read_layer(key: str, value: Any) -> Part:
    """A layer: its name, or a mapping of its name to its arguments."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise refused(key, value, "the name of a layer, or `Name: {argument: value}`")
    ((name, arguments),) = value.items()
    cls = pick(key, name, LAYERS, "layer")
    if not isinstance(arguments, dict):
        raise refused(join(key, name), arguments, "a mapping of arguments")
    return Part(cls, read_mapping(join(key, name), arguments, _arguments(cls)))


def _read_optimizer(key: str, value: dict) -> Part:
    if "name" not in value:
        raise UserError(f"{join(key, 'name')}: missing, allowed: {', '.join(OPTIMIZERS)}")
    cls = pick(join(key, "name"), value["name"], OPTIMIZERS, "optimizer")
    arguments = {name: argument for name, argument in value.items() if name != "name"}
    return Part(cls, read_mapping(key, arguments, _arguments(cls)))


_LAYERS_INSIDE = Kind(
    "a layer or a list of layers", lambda value: isinstance(value, str | dict | list), _read_layers
)
LAYER_LIST = Kind(
    "a list of layers", lambda value: isinstance(value, list) and len(value) > 0, _read_layers
)
OPTIMIZER = Kind(
    "a mapping with the name of an optimizer and its arguments",
    lambda value: isinstance(value, dict),
    _read_optimizer,
)

# the types of arguments that YAML can state
_KINDS: dict[Any, Kind] = {
    bool: FLAG,
    int: WHOLE,
    float: NUMBER,
    str: TEXT,
    NoneType: NOTHING,
    nn.Module: _LAYERS_INSIDE,
}
# a whole number without a default is the size of something
_SIZE = Kind(
    "a whole number of at least 1, pixels or classes",
    lambda value: value in ("pixels", "classes") or whole(1).accepts(value),
)


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _arguments(cls: type) -> dict[str, Entry]:
    """The arguments of a class that a config can state: those of the types in `_KINDS`."""
    entries = {}
    for name, parameter in inspect.signature(cls, eval_str=True).parameters.items():
        annotation = parameter.annotation
        types = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
        is_required = parameter.default is parameter.empty
        known = {**_KINDS, int: _SIZE} if is_required else _KINDS
        if parameter.kind not in _ANY_NUMBER and all(kind in known for kind in types):
            default = REQUIRED if is_required else parameter.default
            entries[name] = Entry(tuple(known[kind] for kind in types), default)
    return entries


def _is_layer(value: Any) -> bool:
    """Whether `value` is a module of one input, and a config can state all that it needs."""
    if not (inspect.isclass(value) and issubclass(value, nn.Module)):
        return False
    if value is nn.Sequential:  # a list of layers stands for it
        return False
    # self and the input; a loss takes labels as well
    return len(_needed(value.forward)) == 2 and set(_needed(value)) <= set(_arguments(value))


def _is_optimizer(value: Any) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, optim.Optimizer)
        and value is not optim.Optimizer
    )


def _needed(function: Any) -> list[str]:
    """The arguments that must be given."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER
    ]


def _public(module: Any, holds: Callable[[Any], bool]) -> dict[str, Any]:
    """The public names of a module whose values are of the wanted kind."""
    values = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in values.items() if holds(value)}


LAYERS = _public(nn, _is_layer)
OPTIMIZERS = _public(optim, _is_optimizer)
