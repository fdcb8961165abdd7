"""The settings of optimizers: what each may be, and the groups of parameters that share them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..autograd import Tensor

__all__ = [
    "BELOW_1", "NON_NEGATIVE", "POSITIVE", "SETTINGS", "UNIT",
    "ParamGroup", "choice", "count", "is_model", "number", "setting", "tensors_of",
]  # fmt: skip


Check = Callable[[str, Any], Any]
"""Returns the value of a setting with this name, or raises."""


def check(is_allowed: Callable[[Any], bool], words: str, convert: Any = lambda x: x) -> Check:
    """A check of what `convert` makes of a value, and the words for what is allowed."""

    def checked(name: str, value: Any) -> Any:
        converted = convert(value)
        if not is_allowed(converted):
            raise ValueError(f"{name} must be {words}, got {value!r}")
        return converted

    return checked


def _float(value: Any) -> float:
    """A Python float, because NumPy's would widen float32 arrays; NaN for what is not a number."""
    try:
        return math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        return math.nan


number = partial(check, convert=_float)
NON_NEGATIVE = number(lambda x: 0 <= x < math.inf, "a finite number of at least 0")
POSITIVE = number(lambda x: 0 < x < math.inf, "a finite number above 0")
BELOW_1 = number(lambda x: 0 <= x < 1, "a number in [0, 1)")
UNIT = number(lambda x: 0 <= x <= 1, "a number in [0, 1]")
_DAMPENING = number(lambda x: 0 <= x <= 1, "None or a number in [0, 1]")
_FLAG = check(lambda x: isinstance(x, bool), "True or False")


def count(least: int) -> Check:
    """A check of whole numbers."""
    words = f"a whole number of at least {least}"
    return check(lambda x: type(x) is not bool and isinstance(x, int) and x >= least, words)


def choice(*words: str | None) -> Check:
    """A check of words."""
    return check(lambda x: x in words, f"one of {words}")


_CHECKS: dict[str, Check] = {
    **dict.fromkeys(["lr", "weight_decay", "lr_decay", "eps"], NON_NEGATIVE),
    "initial_accumulator_value": NON_NEGATIVE,
    **dict.fromkeys(["momentum", "beta1", "beta2", "alpha"], BELOW_1),
    "dampening": lambda name, value: None if value is None else _DAMPENING(name, value),
    **dict.fromkeys(["tolerance_grad", "tolerance_change"], NON_NEGATIVE),
    **dict.fromkeys(["max_iter", "history_size"], count(1)),
    "max_eval": lambda name, value: None if value is None else count(1)(name, value),
    "line_search_fn": choice(None, "strong_wolfe"),
    **dict.fromkeys(["nesterov", "amsgrad", "centered", "maximize"], _FLAG),
}

SETTINGS = frozenset(_CHECKS)
"""The names of all settings that optimizers have."""


def is_model(given: Any) -> bool:
    """Whether this is a model; some are lists or dicts of modules, too."""
    return hasattr(given, "parameters")


def tensors_of(given: Any, function: str, place: str = "") -> list[Tensor]:
    """Tensors, given as one, several, or pairs of name and tensor, as a list.

    Raises:
        TypeError: `given` or an entry is something else, such as a model.
    """
    if isinstance(given, Tensor):
        return [given]
    if is_model(given) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise TypeError(
            f"{function} takes a list of Tensors, got one {kind}: write model.parameters()"
        )
    tensors = []
    for position, each in enumerate(given):
        if isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str):
            each = each[1]  # of named_parameters()
        if not isinstance(each, Tensor):
            instead = "pass its parameters()" if is_model(each) else "convert with Tensor(x)"
            raise TypeError(
                f"{function} takes Tensors of floating-point numbers, got {type(each).__name__} "
                f"at position {position}{place}: {instead}"
            )
        tensors.append(each)
    return tensors


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


@dataclass(eq=False)
class _Setting:
    """A setting as an attribute of an optimizer: read and set in all parameter groups."""

    default: Any

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self.default
        name = self.name
        values = [group[name] for group in optimizer.param_groups if name in group]
        if not values:
            raise AttributeError(f"this {owner.__name__} has no setting {name!r}")
        if values.count(values[0]) < len(values):
            raise ValueError(
                f"the parameter groups differ in {name} ({values}): read it from param_groups"
            )
        return values[0]

    def __set__(self, optimizer: Any, value: Any) -> None:
        # the argument of a constructor stays with the optimizer until there are groups
        for group in getattr(optimizer, "param_groups", [vars(optimizer)]):
            group[self.name] = value


def setting(default: Any) -> Any:
    """A setting with this default, as a field of an optimizer that is a dataclass."""
    return _Setting(default)
