"""The source of a kernel: loops over the elements of a group of nodes.

Rows are the axes that values per row vary along, or all axes but the last one. A kernel passes over
the elements of a row as often as it has to wait for a reduction of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..program import Node, kind_of, set_item
from .barriers import Access, access
from .expressions import converted, expression, literal, name_of_dtype
from .groups import Group, Grouping, is_pick
from .layout import Place, contiguous
from .loops import Loops
from .passes import Passes, is_number

__all__ = ["Kernel"]

_Use = tuple[Place, tuple[int | None, ...]]

LONGEST = 2048
"""How many float32 numbers are added up in float32: LLVM does so in 32 to 64 parts at once."""

_IDENTITIES: dict[Any, Callable[[Any], Any]] = {
    np.sum: lambda dtype: 0,
    np.prod: lambda dtype: 1,
    np.any: lambda dtype: False,
    np.all: lambda dtype: True,
    np.max: lambda dtype: -np.inf if dtype.kind == "f" else _limits(dtype)[0],
    np.min: lambda dtype: np.inf if dtype.kind == "f" else _limits(dtype)[1],
}
_COMBINED = {
    np.sum: "{0} + {1}", np.prod: "{0} * {1}", np.max: "maximum({0}, {1})",
    np.min: "minimum({0}, {1})", np.any: "{0} | {1}", np.all: "{0} & {1}",
}  # fmt: skip


_OF_FLOATS = {np.sum: "plus({0}, {1})", np.prod: "times({0}, {1})"}  # in any order


def _combined(node: Node, total: str, value: str) -> str:
    """A part of a reduction and one more value."""
    is_float = node.dtype.kind == "f" and node.function in _OF_FLOATS
    return (_OF_FLOATS if is_float else _COMBINED)[node.function].format(total, value)


def _limits(dtype: Any) -> tuple[Any, Any]:
    return (False, True) if dtype.char == "?" else (np.iinfo(dtype).min, np.iinfo(dtype).max)


class Kernel:
    """A group as source text and the arguments that the text wants, in order.

    `arguments` are Places, for whose addresses the kernel asks, then sizes and strides.
    """

    def __init__(
        self,
        grouping: Grouping,
        group: Group,
        stored: dict[Node, Place],
        place_of: Callable[[Node], Place],
    ) -> None:
        self.grouping, self.group = grouping, group
        self.stored, self.place_of = stored, place_of
        self.passes = Passes(grouping, group)
        self._names = 0
        self.loops = Loops(group, [*self._reads(), *self._writes()])
        self.loops.divided = self._divided()
        self.source = self._written()
        self.arguments: list[Any] = self.loops.arguments

    # --- the space

    def _reads(self) -> Iterator[_Use]:
        """What is read from memory, with the axes of the space."""
        for node in self.group.nodes:
            for operand, axes in self.grouping.uses(self.group, node):
                base = self.grouping.base(operand)
                if base not in self.passes.inside and not is_number(base):
                    yield self.place_of(operand), axes

    def _writes(self) -> Iterator[_Use]:
        return (self._target(node) for node in self.group.nodes if node in self.stored)

    @property
    def work(self) -> int:
        """About how many operations it takes."""
        return len(self.group.nodes) * math.prod(length for length, _ in self.loops.dims)

    def memory(self, first: int = 0, last: int = 0) -> Iterator[Access]:
        """What it reads and writes, with these bounds of the divided loop."""
        loops = self.loops
        bounds = [(0, length) for length, _ in loops.dims]
        if loops.divided is not None:
            bounds[loops.divided] = first, last
        for uses, is_write in ((self._reads(), False), (self._writes(), True)):
            for place, axes in uses:
                steps = zip(loops.strides(place, axes), bounds, strict=True)
                yield access(place, [(stride, *each) for stride, each in steps], is_write)

    def _target(self, node: Node) -> _Use:
        """Where a node is written, and along which axes: a copy in the order of its operand."""
        place = self.stored[node]
        if kind_of(node) != "view":
            return place, self.group.axes[node]
        layout = contiguous(node, node.operands[0].shape)
        layout = replace(layout, offset=place.layout.offset)
        return Place(place.home, layout), self.group.whole[node]

    def _divided(self) -> int | None:
        """The first loop whose turns write to different elements and need nothing of each other."""
        targets = [self.loops.pattern(*self._target(node)) for node in self.stored]
        has_rows = self.group.outer is not None
        loops = range(self.loops.rows if has_rows else len(self.loops.dims))
        return next((loop for loop in loops if all(target[loop] for target in targets)), None)

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    # --- the text

    def _written(self) -> str:
        row, passes = self._row()
        inner = range(self.loops.rows, len(self.loops.dims))
        # the bodies first: they tell what the loops around them must provide
        text: list[str] = []
        for before, body, after in passes:
            text += before
            if body:
                text += self.loops.around(inner, body)
            text += after
        text = self.loops.around(range(self.loops.rows), [*row, *text])
        return self.loops.function([*self._top, *text, *self._bottom])

    def _row(self) -> tuple[list[str], list[tuple[list[str], list[str], list[str]]]]:
        """The statements of a row, and for each pass those before, in and after it."""
        self._top: list[str] = []
        self._bottom: list[str] = []
        self._row_names: dict[Any, str] = {}
        self._loads: list[str] = []  # at the head of a row
        group, passes = self.group, self.passes
        count = 1 + max(passes.number.values())
        parts: list[tuple[list[str], list[str], list[str]]] = []
        rows = [node for node in group.nodes if passes.is_row(node)]
        done: set[Node] = set()
        for number in range(count):
            self._now = number
            self._cells: dict[Any, str] = {}
            before: list[str] = []
            body: list[str] = []
            after: list[str] = []
            self._before = before
            self._stores: list[str] = []
            for node in rows:  # values per row that are known by now
                if node not in done and passes.number[node] <= number:
                    done.add(node)
                    before += self._row_value(node)
            for node in group.nodes:
                self._in_pass(node, number, before, body, after)
            parts.append((before, body + self._stores, after))
        return self._loads, parts

    def _in_pass(
        self, node: Node, number: int, before: list[str], body: list[str], after: list[str]
    ) -> None:
        """What a pass does for a node: store it, or add it up."""
        group, passes = self.group, self.passes
        is_end = node in group.ends
        if passes.is_row(node):
            if passes.is_sum(node) and passes.number[node] == number + 1:
                name = self._row_names.setdefault(node, self._name())
                before.append(f"{name} = {self._identity(node, self._wide(node))}")
                body.append(f"{name} = {self._combined(node, name, self._whole(node, body))}")
            return
        if passes.number[node] != number:
            return
        if is_end:
            self._end(node, before, body, after)
        elif node in self.stored:
            value = self._value(node, body)
            # at the end of the pass: what is there may be read until then
            self._stores.append(f"{self.loops.element(*self._target(node))} = {value}")

    def _wide(self, node: Node) -> Any:
        """The dtype in which a reduction is added up: many float32 numbers in float64."""
        count = np.prod([length for length, _ in self.loops.dims[self.loops.rows :]])
        is_long = count > LONGEST or (self.loops.rows > 0 and node in self.group.ends)
        is_narrow = node.dtype.char == "f" and node.function is np.sum
        return np.dtype("f8") if is_long and is_narrow else node.dtype

    def _identity(self, node: Node, dtype: Any = None) -> str:
        dtype = node.dtype if dtype is None else dtype
        return literal(_IDENTITIES[node.function](dtype), dtype)

    def _combined(self, node: Node, total: str, value: str) -> str:
        if node.function in (np.any, np.all):
            value = f"({value} != {literal(0, node.operands[0].dtype)})"
        elif node.operands[0].dtype != node.dtype:
            value = f"{name_of_dtype(node.dtype)}({value})"
        text = _combined(node, total, value)
        is_narrow = node.dtype.kind in "iu" and node.dtype.itemsize < 8
        return f"{node.dtype.name}({text})" if is_narrow else text

    def _whole(self, node: Node, body: list[str]) -> str:
        """The operand of a reduction, in the middle of the loops."""
        return self._of(node.operands[0], self.group.whole[node], body)

    def _end(self, node: Node, before: list[str], body: list[str], after: list[str]) -> None:
        """Add up what ends the kernel: in memory, in a variable of the row, or in one for all."""
        place, axes = self.stored[node], self.group.axes[node]
        pattern = self.loops.pattern(place, axes)
        deepest = max([i for i, stride in enumerate(pattern) if stride], default=-1)
        is_of_rows = self.group.is_of_rows(node)
        value = (
            self._row_of(node.operands[0], self.group.whole[node])
            if is_of_rows
            else self._whole(node, body)
        )
        element = self.loops.element(place, axes)
        target = after if is_of_rows else body
        if deepest < 0:
            total = self._name()
            self._top.append(f"{total} = {self._identity(node, self._wide(node))}")
            target.append(f"{total} = {self._combined(node, total, value)}")
            self._bottom.append(f"{element} = {total}")
            return
        if is_of_rows or deepest >= self.loops.rows:
            target.append(f"{element} = {self._combined(node, element, value)}")
        else:
            total = self._name()
            wide = self._wide(node)
            before.append(f"{total} = {self._identity(node, wide)}")
            body.append(f"{total} = {self._combined(node, total, value)}")
            after.append(
                f"{element} = {_combined(node, element, converted(total, wide, node.dtype))}"
            )
        self._top += self.loops.filled(pattern, place, self._identity(node))

    # --- values

    def _row_value(self, node: Node) -> list[str]:
        """Statements that compute the value of a row, and store it."""
        lines: list[str] = []
        if self.passes.is_sum(node):
            name, total = self._name(), self._row_names[node]  # added up by the pass before
            lines.append(f"{name} = {converted(total, self._wide(node), node.dtype)}")
        elif is_pick(node):
            name = self._picked(node, lines)
        elif node in self.group.whole:  # a sum over axes of length 1
            name = self._name()
            value = self._row_of(node.operands[0], self.group.whole[node])
            lines.append(f"{name} = {converted(value, node.operands[0].dtype, node.dtype)}")
        else:
            axes_of = dict(self.grouping.uses(self.group, node))
            operands = [
                (self._row_of(each, axes_of[each]), each.dtype)
                if isinstance(each, Node)
                else (each, None)
                for each in node.operands
            ]
            name = self._name()
            lines.append(f"{name} = {expression(node, operands)}")
        self._row_names[node] = name
        if node in self.stored:
            lines.append(f"{self.loops.element(self.stored[node], self.group.axes[node])} = {name}")
        return lines

    def _row_of(self, operand: Node, axes: tuple[int | None, ...]) -> str:
        """A value of the row."""
        base = self.grouping.base(operand)
        if is_number(base):
            return literal(base.array.item(), base.dtype)
        if base in self.passes.inside:
            return self._row_names[base]
        return self._loaded(operand, axes)

    def _loaded(self, operand: Node, axes: tuple[int | None, ...]) -> str:
        """A value that is the same all along a row, loaded at its head."""
        place = self.place_of(operand)
        pattern = self.loops.pattern(place, axes)
        element = self.loops.element(place, axes)
        if element not in self._row_names:
            name = self._row_names[element] = self._name()
            (self._loads if any(pattern) else self._top).append(f"{name} = {element}")
        return self._row_names[element]

    def _index(self, node: Node, lines: list[str]) -> str:
        """The column that a pick takes, as NumPy counts it."""
        columns = node.operands[1][1]
        column = self._row_of(columns, self.group.whole[node][:1])
        size = f"n{len(self.loops.dims) - 1}"  # a row is the last axis
        name = self._name()
        lines.append(f"{name} = int64({column})")
        lines.append(
            f"{name} = min(max(select({name} < 0, {name} + {size}, {name}), 0), {size} - 1)"
        )
        return name

    def _picked(self, node: Node, lines: list[str]) -> str:
        """One element of the row."""
        column = self._index(node, lines)
        self._cells, cells = {}, self._cells
        value = self._of(node.operands[0], self.group.whole[node], lines, column)
        self._cells = cells
        return value

    def _of(
        self, operand: Node, axes: tuple[int | None, ...], body: list[str], column: str = ""
    ) -> str:
        """An operand in the middle of the loops, or in one column."""
        base = self.grouping.base(operand)
        if is_number(base):
            return literal(base.array.item(), base.dtype)
        if base in self.passes.inside:
            if self.passes.is_row(base):
                return self._row_names[base]
            return self._value(base, body, column)
        place = self.place_of(operand)
        if not any(self.loops.pattern(place, axes)[self.loops.rows :]):
            return self._loaded(operand, axes)
        return self._cell(self.loops.element(place, axes, column), body)

    def _cell(self, element: str, body: list[str]) -> str:
        if element not in self._cells:
            name = self._cells[element] = self._name()
            body.append(f"{name} = {element}")
        return self._cells[element]

    def _value(self, node: Node, body: list[str], column: str = "") -> str:
        """The value of a node in the middle of the loops."""
        if node in self._cells:
            return self._cells[node]
        if node in self.stored and self.passes.number[node] < self._now:
            element = self.loops.element(*self._target(node), column)
            return self._cell(element, body)
        if kind_of(node) == "view":
            return self._whole(node, body)
        if node.function is set_item and is_pick(node):
            value = self._changed(node, body, column)
        else:
            axes_of = dict(self.grouping.uses(self.group, node))
            operands = [
                (self._of(each, axes_of[each], body, column), each.dtype)
                if isinstance(each, Node)
                else (each, None)
                for each in node.operands
            ]
            value = expression(node, operands)
        name = self._cells[node] = self._name()
        body.append(f"{name} = {value}")
        return name

    def _changed(self, node: Node, body: list[str], column: str) -> str:
        """A matrix of which one element of each row is another."""
        key = "index", node
        if key not in self._row_names:
            lines: list[str] = []
            self._row_names[key] = self._index(node, lines)
            self._before += lines
        values = node.operands[2]
        old = self._of(node.operands[0], self.group.whole[node], body, column)
        axes = self.group.whole[node][:1] if isinstance(values, Node) and values.shape else ()
        new = (
            self._row_of(values, axes) if isinstance(values, Node) else literal(values, node.dtype)
        )
        if isinstance(values, Node) and values.dtype != node.dtype:
            new = f"{name_of_dtype(node.dtype)}({new})"
        at = column or f"i{len(self.loops.dims) - 1}"
        return f"select({at} == {self._row_names[key]}, {new}, {old})"
