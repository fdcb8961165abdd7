"""Layers, optimizers, schedulers and transforms by name.

Names come from `needle.nn`, `needle.optim` and `needle.data`, and their keys from the signatures: a
new layer of needle can be used in a config at once.
"""

import inspect
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Any, get_args

from ... import data, nn, optim
from ...device import Generator
from ..errors import TrainingError, join, refused
from .kinds import (
    FLAG,
    NOTHING,
    NUMBER,
    REQUIRED,
    TEXT,
    WHOLE,
    Entry,
    Kind,
    choice,
    list_of,
    pick,
    read_mapping,
    whole,
)
from .parts import Part, Schedule

__all__ = ["GENERATOR", "LAYER_LIST", "OPTIMIZER", "SCHEDULE", "TRANSFORM_LIST"]


def _read_transforms(key: str, value: Any) -> list[Part]:
    items = [(join(key, position), item) for position, item in enumerate(value)]
    return [_read_class(place, item, TRANSFORMS, "transform", _KINDS) for place, item in items]


def _read_layers(key: str, value: Any) -> list[Part]:
    if not isinstance(value, list):
        return [_read_layer(key, value)]
    return [_read_layer(join(key, position), item) for position, item in enumerate(value)]


def _read_layer(key: str, value: Any) -> Part:
    return _read_class(key, value, LAYERS, "layer", _SIZES)


