"""The state of an optimizer as plain dicts and arrays: what a checkpoint holds."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from .settings import SETTINGS, ParamGroup, count

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["load_state", "save_state"]


def save_state(optimizer: Optimizer) -> dict[str, Any]:
    """Copies of settings and state; a parameter is named by its position."""
    positions = {param: position for position, param in enumerate(optimizer.params)}
    states = {positions[param]: copy.deepcopy(state) for param, state in optimizer.state.items()}
    return {"state": dict(sorted(states.items())), "param_groups": _saved_groups(optimizer)}


def _saved_groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    positions = itertools.count()
    groups = []
    for group in optimizer.param_groups:
        shapes = [list(param.shape) for param in group["params"]]
        groups.append({**group, "params": [next(positions) for _ in shapes], "shapes": shapes})
    return groups


def load_state(
    optimizer: Optimizer, saved: Mapping[str, Any]
) -> tuple[list[ParamGroup], dict[Tensor, dict[str, Any]]]:
    """The settings of each group, and copies of the saved arrays by parameter."""
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= saved.keys():
        raise ValueError('an optimizer\'s state is a dict with the keys "state" and "param_groups"')
    params, groups = optimizer.params, saved["param_groups"]
    _refuse(_group_differences(_layout(groups), _layout(_saved_groups(optimizer))))
    loaded, names = [], []
    for group in groups:
        loaded.append(ParamGroup())
        loaded[-1].update({name: group[name] for name in group.keys() - {"params", "shapes"}})
        names += [{"step", *optimizer.initial_state(loaded[-1])}] * len(group["params"])
    # keys come back from a file as text, and numbers as tensors
    entries = {int(position): entry for position, entry in saved["state"].items()}
    _refuse(_state_differences(entries, params, names))
    return loaded, {params[at]: _copy_state(entry, params[at]) for at, entry in entries.items()}


def _refuse(differences: Iterator[str]) -> None:
    if lines := "\n  ".join(differences):
        raise ValueError(f"the state belongs to another model or optimizer:\n  {lines}")


def _layout(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What two states must have in common, by the text that tells of it."""
    layout: dict[str, Any] = {"{} parameter groups": len(groups)}
    for number, group in enumerate(groups):
        at = f"group {number}"
        layout[at + ": settings {}"] = SETTINGS.intersection(group)
        layout[at + ": {} parameters"] = len(group.get("params", ()))
        for position, shape in enumerate(group.get("shapes", ())):
            layout[f"{at}, parameter {position}: shape {{}}"] = tuple(shape)
    return layout


def _group_differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for text in (text for text in ours if text in theirs):
        their, our = theirs[text], ours[text]
        if isinstance(our, frozenset):
            their, our = sorted({*their} - our), sorted(our - {*their})
        if their != our:
            yield f"{text.format(their)} in the state, {our} here"


def _state_differences(
    entries: Mapping[int, Mapping[str, Any]], params: Sequence[Tensor], names: Sequence[set[str]]
) -> Iterator[str]:
    for at, entry in entries.items():
        if not 0 <= at < len(params):
            yield f"parameter {at}: there are {len(params)} here"
            continue
        if missing := sorted(names[at] - entry.keys()):
            yield f"parameter {at}: the state lacks {missing}, has {sorted(entry)}"
        expected = params[at].shape
        for name, value in entry.items():
            if name != "step" and np.shape(value) != expected:
                shape = np.shape(value)
                yield f"parameter {at}: {name} of shape {shape} in the state, {expected} here"


def _copy_state(entry: Mapping[str, Any], param: Tensor) -> dict[str, Any]:
    copied: dict[str, Any] = {"step": count(0)("step", int(entry["step"]))}
    for name, value in entry.items():
        if name != "step":
            array = value.realize_cached_data() if isinstance(value, Tensor) else value
            copied[name] = param.device.array(array, param.dtype)
    return copied
