"""Graphs in the DOT language of Graphviz: boxes for values, arrows, frames for modules."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

from ..autograd import Op, Value, find_topo_sort
from ..nn import Module
from .names import Names, constant_value, named_values, whole_output
from .record import Recording
from .terms import number_term, op_name, op_parameters

__all__ = ["dot_source"]

Inputs = Mapping[Value, Sequence[Value]]  # the values of a graph, inputs first

_VARIABLE, _CONSTANT, _OP, _ADJOINT = "#cfe2f3", "#eeeeee", "#ffffff", "#fce0c8"

_HEAD = """\
digraph needle {
  rankdir=TB
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", fontsize=11]
  edge [color="#666666", arrowsize=0.7]
  graph [fontname="Helvetica", fontsize=11, color="#999999", style="rounded"]"""


def dot_source(
    values: Sequence[Value],
    gradients: Sequence[Value],
    module: Module | Recording | None,
    names: Names,
    max_nodes: int | None,
) -> tuple[str, int]:
    """The DOT text of the drawing that `draw` describes, and the number of values in it."""
    given = dict.fromkeys([*values, *gradients])
    order = find_topo_sort(list(given))
    # one box for an op and the one output that is not for its gradient
    outputs = {node: node.inputs[0] for node in order if whole_output(node)}
    drawn_as = {whole: node for node, whole in outputs.items()}

    inputs = {
        node: [drawn_as.get(operand, operand) for operand in outputs.get(node, node).inputs]
        for node in order
        if node not in drawn_as
    }
    leaves = {leaf.grad: leaf for leaf in order if leaf.grad is not None and leaf.grad in given}
    not_forward = {*gradients, *leaves}
    forward = set(find_topo_sort([value for value in given if value not in not_forward]))
    model = module.module if isinstance(module, Recording) else module
    homes = _homes(module, {node: inputs[node] for node in inputs if node in forward})
    known = {**named_values(model, order), **named_values(names, order)}

    limit = len(inputs) if max_nodes is None else max_nodes
    shown = _nearest([drawn_as.get(value, value) for value in given], inputs, limit)
    numbers = {node: number for number, node in enumerate(filter(shown.__contains__, inputs))}
    boxes: dict[str | None, list[str]] = {}  # by the path of the module around them
    arrows = []
    for node, number in numbers.items():
        title = _title(node, outputs.get(node, node).op, known, leaves)
        label = _quoted("\n".join([*title, _content(node)]))
        box = f'n{number} [label={label}, fillcolor="{_colour(node, forward, known)}"]'
        boxes.setdefault(homes.get(node), []).append(box)
        arrows += [f"  n{numbers[each]} -> n{number}" for each in inputs[node] if each in shown]
        if not shown.issuperset(inputs[node]):
            arrows.append(f"  hidden -> n{number} [style=dashed]")
    lines = [_HEAD, *_framed(model, boxes)]
    if hidden := len(inputs) - len(shown):
        label = _quoted(f"… {hidden:,} more values, not drawn")
        lines.append(f'  hidden [label={label}, style="dashed,filled", fillcolor="{_OP}"]')
    return "\n".join([*lines, *arrows, "}"]) + "\n", len(shown)


def _nearest(values: Iterable[Value], inputs: Inputs, limit: int) -> set[Value]:
    """The `limit` values of the graph that are the fewest steps away from `values`."""
    found: set[Value] = set()
    queue = deque(values)
    while queue and len(found) < limit:
        node = queue.popleft()
        if node not in found:
            found.add(node)
            queue.extend(inputs[node])
    return found


# --- boxes


def _colour(node: Value, forward: Collection[Value], known: Collection[Value]) -> str:
    if node.is_leaf() and (node.requires_grad or node in known):
        return _VARIABLE
    if node not in forward:
        return _ADJOINT
    return _CONSTANT if node.is_leaf() else _OP


def _title(
    node: Value, op: Op | None, known: Mapping[Value, str], leaves: Mapping[Value, Value]
) -> Iterable[str]:
    """The lines that say what a value is; `leaves` has the leaf of each gradient."""
    if node in leaves:
        yield f"gradient of {known.get(leaves[node], 'a leaf')}"
    if node in known:
        yield known[node]
    if op is not None:
        parameters = ", ".join(f"{name}={text}" for name, text in op_parameters(op).items())
        yield op_name(op) + (f"({parameters})" if parameters else "")
    elif node not in known:
        number = constant_value(node)
        if number is not None:
            yield number_term(number).text
        else:
            yield type(node).__name__ if node.requires_grad else "constant"


def _content(node: Value) -> str:
    """Shapes and dtypes; a lazy value is not computed."""
    data = node.cached_data
    if data is None:
        return "not computed yet"
    arrays = data if isinstance(data, tuple) else (data,)
    return ", ".join(f"{array.dtype} {tuple(array.shape)}" for array in arrays)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# --- frames


def _framed(model: Module | None, boxes: Mapping[str | None, Sequence[str]]) -> Iterator[str]:
    """The boxes, each inside the frames of its module and of those around it."""
    frames = {
        path: type(part).__name__
        for path, part in (model.named_modules() if model else ())
        if any(home is not None and _holds(path, home) for home in boxes)
    }
    inside: dict[str | None, list[str]] = {}
    for path in frames:
        inside.setdefault(_innermost([path], frames.keys() - {path}), []).append(path)
    numbers = count()

    def contents(path: str | None, indent: str) -> Iterator[str]:
        yield from (indent + box for box in boxes.get(path, ()))
        for part in inside.get(path, ()):
            yield f"{indent}subgraph cluster_{next(numbers)} {{"
            yield f"{indent}  label={_quoted(f'{part} ({frames[part]})' if part else frames[part])}"
            yield from contents(part, indent + "  ")
            yield indent + "}"

    return contents(None, "  ")


def _homes(module: Module | Recording | None, inputs: Inputs) -> dict[Value, str]:
    """The path of the module of each parameter and of each value that a module made."""
    if module is None:
        return {}
    model = module.module if isinstance(module, Recording) else module
    paths = [path for path, _ in model.named_modules()]
    names = named_values(model, ())
    homes = {tensor: _innermost([name], paths) or "" for tensor, name in names.items()}
    if isinstance(module, Recording):
        return {**module.paths, **homes}
    users: dict[Value, str] = {}  # the values that are made from parameters directly
    prepared = dict(homes)  # parameters, and what is made from nothing else
    for node, operands in inputs.items():
        around = {prepared[operand] for operand in operands if operand in prepared}
        if around:
            users[node] = _innermost(around, paths) or ""
            if all(operand in prepared for operand in operands):
                prepared[node] = users[node]
    return {**users, **homes}


def _holds(path: str, name: str) -> bool:
    """Whether the module at `path` is the one at the dotted `name`, or around it."""
    return not path or path == name or name.startswith(path + ".")


def _innermost(names: Collection[str], paths: Iterable[str]) -> str | None:
    """The innermost of the modules at `paths` that holds everything at `names`."""
    around = (path for path in paths if all(_holds(path, name) for name in names))
    return max(around, key=len, default=None)
