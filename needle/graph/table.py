"""trace_table: a computation step by step, with forward and reverse derivatives."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor, Value, compute_adjoints, enable_grad, find_topo_sort, no_grad
from ..ops import AddScalar, EWiseAdd, Negate
from .expression import Names, Terms, named_values, whole_output

__all__ = ["TraceRow", "TraceTable", "aligned", "trace_table"]


@dataclass(frozen=True)
class TraceRow:
    """One value of a computation, with its derivatives; None stands for those that are zero.

    Example:
        >>> import needle as ndl
        >>> table = ndl.graph.trace_table(lambda x: x * x, 3.0)
        >>> row = table.rows[1]
        >>> row.formula, row.value.item(), row.tangents[0].item()
        ('v1 * v1', 9.0, 6.0)
    """

    name: str  # v1, v2, ...
    formula: str
    value: Any  # an array, or a tuple of arrays for a tuple of tensors
    tangents: tuple[Any, ...]  # one for each input
    adjoint: Any


@dataclass(frozen=True)
class TraceTable:
    """The result of `trace_table`; `str()` and notebooks show it as a table.

    Example:
        >>> import needle as ndl
        >>> table = ndl.graph.trace_table(lambda x: x * x, 3.0)
        >>> print(table.to_markdown())
        | node | formula | value | tangent x | adjoint |
        | --- | --- | ---: | ---: | ---: |
        | v1 | `x` | 3 | 1 | 6 |
        | v2 | `v1 * v1` | 9 | 6 | 1 |
    """

    rows: tuple[TraceRow, ...]  # a row for each value, the inputs first
    inputs: tuple[str, ...]  # their names
    precision: int = 3  # the number of decimals shown

    def _cells(self) -> list[list[str]]:
        """The table as text, cell by cell, headings first."""
        cells = [["node", "formula", "value", *[f"tangent {x}" for x in self.inputs], "adjoint"]]
        for row in self.rows:
            numbers = (row.value, *row.tangents, row.adjoint)
            cells.append([row.name, row.formula, *[self._text(number) for number in numbers]])
        return cells

    def _text(self, array: Any) -> str:
        """An array on one line; a large one by its dtype and shape."""
        if array is None:
            return "0"
        if isinstance(array, tuple):
            return f"({', '.join(map(self._text, array))})"
        if array.size > 12:
            return f"{array.dtype} {array.shape}"
        text = np.array2string(array, separator=", ", formatter={"all": self._number_text})
        return " ".join(text.split())

    def _number_text(self, number: Any) -> str:
        """A number; a float with `precision` decimals and no trailing zeros."""
        if not isinstance(number, np.floating):
            return str(number)
        if number and not 10.0**-self.precision <= abs(number) < 1e6:
            return f"{number:.{self.precision}g}"
        return np.format_float_positional(number, self.precision, trim="-")

    def __str__(self) -> str:
        return "\n".join(aligned(self._cells()))

    __repr__ = __str__

    def to_markdown(self) -> str:
        """The table in Markdown."""
        heading, *rows = self._cells()
        rows = [[name, f"`{formula}`", *numbers] for name, formula, *numbers in rows]
        rule = ["---", "---", *["---:"] * (len(heading) - 2)]
        return "\n".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
            for row in (heading, rule, *rows)
        )

    _repr_markdown_ = to_markdown


def trace_table(
    f: Callable[..., Tensor], *inputs: Any, names: Names = None, precision: int = 3
) -> TraceTable:
    """Trace f at a point: every value, its tangents and its adjoint.

    The values are v1, v2, ...: the inputs, then the others by their depth in the graph. The columns
    are the forward trace (the values), the forward-mode trace (for each input, the derivative of
    v_i along it; for an input with axes, along all its elements at once) and the reverse trace (the
    adjoint ∂y/∂v_i of the result y, or of its sum). A difference, which is the sum of a and -b in
    the graph, is one value.

    Args:
        f: takes the inputs, returns a Tensor; anything else is a TypeError.
        inputs: Tensors (of which copies are traced), arrays or numbers.
        names: names of other Tensors in formulas, as for `expression`; the others are c1, c2, ...
        precision: the number of decimals shown.

    Example:
        >>> import needle as ndl
        >>> table = ndl.graph.trace_table(
        ...     lambda x1, x2: ndl.log(x1) + x1 * x2 - ndl.sin(x2), 2.0, 5.0
        ... )
        >>> print(table)
        node  formula   value  tangent x1  tangent x2  adjoint
        v1    x1            2           1           0      5.5
        v2    x2            5           0           1    1.716
        v3    log(v1)   0.693         0.5           0        1
        v4    v1 * v2      10           5           2        1
        v5    sin(v2)  -0.959           0       0.284       -1
        v6    v3 + v4  10.693         5.5           2        1
        v7    v6 - v5  11.652         5.5       1.716        1
    """
    leaves = [_leaf(value) for value in inputs]
    with enable_grad():
        result = f(*leaves)
    if not isinstance(result, Tensor):
        raise TypeError(f"trace_table: f returned a {type(result).__name__}, not a Tensor")
    order, nodes = _order_and_rows(leaves, result)
    labels = {node: f"v{number}" for number, node in enumerate(nodes, start=1)}
    input_names = _input_names(f, len(leaves))
    outside = named_values(names, find_topo_sort([result]))
    terms = Terms({**outside, **labels}, letters="cc")
    formulas = dict(zip(leaves, input_names, strict=True))
    # the formulas first: a lazy value that requires no gradient forgets its op when it is computed
    for node in order:
        term = terms.formula(node)
        terms.setdefault(node, term)
        formulas[node] = term.text
    with no_grad():
        columns = [*(_tangents(leaf, order) for leaf in leaves), _adjoints(result, order, leaves)]
    rows = []
    for node in nodes:
        found = [column.get(node) for column in columns]
        data = [None if each is None else each.realize_cached_data() for each in found]
        formula = formulas.get(node, "a constant")
        value = node.realize_cached_data()
        rows.append(TraceRow(labels[node], formula, value, tuple(data[:-1]), data[-1]))
    return TraceTable(tuple(rows), tuple(input_names), precision)


def _leaf(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return Tensor(value)
    array = np.asarray(value)
    return Tensor(array, dtype=None if array.dtype.kind == "f" else np.float64)


def _input_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first parameters; x1, x2, ... if it does not name them all."""
    names: list[str] = []
    with suppress(TypeError, ValueError):  # written in C
        parameters = inspect.signature(f).parameters.values()
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return names[:count] if len(names) >= count else [f"x{number + 1}" for number in range(count)]


