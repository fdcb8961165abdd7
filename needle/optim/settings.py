"""The settings of optimizers: what each may be, and the groups of parameters that share them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = [
    "HALF_OPEN_UNIT", "NON_NEGATIVE", "POSITIVE", "SETTINGS", "UNIT",
    "ParamGroup", "choice", "count", "group_settings", "number",
]  # fmt: skip


def number(is_allowed: Callable[[float], bool], words: str) -> Callable[[str, Any], float]:
    """A check that gives back a Python float: NumPy's scalars would widen float32 parameters."""

    def check(name: str, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not is_allowed(number):
            raise ValueError(f"{name} must be {words}, got {value!r}")
        return number

    return check


NON_NEGATIVE = number(lambda x: 0 <= x < math.inf, "a finite number of at least 0")
POSITIVE = number(lambda x: 0 < x < math.inf, "a finite number above 0")
HALF_OPEN_UNIT = number(lambda x: 0 <= x < 1, "a number in [0, 1)")
UNIT = number(lambda x: 0 <= x <= 1, "a number in [0, 1]")
_DAMPENING = number(lambda x: 0 <= x <= 1, "None or a number in [0, 1]")


def count(name: str, value: Any, least: int = 1) -> int:
    """A check of whole numbers."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """A check of words."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(["lr", "weight_decay", "lr_decay", "eps"], NON_NEGATIVE),
    "initial_accumulator_value": NON_NEGATIVE,
    **dict.fromkeys(["momentum", "beta1", "beta2", "alpha"], HALF_OPEN_UNIT),
    "dampening": lambda name, value: None if value is None else _DAMPENING(name, value),
    **dict.fromkeys(["nesterov", "amsgrad", "centered", "maximize"], _flag),
}

SETTINGS = frozenset(_CHECKS)
"""The names of all settings that optimizers have."""


class ParamGroup(dict[str, Any]):
    """Parameters and the settings they are trained with: a dict that checks what is put in.

    `group["lr"] = 0.1` changes the learning rate from the next step on. `betas`, PyTorch's name
    for the pair (beta1, beta2), can be read and set. Keys that no optimizer knows are kept.

    Raises:
        ValueError: a setting is out of its range, or `params` is replaced.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params" and name in self:
            raise ValueError("the parameters of a group are fixed: use optimizer.add_param_group")
        if name == "betas":
            if not isinstance(value, list | tuple) or len(value) != 2:
                raise ValueError(f"betas must be a pair (beta1, beta2), got {value!r}")
            self["beta1"], self["beta2"] = value
        else:
            check = _CHECKS.get(name)
            super().__setitem__(name, check(name, value) if check else value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several items, each checked."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __missing__(self, name: str) -> Any:
        if name == "betas" and "beta1" in self:
            return self["beta1"], self["beta2"]
        raise KeyError(name)


def group_settings(*names: str) -> tuple[Any, ...]:
    """Properties of an optimizer that read and set these settings in all parameter groups."""

    def read(name: str, optimizer: Any) -> Any:
        values = [group[name] for group in optimizer.param_groups if name in group]
        if not values:
            raise AttributeError(f"this {type(optimizer).__name__} has no setting {name!r}")
        if any(value != values[0] for value in values):
            raise ValueError(
                f"the parameter groups differ in {name} ({values}): read it from param_groups"
            )
        return values[0]

    def write(name: str, optimizer: Any, value: Any) -> None:
        for group in optimizer.param_groups:
            group[name] = value

    return tuple([property(partial(read, name), partial(write, name)) for name in names])
