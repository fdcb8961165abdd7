"""Building and checking the models, optimizers and schedules that a config describes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ... import data, nn, optim
from ...autograd import Tensor, TensorTuple, no_grad
from ...device import Generator
from ..errors import REFUSALS, TrainingError, reason

__all__ = [
    "Part", "Schedule", "build_all", "build_generator", "build_model", "build_optimizer",
    "build_schedule", "check_model", "plain",
]  # fmt: skip

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
    if issubclass(value.cls, nn.Module | data.Transform):
        return {value.name: arguments}
    per = {"per": value.per} if isinstance(value, Schedule) else {}
    return {"name": value.name, **per, **arguments}


class Layers(nn.Sequential):
    """A layer with several outputs, such as LSTM, passes on the first: the sequence."""

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
            if isinstance(x, tuple | TensorTuple):
                x = x[0]
        return x


def build_model(layers: list[Part], words: Words) -> nn.Sequential:
    """The model; draws its weights from NumPy's global random state."""
    return Layers(*[_build_layer(layer, words) for layer in layers])


def _build_layer(layer: Part, words: Words) -> nn.Module:
    return layer.cls(**_built(layer, words, lambda layers: build_model(layers, words)))


def build_all(parts: list[Part], words: Words | None = None) -> list[Any]:
    """An instance of each, or a TrainingError of the settings that a class refuses."""
    built = []
    for part in parts:
        try:
            built.append(part.cls(**_built(part, words or {}, build_all)))
        except REFUSALS as error:
            raise TrainingError(f"{part.name}: {reason(error)}") from None
    return built


def build_generator(generator: Part | None) -> Generator | None:
    """A new generator at the beginning of its stream, or None."""
    return None if generator is None else generator.cls(**generator.arguments)


def build_optimizer(optimizer: Part, parameters: Sequence[Tensor]) -> optim.Optimizer:
    """The optimizer for these parameters, or a TrainingError of the settings it refuses."""
    try:
        return optimizer.cls(parameters, **optimizer.arguments)
    except REFUSALS as error:
        raise TrainingError(f"optimizer: {reason(error)}") from None


def build_schedule(schedule: Part, optimizer: optim.Optimizer, words: Words) -> Any:
    """The scheduler of this optimizer, or a TrainingError of the settings it refuses."""

    def inner(schedules: list[Part]) -> list[Any]:
        return [build_schedule(entry, optimizer, words) for entry in schedules]

    try:
        return schedule.cls(optimizer, **_built(schedule, words, inner))
    except REFUSALS as error:
        raise TrainingError(f"scheduler: {reason(error)}") from None


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


def check_model(
    layers: list[Part], words: Words, x: Tensor, outputs: tuple[int, ...], name: str
) -> None:
    """Send a batch through the model, layer by layer.

    Args:
        layers: those of the config.
        words: what their words stand for.
        x: inputs.
        outputs: the shape that the model gives for them.
        name: what the inputs are from.

    Raises:
        TrainingError: a layer cannot be built or does not fit what comes before it; there is
            nothing to train; or the outputs have another shape.
    """
    parameters = []
    for position, layer in enumerate(layers):
        try:
            module = build_model([layer], words).eval()
            with no_grad():
                x = module(x)
        except REFUSALS as error:
            key = f"model.{position}.{layer.name}"
            raise TrainingError(f"{key}: does not work on {name}: {reason(error)}") from None
        parameters += module.parameters()
    if x.shape != outputs:
        raise TrainingError(
            f"model: found an output of shape {x.shape[1:]} for each item, allowed: "
            f"{outputs[1:]}, where the last is one number for each class of {name}"
        )
    if not parameters:
        raise TrainingError("model: found no weights to train, allowed: at least one Linear layer")
