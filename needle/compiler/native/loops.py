"""The loops of a kernel, and where in memory they are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from .expressions import name_of_dtype
from .groups import Group
from .layout import Place

__all__ = ["Loops"]

_Access = tuple[Place, tuple[int | None, ...]]


class Loops:
    """Loops over the axes of a group's space, as few as the layouts of all operands allow.

    Lengths and strides are arguments of the kernel, except strides that follow from the lengths:
    one source serves operands of many shapes. The first `rows` loops go over rows.
    """

    def __init__(self, group: Group, accesses: list[_Access]) -> None:
        self.group = group
        self._operands: dict[Any, str] = {}
        self._homes: dict[Hashable, int] = {}
        self._strides: dict[int, str] = {}
        self._patterns: dict[tuple[str, ...], int] = {}
        self._places: list[Place] = []
        self.dims = self._dimensions(accesses)
        self.divided: int | None = None
        """The loop of which threads may run parts, from `first` to `last`."""

    @property
    def arguments(self) -> list[Any]:
        """What the kernel wants: operands, for whose addresses it asks, lengths and strides.

        With a divided loop, its bounds are the last.
        """
        found = [*self._places, *[length for length, _ in self.dims], *self._strides]
        return found if self.divided is None else [*found, 0, self.dims[self.divided][0]]

    def function(self, lines: list[str]) -> str:
        """A kernel with this body."""
        head = ["def kernel(arguments):"]
        for number, ((home, _, _, dtype), name) in enumerate(self._operands.items()):
            kind, scope = name_of_dtype(dtype), self._homes[home]
            head.append(f"    {name} = operand(arguments, {number}, {kind}, {scope})")
        count = len(self._operands)
        names = [f"n{i}" for i in range(len(self.dims))] + list(self._strides.values())
        names += [] if self.divided is None else ["first", "last"]
        used = "\n".join(lines)
        for i, name in enumerate(names):
            if name in used:
                head.append(f"    {name} = arguments[{count + i}]")
        return "\n".join([*head, *[f"    {line}" for line in lines], ""])

    def _by_axis(self, place: Place, axes: tuple[int | None, ...]) -> dict[int, int]:
        """The stride of each axis of the space, in elements."""
        strides = dict.fromkeys(self.group.lengths, 0)
        size = place.layout.dtype.itemsize
        for axis, stride in zip(axes, place.layout.strides, strict=True):
            if axis is not None:
                strides[axis] += stride // size
        return strides

    def _dimensions(self, accesses: list[_Access]) -> list[tuple[int, list[int]]]:
        """Loops from the outermost: the length and the axes of each. Axes in one piece are one."""
        group = self.group
        outer = [axis for axis in group.lengths if axis in (group.outer or ())]
        inner = [axis for axis in group.lengths if axis not in (group.outer or ())]
        strides = [self._by_axis(*access) for access in accesses]
        parts = []
        for axes in (outer, inner):
            merged: list[list[int]] = []
            for axis in axes:
                length = group.lengths[axis]
                if merged and all(s[merged[-1][-1]] == s[axis] * length for s in strides):
                    merged[-1].append(axis)
                else:
                    merged.append([axis])
            parts.append(merged)
        self.rows = len(parts[0]) if group.outer is not None else max(len(parts[1]) - 1, 0)
        every = [*parts[0], *parts[1]]
        return [(int(np.prod([group.lengths[a] for a in axes])), axes) for axes in every]

    def strides(self, place: Place, axes: tuple[int | None, ...]) -> list[int]:
        """The stride of each loop in bytes."""
        by_axis, size = self._by_axis(place, axes), place.layout.dtype.itemsize
        return [by_axis[axes_[-1]] * size for _, axes_ in self.dims]

    def pattern(self, place: Place, axes: tuple[int | None, ...]) -> tuple[str, ...]:
        """The stride of each loop as text: "" for none, and the product of the inner lengths."""
        by_axis = self._by_axis(place, axes)
        pattern, packed, text = [], 1, "1"
        for number in reversed(range(len(self.dims))):
            length, axes_ = self.dims[number]
            stride = by_axis[axes_[-1]]
            if stride == packed or stride == 0:
                pattern.append("" if stride == 0 else text)
            else:
                pattern.append(self._strides.setdefault(stride, f"s{len(self._strides)}"))
            packed *= length
            text = f"n{number}" if text == "1" else f"{text} * n{number}"
        return tuple(reversed(pattern))

    def _operand(self, place: Place, pattern: tuple[str, ...]) -> str:
        layout = place.layout
        key = place.home, layout.offset, pattern, layout.dtype
        if key not in self._operands:
            self._operands[key] = f"a{len(self._operands)}"
            self._homes.setdefault(place.home, len(self._homes))
            self._places.append(place)
        return self._operands[key]

    def element(self, place: Place, axes: tuple[int | None, ...], column: str = "") -> str:
        """An element of an operand, in the middle of the loops or in one column of a row."""
        pattern = self.pattern(place, axes)
        name = self._operand(place, pattern)
        if not any(pattern):
            return f"{name}[0]"
        last = len(pattern) - 1
        if column:
            step = column if pattern[last] == "1" else f"{column} * {pattern[last]}"
            return f"{name}[{self._base(pattern, last - 1)} + {step}]"
        return f"{name}[{self._base(pattern, last)}]"

    def _base(self, pattern: tuple[str, ...], loop: int) -> str:
        """Where the element is in the loops up to a number."""
        while loop >= 0 and not pattern[loop]:
            loop -= 1
        if loop < 0:
            return "0"
        number = self._patterns.setdefault(pattern, len(self._patterns))
        if loop < len(pattern) - 1:
            return f"b{number}_{loop}"
        index = f"i{loop}" if pattern[loop] == "1" else f"i{loop} * {pattern[loop]}"
        before = self._base(pattern, loop - 1)
        return index if before == "0" else f"{before} + {index}"

    def _bases(self, loop: int) -> list[str]:
        """Statements at the head of a loop."""
        lines = []
        for pattern, number in self._patterns.items():
            if loop < len(pattern) - 1 and pattern[loop]:
                before = self._base(pattern, loop - 1)
                step = f"i{loop} * {pattern[loop]}" if pattern[loop] != "1" else f"i{loop}"
                sum_ = step if before == "0" else f"{before} + {step}"
                lines.append(f"b{number}_{loop} = {sum_}")
        return lines

    def around(self, loops: range, body: list[str]) -> list[str]:
        for loop in reversed(loops):
            body = [f"    {line}" for line in [*self._bases(loop), *body]]
            body = [f"for i{loop} in range({self._range(loop)}):", *body]
        return body

    def _range(self, loop: int) -> str:
        return "first, last" if loop == self.divided else f"n{loop}"

    def filled(self, pattern: tuple[str, ...], place: Place, value: str) -> list[str]:
        """Loops that fill an operand."""
        loops = [loop for loop, stride in enumerate(pattern) if stride]
        index = " + ".join(
            f"i{loop}" if pattern[loop] == "1" else f"i{loop} * {pattern[loop]}" for loop in loops
        )
        lines = [f"{self._operand(place, pattern)}[{index}] = {value}"]
        for loop in reversed(loops):
            lines = [f"for i{loop} in range({self._range(loop)}):", *[f"    {x}" for x in lines]]
        return lines
