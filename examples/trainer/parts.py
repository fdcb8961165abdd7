"""Building and checking the models, optimizers and schedules that a config describes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from needle import Generator, Tensor, nn, no_grad, optim

from .datasets import Source
from .errors import REFUSALS, UserError, reason

__all__ = [
    "Part",
    "Schedule",
    "build_generator",
    "build_model",
    "build_optimizer",
    "build_schedule",
    "check_last_batch",
    "check_model",
    "check_optimizer",
    "plain",
]

Words = Mapping[str, int]
"""What stands for a number in a config, such as `pixels` or `epochs`."""


@dataclass(frozen=True)
class Part:
    """A class and its keyword arguments: a layer, optimizer, scheduler or generator of a config."""

    cls: type
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.cls.__name__


@dataclass(frozen=True)
class Schedule(Part):
    """A scheduler, and whether it steps after every epoch or after every batch."""

    per: str = "epoch"


def plain(value: Any, words: Words) -> Any:
    """A value of a config as mappings, lists, strings and numbers, which can be compared."""
    if isinstance(value, list):
        return [plain(entry, words) for entry in value]
    if not isinstance(value, Part):
        return words.get(value, value) if isinstance(value, str) else value
    if value.cls is Generator:
        return value.arguments["seed"]
    arguments = {name: plain(argument, words) for name, argument in value.arguments.items()}
    if issubclass(value.cls, nn.Module):
        return {value.name: arguments}
    per = {"per": value.per} if isinstance(value, Schedule) else {}
    return {"name": value.name, **per, **arguments}


def build_model(layers: list[Part], source: Source) -> nn.Sequential:
    """The model for images of `source`; draws its weights from NumPy's global random state."""
    return nn.Sequential(*[_build_layer(layer, source) for layer in layers])


def _build_layer(layer: Part, source: Source) -> nn.Module:
    return layer.cls(**_built(layer, source.sizes, lambda layers: build_model(layers, source)))


def build_generator(generator: Part | None) -> Generator | None:
    """A new generator at the beginning of its stream, or None."""
    return None if generator is None else generator.cls(**generator.arguments)


def build_optimizer(optimizer: Part, parameters: Sequence[Tensor]) -> optim.Optimizer:
    """The optimizer for these parameters.

    Raises:
        UserError: its class refuses the settings.
    """
    try:
        return optimizer.cls(parameters, **optimizer.arguments)
    except REFUSALS as error:
        raise UserError(f"optimizer: {reason(error)}") from None


def build_schedule(schedule: Part, optimizer: optim.Optimizer, words: Words) -> Any:
    """The scheduler of this optimizer.

    Raises:
        UserError: its class refuses the settings.
    """

    def inner(schedules: list[Part]) -> list[Any]:
        return [build_schedule(entry, optimizer, words) for entry in schedules]

    try:
        return schedule.cls(optimizer, **_built(schedule, words, inner))
    except REFUSALS as error:
        raise UserError(f"scheduler: {reason(error)}") from None


def _built(part: Part, words: Words, inner: Callable[[list[Part]], Any]) -> dict[str, Any]:
    """The arguments of a part: words as numbers, a generator built, layers built by `inner`."""
    arguments = {}
    for name, value in part.arguments.items():
        if isinstance(value, Part):
            arguments[name] = build_generator(value)
        elif isinstance(value, list) and value and isinstance(value[0], Part):
            arguments[name] = inner(value)
        else:
            arguments[name] = plain(value, words)
    return arguments


def check_model(layers: list[Part], source: Source) -> None:
    """Send two grey images through the model, layer by layer.

    Raises:
        UserError: a layer cannot be built or does not fit what comes before it; there is nothing
            to train; or the output is not one number per class.
    """
    # neither blank nor white: some layers take whole numbers only
    x = Tensor.make_const(np.full((2, *source.shape), 0.5, "float32"))
    parameters = []
    for position, layer in enumerate(layers):
        try:
            module = _build_layer(layer, source).eval()
            with no_grad():
                x = module(x)
        except REFUSALS as error:
            key = f"model.{position}.{layer.name}"
            raise UserError(f"{key}: does not work on {source.name}: {reason(error)}") from None
        parameters += module.parameters()
    if x.shape != (2, source.classes):
        raise UserError(
            f"model: found an output of shape {x.shape[1:]} for each image, allowed: "
            f"({source.classes},), one number for each class of {source.name}"
        )
    if not parameters:
        raise UserError("model: found no weights to train, allowed: at least one Linear layer")


def check_last_batch(layers: list[Part], source: Source, images: int) -> None:
    """Raise unless the model trains on a last batch of this many images: some need two."""
    model = build_model(layers, source).train()
    x = Tensor.make_const(np.zeros((images, *source.shape), "float32"))
    try:
        model(x)
    except ValueError as error:
        raise UserError(
            f"batch_size: the last batch of an epoch on {source.name} has a size of {images}, too "
            f"few for model.{error}"
        ) from None


def check_optimizer(optimizer: Part, schedule: Part | None, words: Words) -> None:
    """Build both for a single number: their classes refuse impossible settings."""
    built = build_optimizer(optimizer, [Tensor([0.0])])
    if schedule is not None:
        build_schedule(schedule, built, words)
