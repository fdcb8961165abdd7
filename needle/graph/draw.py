"""draw: a graph as a picture; record: which module made a value.

A value is a box, an operand an arrow, a module a frame around the values that it made.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Value, find_topo_sort, modes
from ..nn import Module
from .drawing import Drawing
from .expression import Names, callers_names, constant_value, named_values, whole_output
from .picture import ADJOINT, CONSTANT, VALUE, VARIABLE, Arrow, Box, Frame, Picture
from .terms import COMMUTATIVE, op_title

__all__ = ["Recording", "draw", "record"]


@dataclass(frozen=True)
class Recording:
    """The values that `module` made, as `record` noted them.

    `paths` has for each value, also for those assigned to, such as running statistics, the path
    of the innermost module that was running, "" for `module` itself.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.ReLU()
        >>> with ndl.graph.record(model) as recording:
        ...     y = model(ndl.Tensor([1.0]))
        >>> recording.paths[y]
        ''
    """

    module: Module
    paths: dict[Value, str] = field(default_factory=dict, repr=False)


@contextmanager
def record(module: Module) -> Iterator[Recording]:
    """Context manager that records which part of `module` makes which value, for `draw`.

    The recording keeps these values alive.

    Example:
        >>> import needle as ndl
        >>> model = ndl.nn.Sequential(ndl.nn.Linear(2, 3), ndl.nn.ReLU())
        >>> with ndl.graph.record(model) as recording:
        ...     y = model(ndl.init.ones(1, 2))
        >>> sorted(set(recording.paths.values()))
        ['0', '1']
        >>> "cluster" in ndl.graph.draw(y, module=recording).source
        True
    """
    recording = Recording(module)
    running: list[str] = []

    def note(value: Value, op: Any, inputs: Any) -> None:
        if running:
            recording.paths[value] = running[-1]

    @contextmanager
    def inside(path: str) -> Iterator[None]:
        running.append(path)
        try:
            yield
        finally:
            running.pop()

    with ExitStack() as stack:
        for path, part in module.named_modules():
            attributes = vars(part)
            if "forward" in attributes:
                stack.callback(attributes.__setitem__, "forward", part.forward)
            else:
                stack.callback(attributes.pop, "forward", None)
            # an attribute of the instance comes before the method of its class
            attributes["forward"] = inside(path)(part.forward)
        stack.enter_context(modes.override(modes.observers, (*modes.observers.get(), note)))
        yield recording


Inputs = Mapping[Value, Sequence[Value]]  # the values of a graph, inputs first


def draw(
    values: Value | Sequence[Value] | Any,
    path: str | Path | None = None,
    *,
    module: Module | Recording | None = None,
    names: Names = None,
    gradients: Iterable[Value] = (),
    max_nodes: int | None = 500,
) -> Drawing:
    """Draw the graph of one or several values.

    Each value is a box: its op (an operator such as × and /, or the name of the class) with the
    op's parameters, or the name of a leaf; then dtype, shape, and the number of a scalar. Numbers
    at the arrows give the order of operands where it matters. Values that require no gradient keep
    no op, and are constants. Lazy values are drawn without being computed. Colours, which the
    legend explains, tell variables, constants, results, and what only gradients depend on.

    Args:
        values: Tensors or TensorTuples. The `.grad` of a leaf is drawn as a gradient. Or what a
            compiled function's `graph()` gives.
        path: where to write the drawing: as in `Drawing.save`.
        module: the model. Its parameters and buffers get their names, and values a frame for the
            module that made them: with a Module, the values made directly from its parameters;
            with the recording of `needle.graph.record`, all.
        names: further names, as for `expression`.
        gradients: further gradients to draw, for example of `needle.grad`.
        max_nodes: draw the values nearest to `values`, at most so many; None draws all.

    Raises:
        ImportError, RuntimeError: as in `Drawing.render`, for pictures.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([1.0, 2.0])
        >>> y = (x * 3).sum()
        >>> drawing = ndl.graph.draw(y, names={"x": x})
        >>> drawing
        Drawing(values=3)
        >>> "× 3" in drawing.source
        True
    """
    if max_nodes is not None and max_nodes < 1:
        raise ValueError(f"draw: max_nodes must be positive or None, got {max_nodes}")
    if hasattr(values, "to_picture"):
        picture = values.to_picture(max_nodes)
        drawing = Drawing(picture, len(picture.boxes))
        if path is not None:
            drawing.save(path)
        return drawing
    adjoints = list(gradients)
    listed = [*([values] if isinstance(values, Value) else values), *adjoints]
    for value in listed:
        if not isinstance(value, Value):
            raise TypeError(f"draw takes Tensors, got {type(value).__name__}")
    order = find_topo_sort(listed)
    # one box for an op and the one output that is not for its gradient
    outputs = {node: node.inputs[0] for node in order if whole_output(node)}
    drawn_as = {whole: node for node, whole in outputs.items()}
    inputs = {
        node: [drawn_as.get(operand, operand) for operand in outputs.get(node, node).inputs]
        for node in order
        if node not in drawn_as
    }
    given = dict.fromkeys(listed)
    leaves = {leaf.grad: leaf for leaf in order if leaf.grad is not None and leaf.grad in given}
    not_forward = {*adjoints, *leaves}
    forward = set(find_topo_sort([value for value in given if value not in not_forward]))
    model = module.module if isinstance(module, Recording) else module
    homes = _homes(module, {node: inputs[node] for node in inputs if node in forward})
    callers = named_values(callers_names(order), order) if names is None else {}
    known = {**callers, **named_values(model, order), **named_values(names, order)}

    limit = len(inputs) if max_nodes is None else max_nodes
    shown = _nearest([drawn_as.get(value, value) for value in given], inputs, limit)
    numbers = {node: f"n{number}" for number, node in enumerate(filter(shown.__contains__, inputs))}
    boxes, arrows = [], []
    if hidden := len(inputs) - len(shown):
        text = f"… {hidden:,} more values, not drawn"
        boxes.append(Box("hidden", [text], VALUE, is_dashed=True))
    for node, name in numbers.items():
        op = outputs.get(node, node).op
        lines, colour = _lines(node, op, known, leaves), _colour(node, known, forward)
        boxes.append(Box(name, lines, colour, homes.get(node)))
        is_ordered = len(inputs[node]) > 1 and type(op) not in COMMUTATIVE
        for position, operand in enumerate(inputs[node], start=1):
            if operand in shown:
                label = str(position) if is_ordered else ""
                arrows.append(Arrow(numbers[operand], name, label))
        if not shown.issuperset(inputs[node]):
            arrows.append(Arrow("hidden", name, is_dashed=True))
    frames = _frames(model, {box.frame for box in boxes if box.frame is not None})
    drawing = Drawing(Picture(boxes, arrows, frames), len(shown))
    if path is not None:
        drawing.save(path)
    return drawing


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


def _lines(node: Value, op: Any, known: dict[Value, str], leaves: dict[Value, Value]) -> list[str]:
    """The text of a value that `op` made; `leaves` has the leaf of each gradient."""
    lines = []
    if node in leaves:
        lines.append(f"gradient of {known.get(leaves[node], 'a leaf')}")
    if node in known:
        lines.append(known[node])
    number = constant_value(node) if op is None and node not in known else None
    if op is not None:
        lines.append(op_title(op))
    elif node not in known:
        kind = type(node).__name__ if node.requires_grad else "constant"
        lines.append(kind if number is None else f"{number:.5g}")
    data = node.cached_data  # a lazy value is not computed
    if data is None:
        lines.append("not computed yet")
    else:
        arrays = data if isinstance(data, tuple) else (data,)
        lines.append(", ".join(f"{array.dtype} {tuple(array.shape)}" for array in arrays))
        if isinstance(data, np.ndarray) and data.ndim == 0 and number is None:
            lines[-1] += f" = {data.item():.5g}"
    return lines


def _colour(node: Value, known: dict[Value, str], forward: set[Value]) -> str:
    if node.is_leaf() and (node.requires_grad or node in known):
        return VARIABLE
    if node not in forward:
        return ADJOINT
    return CONSTANT if node.is_leaf() else VALUE


def _frames(model: Module | None, homes: Collection[str]) -> list[Frame]:
    """The frames of the modules that hold one of the paths `homes`."""
    frames: list[Frame] = []
    around: list[str] = []  # the modules that hold the one at hand
    for path, part in model.named_modules() if model else ():
        if any(_holds(path, home) for home in homes):
            while around and not _holds(around[-1], path):
                around.pop()
            kind = type(part).__name__
            label = f"{path} ({kind})" if path else kind
            frames.append(Frame(path, label, around[-1] if around else None))
            around.append(path)
    return frames


def _homes(module: Module | Recording | None, inputs: Inputs) -> dict[Value, str]:
    """The path of the module of each parameter and of each value that a module made."""
    if module is None:
        return {}
    model = module.module if isinstance(module, Recording) else module
    paths = [path for path, _ in model.named_modules()]
    homes = {tensor: _around([name], paths) for tensor, name in named_values(model, ()).items()}
    if isinstance(module, Recording):
        return {**module.paths, **homes}
    users: dict[Value, str] = {}  # the values that are made from parameters directly
    prepared = dict(homes)  # parameters, and what is made from nothing else
    for node, operands in inputs.items():
        if sources := {prepared[operand] for operand in operands if operand in prepared}:
            users[node] = _around(sources, paths)
            if prepared.keys() >= set(operands):
                prepared[node] = users[node]
    return {**users, **homes}


def _holds(path: str, name: str) -> bool:
    """Whether the module at `path` is the one at the dotted `name`, or around it."""
    return not path or path == name or name.startswith(path + ".")


def _around(names: Collection[str], paths: Iterable[str]) -> str:
    """The innermost of the modules at `paths` that holds everything at `names`."""
    return max((path for path in paths if all(_holds(path, name) for name in names)), key=len)