def _order_and_rows(leaves: Sequence[Any], result: Any) -> tuple[list[Any], list[Any]]:
    """The values made from `leaves` in topological order, and the table's rows ordered by depth."""
    depending = set(leaves)
    order = []
    for node in find_topo_sort([result]):
        if not depending.isdisjoint(node.inputs):
            depending.add(node)
            order.append(node)
    uses = Counter(operand for node in order for operand in node.inputs)
    parts = {part for node in order if uses[part := _part(node)] == 1}
    depths = dict.fromkeys(leaves, 0)
    for node in order:
        below = max(depths.get(operand, 0) for operand in node.inputs)
        depths[node] = below if node in parts else below + 1
    depths.setdefault(result, 0)  # it depends on no input
    return order, sorted((node for node in depths if node not in parts), key=depths.__getitem__)


def _part(node: Any) -> Value | None:
    """The operand that is part of the formula of `node`: -b of a - b, the outputs of its op."""
    position = {EWiseAdd: 1, AddScalar: 0}.get(type(node.op))
    if position is not None and isinstance(node.inputs[position].op, Negate):
        return node.inputs[position]
    return whole_output(node)


def _tangents(leaf: Tensor, order: Sequence[Any]) -> dict[Value, Any]:
    """The tangent of each value along `leaf`, in forward mode."""
    tangents: dict[Value, Any] = {leaf: Tensor.make_const(np.ones_like(leaf.cached_data))}
    for node in order:
        incoming = [tangents.get(operand) for operand in node.inputs]
        if node.requires_grad and any(tangent is not None for tangent in incoming):
            tangents[node] = node.op.tangent(incoming, node)
    return tangents


def _adjoints(result: Tensor, order: Sequence[Value], leaves: Sequence[Value]) -> dict[Value, Any]:
    """The adjoint of each value, in reverse mode."""
    seed = Tensor.make_const(np.ones_like(result.realize_cached_data()))
    adjoints: dict[Value, Any] = {result: seed}
    with ExitStack() as stack:
        for node in order:  # setitem returns None, so that the hook replaces nothing
            stack.enter_context(node.register_hook(partial(adjoints.__setitem__, node)))
        found = compute_adjoints([result], [seed], leaves)
    return {**adjoints, **dict(zip(leaves, found, strict=True))}


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: two columns aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<", "<", *">" * (len(widths) - 2)]
    line = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [line.format(*row).rstrip() for row in table]
