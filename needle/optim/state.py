"""The state of an optimizer as plain dicts and arrays: what a checkpoint holds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .settings import SETTINGS, ParamGroup, count

__all__ = ["load_state", "save_state"]

States = dict[Tensor, dict[str, Any]]


def save_state(
    params: Sequence[Tensor], groups: Sequence[ParamGroup], states: States
) -> dict[str, Any]:
    """Copies of settings and state; a parameter is named by its position in `params`."""
    positions = {param: position for position, param in enumerate(params)}
    saved_groups = [
        {
            **group,
            "params": [positions[param] for param in group["params"]],
            "shapes": [list(param.shape) for param in group["params"]],
        }
        for group in groups
    ]
    saved_states = {positions[param]: copy.deepcopy(state) for param, state in states.items()}
    return {"state": dict(sorted(saved_states.items())), "param_groups": saved_groups}


def load_state(
    saved: Mapping[str, Any],
    params: Sequence[Tensor],
    groups: Sequence[ParamGroup],
    initial_state: Callable[[ParamGroup], dict[str, float]],
) -> tuple[list[ParamGroup], States]:
    """The settings of each group, and copies of the saved arrays by parameter.

    Raises:
        ValueError: the state does not fit `params` and `groups`; the text lists what differs.
    """
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= saved.keys():
        raise ValueError('an optimizer\'s state is a dict with the keys "state" and "param_groups"')
    saved_groups = saved["param_groups"]
    _refuse(_group_differences(saved_groups, groups))
    loaded, names = [], []
    for ours, theirs in zip(groups, saved_groups, strict=True):
        loaded.append(ParamGroup())
        loaded[-1].update({name: theirs[name] for name in theirs.keys() - {"params", "shapes"}})
        names += [{"step", *initial_state(loaded[-1])}] * len(ours["params"])
    # keys come back from a file as text, and numbers as tensors
    entries = {int(position): entry for position, entry in saved["state"].items()}
    _refuse(_state_differences(entries, params, names))
    return loaded, {params[at]: _copy_state(entry, params[at]) for at, entry in entries.items()}


def _refuse(differences: Iterator[str]) -> None:
    if lines := "\n  ".join(differences):
        raise ValueError(f"the state belongs to another model or optimizer:\n  {lines}")


def _unequal(text: str, theirs: Any, ours: Any) -> list[str]:
    return [] if theirs == ours else [f"{text.format(theirs)} in the state, {ours} here"]


def _group_differences(
    saved: Sequence[Mapping[str, Any]], groups: Sequence[ParamGroup]
) -> Iterator[str]:
    yield from _unequal("{} parameter groups", len(saved), len(groups))
    for number, (theirs, ours) in enumerate(zip(saved, groups, strict=False)):
        at = f"group {number}"
        names, own_names = SETTINGS & theirs.keys(), SETTINGS & ours.keys()
        only_one_has = sorted(names - own_names), sorted(own_names - names)
        yield from _unequal(at + ": settings {}", *only_one_has)
        here = [param.shape for param in ours["params"]]
        yield from _unequal(at + ": {} parameters", len(theirs.get("params", ())), len(here))
        for position, pair in enumerate(zip(theirs.get("shapes", here), here, strict=False)):
            yield from _unequal(f"{at}, parameter {position}: shape {{}}", *map(tuple, pair))


def _state_differences(
    entries: Mapping[int, Mapping[str, Any]], params: Sequence[Tensor], names: Sequence[set[str]]
) -> Iterator[str]:
    for at, entry in entries.items():
        if not 0 <= at < len(params):
            yield f"parameter {at}: there are {len(params)} here"
            continue
        if missing := sorted(names[at] - entry.keys()):
            yield f"parameter {at}: the state lacks {missing}, has {sorted(entry)}"
        for name in entry.keys() - {"step"}:
            text = f"parameter {at}: {name} of shape {{}}"
            yield from _unequal(text, np.shape(entry[name]), params[at].shape)


def _copy_state(entry: Mapping[str, Any], param: Tensor) -> dict[str, Any]:
    copied: dict[str, Any] = {"step": count("step", int(entry["step"]), least=0)}
    for name, value in entry.items():
        if name != "step":
            array = value.realize_cached_data() if isinstance(value, Tensor) else value
            copied[name] = param.device.array(array, param.dtype)
    return copied
