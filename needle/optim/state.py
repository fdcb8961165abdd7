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
    _refuse(list(_group_differences(saved["param_groups"], groups)))
    loaded, names = [], []
    for group, theirs in zip(groups, saved["param_groups"], strict=True):
        loaded.append(ParamGroup())
        loaded[-1].update({name: theirs[name] for name in theirs.keys() - {"params", "shapes"}})
        names += [{"step", *initial_state(loaded[-1])}] * len(group["params"])
    # keys come back from a file as text, and numbers as tensors
    entries = {int(position): entry for position, entry in saved["state"].items()}
    _refuse(list(_state_differences(entries, params, names)))
    return loaded, {params[at]: _copy_state(entry, params[at]) for at, entry in entries.items()}


def _refuse(differences: list[str]) -> None:
    if differences:
        lines = "\n  ".join(differences)
        raise ValueError(f"the state belongs to another model or optimizer:\n  {lines}")


def _group_differences(
    saved: Sequence[Mapping[str, Any]], groups: Sequence[ParamGroup]
) -> Iterator[str]:
    if len(saved) != len(groups):
        yield f"{len(saved)} parameter groups in the state, {len(groups)} here"
        return
    for number, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
        only_theirs = sorted(SETTINGS & theirs.keys() - ours.keys())
        only_ours = sorted(SETTINGS & ours.keys() - theirs.keys())
        if only_theirs or only_ours:
            yield f"group {number}: settings only in the state {only_theirs}, only here {only_ours}"
        here = [param.shape for param in ours["params"]]
        shapes = [tuple(shape) for shape in theirs.get("shapes", here)]
        count = len(theirs.get("params", ()))
        if count != len(here):
            yield f"group {number}: {count} parameters in the state, {len(here)} here"
            continue
        for at, (shape, own) in enumerate(zip(shapes, here, strict=True)):
            if shape != own:
                yield f"group {number}, parameter {at}: shape {shape} in the state, {own} here"


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
            shape, own = np.shape(entry[name]), params[at].shape
            if shape != own:
                yield f"parameter {at}: {name} of shape {shape} in the state, {own} here"


def _copy_state(entry: Mapping[str, Any], param: Tensor) -> dict[str, Any]:
    arrays = {
        name: value.realize_cached_data() if isinstance(value, Tensor) else value
        for name, value in entry.items()
        if name != "step"
    }
    copies = {name: param.device.array(array, param.dtype) for name, array in arrays.items()}
    return {"step": count("step", int(entry["step"]), least=0), **copies}
