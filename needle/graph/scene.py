"""What a drawing shows: boxes for values, arrows between them, frames for modules."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..autograd import Value, find_topo_sort
from ..nn import Module
from .names import Names, constant_value, named_values
from .record import Recording
from .terms import number_term, op_parameters

__all__ = ["Box", "Scene", "frame_around", "scene_of"]


@dataclass(frozen=True)
class Box:
    """A value in a drawing."""

    lines: tuple[str, ...]
    kind: str  # "variable", "constant", "op" or "adjoint"
    frame: str | None  # the path of the module that made it
    operands: tuple[int, ...]  # positions of other boxes
    has_hidden_operands: bool


@dataclass(frozen=True)
class Scene:
    """A drawing: boxes, inputs first; the labels of the modules around them; what is left out."""

    boxes: list[Box]
    frames: Mapping[str, str]
    hidden: int


def scene_of(
    values: Sequence[Value],
    gradients: Sequence[Value],
    module: Module | Recording | None,
    names: Names,
    max_nodes: int | None,
) -> Scene:
    """The picture that `draw` describes."""
    given = dict.fromkeys([*values, *gradients])
    order = find_topo_sort(list(given))
    slopes = {leaf.grad: leaf for leaf in order if leaf.grad is not None and leaf.grad in given}
    not_primal = {*gradients, *slopes}
    forward = find_topo_sort([value for value in given if value not in not_primal])
    model, paths = _frames(module, forward)
    known = {**named_values(model, order), **named_values(names, order)}
    in_forward = set(forward)

    shown = _nearest(given, len(order) if max_nodes is None else max_nodes)
    positions: dict[Value, int] = {}
    boxes: list[Box] = []
    for node in order:
        if node in shown:
            positions[node] = len(boxes)
            operands = [positions[operand] for operand in node.inputs if operand in shown]
            boxes.append(
                Box(
                    (*_title(node, known, slopes), _content(node)),
                    _kind(node, in_forward, known),
                    paths.get(node),
                    tuple(operands),
                    len(operands) < len(node.inputs),
                )
            )
    return Scene(boxes, _frame_labels(model, boxes), len(order) - len(boxes))


def _nearest(values: Iterable[Value], count: int) -> set[Value]:
    """The `count` values of the graph that are the fewest steps away from `values`."""
    found: set[Value] = set()
    queue = deque(values)
    while queue and len(found) < count:
        node = queue.popleft()
        if node not in found:
            found.add(node)
            queue.extend(node.inputs)
    return found


# --- boxes


def _kind(node: Value, forward: Collection[Value], known: Collection[Value]) -> str:
    if node.is_leaf() and (node.requires_grad or node in known):
        return "variable"
    if node not in forward:
        return "adjoint"
    return "constant" if node.is_leaf() else "op"


def _title(node: Value, known: Mapping[Value, str], slopes: Mapping[Value, Value]) -> Iterable[str]:
    """The lines that say what a value is."""
    if node in slopes:
        leaf = slopes[node]
        yield f"gradient of {known.get(leaf, 'a leaf')}"
    if node in known:
        yield known[node]
    if node.op is not None:
        parameters = ", ".join(f"{name}={text}" for name, text in op_parameters(node.op).items())
        yield type(node.op).__name__.lstrip("_") + (f"({parameters})" if parameters else "")
    elif node not in known:
        number = constant_value(node)
        if number is not None:
            yield number_term(number).text
        else:
            yield type(node).__name__ if node.requires_grad else "constant"


def _content(node: Value) -> str:
    """Shapes and dtypes; looking does not compute what waits."""
    data = node.cached_data
    if data is None:
        return "not computed yet"
    arrays = data if isinstance(data, tuple) else (data,)
    return ", ".join(f"{array.dtype} {tuple(array.shape)}" for array in arrays)


# --- frames


def _frame_labels(model: Module | None, boxes: Iterable[Box]) -> dict[str, str]:
    """The labels of the frames that hold a box, or a frame that does, outer ones first."""
    kinds = {path: type(part).__name__ for path, part in model.named_modules()} if model else {}
    needed: set[str] = set()
    for box in boxes:
        path = box.frame
        while path is not None and path not in needed:
            needed.add(path)
            path = frame_around(path, kinds)
    return {
        path: f"{path} ({kind})" if path else kind for path, kind in kinds.items() if path in needed
    }


def frame_around(path: str, paths: Collection[str]) -> str | None:
    """The innermost of `paths`, dotted and relative to the root "", that `path` lies below."""
    while path:
        path = path.rpartition(".")[0]
        if path in paths:
            return path
    return None


def _frames(
    module: Module | Recording | None, forward: Sequence[Value]
) -> tuple[Module | None, dict[Value, str]]:
    """The model, and the path of the module of each parameter and of each value that has one."""
    if module is None:
        return None, {}
    model = module.module if isinstance(module, Recording) else module
    paths = dict(model.named_modules())
    owners: dict[Value, str] = {
        tensor: frame_around(name, paths) or ""
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    if isinstance(module, Recording):
        return model, {**module.paths, **owners}
    return model, {**_users(forward, owners, paths), **owners}


def _users(
    forward: Sequence[Value], owners: Mapping[Value, str], paths: Collection[str]
) -> dict[Value, str]:
    """The values that are made from parameters directly, with the module that holds those."""
    users: dict[Value, str] = {}
    prepared = dict(owners)  # parameters, and what is made from nothing else
    for node in forward:
        homes = {prepared[operand] for operand in node.inputs if operand in prepared}
        if homes:
            users[node] = _innermost_around(homes, paths)
            if all(operand in prepared for operand in node.inputs):
                prepared[node] = users[node]
    return users


def _innermost_around(homes: set[str], paths: Collection[str]) -> str:
    """The innermost module that holds all of `homes`."""
    home = min(homes, key=len)
    while not all(other == home or not home or other.startswith(home + ".") for other in homes):
        home = frame_around(home, paths) or ""
    return home
