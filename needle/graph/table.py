"""trace_table: a computation step by step, with forward and reverse derivatives."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor, Value, compute_adjoints, enable_grad, find_topo_sort, no_grad
from ..ops import AddScalar, EWiseAdd, Negate
from .names import Names, Operands, named_values, whole_output
from .terms import ATOM, Term

__all__ = ["TraceRow", "TraceTable", "aligned", "trace_table"]


@dataclass(frozen=True)
class TraceRow:
    """One value of a computation, with its derivatives; None stands for those that are zero."""

    name: str  # v1, v2, ...
    formula: str
    value: Any  # an array, or a tuple of arrays for a tuple of tensors
    tangents: tuple[Any, ...]  # one for each input
    adjoint: Any


@dataclass(frozen=True)
class TraceTable:
    """The result of `trace_table`; `str()` and notebooks show it as a table."""

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

    def _text(self, number: Any) -> str:
        """An array on one line; a large one by its dtype and shape."""
        if number is None:
            return "0"
        if isinstance(number, tuple):
            return f"({', '.join(map(self._text, number))})"
        if number.size > 12:
            return f"{number.dtype} {number.shape}"
        return _decimal_text(number.tolist(), self.precision)

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
        >>> table.rows[6].value.item()
        11.652071455223084
    """
    leaves = [_leaf(value) for value in inputs]
    with enable_grad():
        result = f(*leaves)
    if not isinstance(result, Tensor):
        raise TypeError(f"trace_table: f returned a {type(result).__name__}, not a Tensor")
    order, fused = _depending_on(leaves, result)
    nodes = [*leaves, *_by_level(order, fused)]
    if result not in set(nodes):  # it depends on no input
        nodes.append(result)
    labels = {node: f"v{number}" for number, node in enumerate(nodes, start=1)}
    input_names = _input_names(f, len(leaves))
    # the formulas first: a lazy value that requires no gradient forgets its op when it is computed
    formulas = _formulas(order, labels, named_values(names, find_topo_sort([result])))
    formulas.update(zip(leaves, input_names, strict=True))
    with no_grad():
        tangents = [_tangents(leaf, order) for leaf in leaves]
        adjoints = _adjoints(result, order, leaves)
    rows = [
        TraceRow(
            labels[node],
            formulas.get(node, "a constant"),
            node.realize_cached_data(),
            tuple(_data(column.get(node)) for column in tangents),
            _data(adjoints.get(node)),
        )
        for node in nodes
    ]
    return TraceTable(tuple(rows), tuple(input_names), precision)


def _leaf(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return Tensor(value)
    array = np.asarray(value)
    return Tensor(array, dtype=None if array.dtype.kind == "f" else np.float64)


def _input_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first parameters; x1, x2, ... if it does not name them all."""
    names = []
    with suppress(TypeError, ValueError):  # written in C
        names = [
            parameter.name
            for parameter in inspect.signature(f).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    return names[:count] if len(names) >= count else [f"x{number + 1}" for number in range(count)]


# --- the values and their formulas


def _depending_on(leaves: Sequence[Value], result: Value) -> tuple[list[Any], set[Value]]:
    """The values made from `leaves`, in topological order, and those that are no rows."""
    depending = set(leaves)
    order: list[Any] = []
    uses: Counter[Value] = Counter()
    for node in find_topo_sort([result]):
        if not depending.isdisjoint(node.inputs):
            depending.add(node)
            order.append(node)
            uses.update(node.inputs)
    parts = {_part(node) for node in order}
    fused = {node for node in order if node in parts and uses[node] == 1}
    return order, fused


def _part(node: Any) -> Value | None:
    """The operand that is part of the formula of `node`: -b of a - b, the outputs of its op."""
    position = {EWiseAdd: 1, AddScalar: 0}.get(type(node.op))
    if position is not None and isinstance(node.inputs[position].op, Negate):
        return node.inputs[position]
    return whole_output(node)


def _by_level(order: Sequence[Value], fused: set[Value]) -> list[Value]:
    """The values that are rows: what depends on the inputs alone, what depends on that, ..."""
    levels: dict[Value, int] = {}
    for node in order:
        below = max(levels.get(operand, 0) for operand in node.inputs)
        levels[node] = below if node in fused else below + 1
    return sorted((node for node in order if node not in fused), key=levels.__getitem__)


def _formulas(
    order: Sequence[Value], labels: Mapping[Value, str], known: Mapping[Value, str]
) -> dict[Value, str]:
    """The formula of each value in terms of the others' labels."""
    operands = Operands(known, letters="cc")
    operands.terms.update({node: Term(label, ATOM) for node, label in labels.items()})
    formulas = {}
    for node in order:
        term = operands.formula(node)
        if node in labels:
            formulas[node] = term.text
        else:
            operands.terms[node] = term
    return formulas


# --- the traces


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
    # setitem returns None, so that the hook replaces nothing
    handles = [node.register_hook(partial(adjoints.__setitem__, node)) for node in order]
    found = compute_adjoints([result], [seed], leaves)
    for handle in handles:
        handle.remove()
    return {**adjoints, **dict(zip(leaves, found, strict=True))}


def _data(value: Any) -> Any:
    return None if value is None else value.realize_cached_data()


# --- tables and numbers as text


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: two columns aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if column > 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _decimal_text(numbers: Any, precision: int) -> str:
    """A number, or nested lists of numbers, with `precision` decimals and no trailing zeros."""
    if isinstance(numbers, list):
        return f"[{', '.join(_decimal_text(number, precision) for number in numbers)}]"
    if not isinstance(numbers, float) or not math.isfinite(numbers):
        return str(numbers)
    if numbers and not 10.0**-precision <= abs(numbers) < 1e6:
        return f"{numbers:.{precision}g}"
    text = f"{numbers:.{precision}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
