"""draw: a graph as a picture, by the DOT language of Graphviz; record: which module made a value.

A value is a box, an operand an arrow, a module a frame around the values that it made.
"""

import html
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..autograd import Value, find_topo_sort, modes
from ..nn import Module
from .expression import Names, constant_value, named_values, whole_output
from .terms import number_term, op_name, op_parameters

__all__ = ["Drawing", "Recording", "draw", "record"]


@dataclass(frozen=True)
class Recording:
    """The values that `module` made, as `record` noted them.

    `paths` has for each value, also for those assigned to, such as running statistics, the path
    of the innermost module that was running, "" for `module` itself.
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


@dataclass(frozen=True)
class Drawing:
    """A drawn graph; `source` is its DOT text. Notebooks show it as a picture.

    Pictures need the graphviz package (`pip install 'needle-dl[viz]'`) and Graphviz's program
    `dot`; without them a notebook shows the DOT text.
    """

    source: str = field(repr=False)
    values: int

    def __str__(self) -> str:
        return self.source

    def render(self, format: str = "svg") -> bytes:
        """The picture as a file's content: "svg", "png", "pdf", or another format of Graphviz.

        Raises:
            ImportError: the graphviz package is missing.
            RuntimeError: the program `dot` is missing.
        """
        needs = f"drawing a graph as {format} needs"
        otherwise = "(DOT text needs nothing: str(drawing), or a path that ends in .dot)"
        try:
            import graphviz
        except ImportError:
            raise ImportError(
                f"{needs} the graphviz package, needle's extra viz: pip install 'needle-dl[viz]' "
                + otherwise
            ) from None
        try:
            return graphviz.pipe("dot", format, self.source.encode())
        except graphviz.ExecutableNotFound:
            raise RuntimeError(
                f"{needs} the program dot of Graphviz, which is not on PATH: install it with the "
                "system's packages (apt install graphviz, brew install graphviz) or from "
                f"https://graphviz.org/download {otherwise}"
            ) from None

    def save(self, path: str | Path) -> None:
        """Write the drawing to `path`: .dot or .gv for text, .svg, .png or .pdf for pictures."""
        path = Path(path)
        suffix = path.suffix.lower()
        is_text = suffix in (".dot", ".gv")
        if not is_text and suffix not in (".svg", ".png", ".pdf"):
            raise ValueError(
                f"draw: {str(path)!r} should end in one of .dot, .gv, .svg, .png, .pdf"
            )
        path.write_bytes(self.source.encode() if is_text else self.render(suffix[1:]))

    def _repr_svg_(self) -> str | None:
        with suppress(ImportError, RuntimeError):
            return self.render("svg").decode()
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        picture = self._repr_svg_()
        if picture is None:
            text = f"<pre>{html.escape(self.source)}</pre>"
            return {"text/plain": self.source, "text/html": text}
        return {"text/plain": repr(self), "image/svg+xml": picture}


Inputs = Mapping[Value, Sequence[Value]]  # the values of a graph, inputs first

_VARIABLE, _CONSTANT, _OP, _ADJOINT = "#cfe2f3", "#eeeeee", "#ffffff", "#fce0c8"

_HEAD = """\
digraph needle {
  rankdir=TB
  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", fontsize=11]
  edge [color="#666666", arrowsize=0.7]
  graph [fontname="Helvetica", fontsize=11, color="#999999", style="rounded"]"""


def draw(
    values: Value | Sequence[Value],
    path: str | Path | None = None,
    *,
    module: Module | Recording | None = None,
    names: Names = None,
    gradients: Iterable[Value] = (),
    max_nodes: int | None = 500,
) -> Drawing:
    """Draw the graph of one or several values.

    Each value is a box: its op with the op's parameters, or the name of a leaf, then shape and
    dtype. Values that require no gradient keep no op, and are constants. Lazy values are drawn
    without being computed. Adjoints, which only gradients depend on, have another colour.

    Args:
        values: Tensors or TensorTuples. The `.grad` of a leaf is drawn as a gradient.
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
        >>> "MulScalar(scalar=3)" in drawing.source
        True
    """
    if max_nodes is not None and max_nodes < 1:
        raise ValueError(f"draw: max_nodes must be positive or None, got {max_nodes}")
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
    known = {**named_values(model, order), **named_values(names, order)}

    limit = len(inputs) if max_nodes is None else max_nodes
    shown = _nearest([drawn_as.get(value, value) for value in given], inputs, limit)
    numbers = {node: number for number, node in enumerate(filter(shown.__contains__, inputs))}
    boxes: dict[str | None, list[str]] = {}  # by the path of the module around them
    arrows = []
    for node, number in numbers.items():
        box = _box(node, outputs.get(node, node).op, known, leaves, forward)
        boxes.setdefault(homes.get(node), []).append(f"n{number} {box}")
        arrows += [f"  n{numbers[each]} -> n{number}" for each in inputs[node] if each in shown]
        if not shown.issuperset(inputs[node]):
            arrows.append(f"  hidden -> n{number} [style=dashed]")
    lines = [_HEAD, *_framed(model, boxes)]
    if hidden := len(inputs) - len(shown):
        label = _quoted(f"… {hidden:,} more values, not drawn")
        lines.append(f'  hidden [label={label}, style="dashed,filled", fillcolor="{_OP}"]')
    drawing = Drawing("\n".join([*lines, *arrows, "}"]) + "\n", len(shown))
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


def _box(
    node: Value, op: Any, known: dict[Value, str], leaves: dict[Value, Value], forward: set[Value]
) -> str:
    """The text and the colour of a value that `op` made; `leaves` has the leaf of each gradient."""
    lines = []
    if node in leaves:
        lines.append(f"gradient of {known.get(leaves[node], 'a leaf')}")
    if node in known:
        lines.append(known[node])
    if op is not None:
        parameters = ", ".join(f"{name}={text}" for name, text in op_parameters(op).items())
        lines.append(op_name(op) + (f"({parameters})" if parameters else ""))
    elif node not in known:
        number = constant_value(node)
        kind = type(node).__name__ if node.requires_grad else "constant"
        lines.append(kind if number is None else number_term(number).text)
    data = node.cached_data  # a lazy value is not computed
    if data is None:
        lines.append("not computed yet")
    else:
        arrays = data if isinstance(data, tuple) else (data,)
        lines.append(", ".join(f"{array.dtype} {tuple(array.shape)}" for array in arrays))
    colour = _CONSTANT if node.is_leaf() else _OP
    if node.is_leaf() and (node.requires_grad or node in known):
        colour = _VARIABLE
    elif node not in forward:
        colour = _ADJOINT
    label = _quoted("\n".join(lines))
    return f'[label={label}, fillcolor="{colour}"]'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _framed(model: Module | None, boxes: Mapping[str | None, Sequence[str]]) -> Iterator[str]:
    """The boxes, each inside the frames of its module and of those around it."""
    yield from (f"  {box}" for box in boxes.get(None, ()))
    around: list[str] = []  # the modules whose frames are open
    for number, (path, part) in enumerate(model.named_modules() if model else ()):
        if not any(home is not None and _holds(path, home) for home in boxes):
            continue
        while around and not _holds(around[-1], path):
            yield "  " * len(around) + "}"
            around.pop()
        around.append(path)
        indent = "  " * len(around)
        kind = type(part).__name__
        yield f"{indent}subgraph cluster_{number} {{"
        yield f"{indent}  label={_quoted(f'{path} ({kind})' if path else kind)}"
        yield from (f"{indent}  {box}" for box in boxes.get(path, ()))
    yield from ("  " * depth + "}" for depth in range(len(around), 0, -1))


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