def _read_class(
    key: str, value: Any, table: dict[str, type], what: str, required: dict[Any, Kind]
) -> Part:
    """A layer or transform: its name, or a mapping of its name to its arguments."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise refused(key, value, f"the name of a {what}, or `Name: {{argument: value}}`")
    ((name, arguments),) = value.items()
    cls = pick(key, name, table, what)
    if not isinstance(arguments, dict):
        raise refused(join(key, name), arguments, "a mapping of arguments")
    entries = arguments_of(cls, required=required)
    return Part(cls, read_mapping(join(key, name), arguments, entries))


def _read_optimizer(key: str, value: dict) -> Part:
    cls, arguments = _read_name(key, value, OPTIMIZERS, "optimizer")
    return Part(cls, read_mapping(key, arguments, arguments_of(cls)))


def _read_schedule(key: str, value: dict) -> Schedule:
    cls, arguments = _read_name(key, value, SCHEDULERS, "scheduler")
    per = {"per": Entry((choice("epoch", "batch"),), "epoch")}
    values = read_mapping(key, arguments, {**per, **arguments_of(cls, _SPANS, _SPANS)})
    return Schedule(cls, values, values.pop("per"))


def _read_inner_schedule(key: str, value: dict) -> Part:
    """One of several schedulers, all stepped by the outer one."""
    cls, arguments = _read_name(key, value, SCHEDULERS, "scheduler")
    return Part(cls, read_mapping(key, arguments, arguments_of(cls, _SPANS, _SPANS)))


def _read_name(key: str, value: dict, table: dict[str, type], what: str) -> tuple[type, dict]:
    """The class that a mapping names, and the rest of the mapping."""
    if "name" not in value:
        raise TrainingError(f"{join(key, 'name')}: missing, allowed: {', '.join(table)}")
    cls = pick(join(key, "name"), value["name"], table, what)
    return cls, {name: argument for name, argument in value.items() if name != "name"}


def _named(what: str, read: Callable[[str, Any], Part]) -> Kind:
    allowed = f"a mapping with the name of {what} and its arguments"
    return Kind(allowed, lambda value: isinstance(value, dict), read)


GENERATOR = Kind(
    "a seed for a Generator, a whole number of at least 0",
    whole(0).accepts,
    lambda key, value: Part(Generator, {"seed": value}),
)
LAYER_LIST = Kind(
    "a list of layers", lambda value: isinstance(value, list) and len(value) > 0, _read_layers
)
TRANSFORM_LIST = Kind(
    "a list of transforms", lambda value: isinstance(value, list), _read_transforms
)
OPTIMIZER = _named("an optimizer", _read_optimizer)
SCHEDULE = _named("a scheduler", _read_schedule)
_LAYERS_INSIDE = Kind(
    "a layer or a list of layers",
    lambda value: isinstance(value, str | dict | list) and len(value) > 0,
    _read_layers,
)

# the types of arguments that YAML can express
_KINDS: dict[Any, Kind] = {
    bool: FLAG,
    int: WHOLE,
    float: NUMBER,
    str: TEXT,
    NoneType: NOTHING,
    Generator: GENERATOR,
    Sequence[int]: list_of(WHOLE),
    Sequence[int | None]: list_of(WHOLE),
    Sequence[float]: list_of(NUMBER),
    list[float]: list_of(NUMBER),
    tuple[float, float]: list_of(NUMBER),
    nn.Module: _LAYERS_INSIDE,
    Sequence[optim.LRScheduler | optim.SequentialLR]: list_of(
        _named("a scheduler", _read_inner_schedule)
    ),
}


def _with_words(least: int, *words: str) -> dict[Any, Kind]:
    """`_KINDS` with integers of at least `least`, or one of the words in their place."""
    kind = Kind(
        f"a whole number of at least {least}, {' or '.join(words)}",
        lambda value: value in words or whole(least).accepts(value),
    )
    return {**_KINDS, int: kind, Sequence[int]: list_of(kind)}


_SIZES = _with_words(1, "pixels", "classes")  # required integers of layers are sizes
_SPANS = _with_words(0, "epochs", "batches")  # integers of schedules count epochs or batches


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def arguments_of(
    cls: type, required: dict[Any, Kind] = _KINDS, optional: dict[Any, Kind] = _KINDS
) -> dict[str, Entry]:
    """The arguments of a class that a config can set: those whose types are in the tables."""
    entries = {}
    for name, parameter in inspect.signature(cls, eval_str=True).parameters.items():
        annotation = parameter.annotation
        types = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
        is_required = parameter.default is parameter.empty
        known = required if is_required else optional
        if name == "inplace":  # has no effect
            continue
        if parameter.kind not in _ANY_NUMBER and all(kind in known for kind in types):
            default = REQUIRED if is_required else parameter.default
            entries[name] = Entry(tuple(known[kind] for kind in types), default)
    return entries


def _is_layer(value: Any) -> bool:
    """Whether `value` is a module with one input whose required arguments a config can set."""
    is_module = inspect.isclass(value) and issubclass(value, nn.Module)
    if not is_module or value is nn.Sequential:  # which is written as a list of layers
        return False
    inputs = set(_needed(value.forward)) - {"self"}  # of which a loss takes labels as well
    return len(inputs) == 1 and set(_needed(value)) <= set(arguments_of(value))


def _is_optimizer(value: Any) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, optim.Optimizer)
        and value not in (optim.Optimizer, optim.LBFGS)  # which evaluates the model several times
    )


def _is_scheduler(value: Any) -> bool:
    """Whether `value` is a schedule whose required arguments a config can set."""
    if not inspect.isclass(value) or value is optim.LRScheduler or _is_optimizer(value):
        return False
    needed = set(_needed(value))
    return "optimizer" in needed and needed - {"optimizer"} <= set(arguments_of(value))


def _is_transform(value: Any) -> bool:
    """Whether `value` is a transform whose required arguments a config can set."""
    if not (inspect.isclass(value) and issubclass(value, data.Transform)):
        return False
    # lists of transforms need no Compose, and a program decides about the order of the axes
    is_left_out = value in (data.Transform, data.Compose, data.ToTensor)
    return not is_left_out and set(_needed(value)) <= set(arguments_of(value))


def _needed(function: Any) -> list[str]:
    """The names of the required arguments."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER
    ]


def _public(module: Any, holds: Callable[[Any], bool]) -> dict[str, Any]:
    """The public names of a module for whose values `holds` is true."""
    values = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in values.items() if holds(value)}


LAYERS = _public(nn, _is_layer)
OPTIMIZERS = _public(optim, _is_optimizer)
SCHEDULERS = _public(optim, _is_scheduler)
TRANSFORMS = _public(data, _is_transform)
