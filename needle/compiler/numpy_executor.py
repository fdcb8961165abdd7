"""The `numpy` executor: NumPy's functions on memory that was planned, without allocations.

A program becomes a Python function of one NumPy call a line. The calls that write new values into
parameters come last, as a list that runs in one piece: Ctrl-C comes before or after them.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from typing import Any

import numpy as np

from ..ops.reductions import sum_over
from .executors import Executable
from .native.blas import addresses, function_of
from .passes.constants import uniform
from .planning import Buffer, Part, Plan
from .program import (
    Captured,
    Constant,
    Input,
    Node,
    Program,
    add_at,
    cast,
    entry,
    gemm,
    getitem,
    kind_of,
    put_along_axis,
    set_item,
)

__all__ = ["NumpyExecutable"]

_INTEGERS = {np.dtype("f4"): "int32", np.dtype("f8"): "int64"}
_PIECE = 32_768  # elements that are updated at a time
_LONGEST_ROW, _LONGEST_COLUMN = 4_096, 16_384  # of sums by products with ones


class NumpyExecutable(Executable):
    """A program as a Python function of NumPy calls."""

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        super().__init__(program, arrays)
        self.plan = Plan(self.program)
        self.names: dict[str, Any] = {
            "np": np, "copyto": np.copyto, "empty": np.empty, "array": np.array,
            "concatenate": np.concatenate, "dot": np.dot, "matmul": np.matmul,
            "sum_over": sum_over, "in_pieces": _in_pieces, "where": np.where,
        }  # fmt: skip
        self._name_of: dict[Node, str] = {}
        self._prologue: list[str] = []  # views of captured arrays
        self._pointers: dict[str, str] = {}  # names of addresses, and of what
        self._rows: dict[str, str] = {}  # names of arrays in C's memory order, and of what
        self._place()
        lines = [
            line for node in self.plan.order[: self.plan.updates_from] for line in self._lines(node)
        ]
        self._updates: list[str] = []
        for run in self._runs(self.plan.order[self.plan.updates_from :]):
            made = [line for node in run for line in self._lines(node)]
            if " = " in made[0]:  # a view of an argument
                lines += made
                continue
            calls = [_as_tuple(line) for line in made]
            if len(run) > 1:
                calls = [f"*in_pieces([{', '.join(calls)}], [{', '.join(self._temporaries(run))}])"]
            self._updates += calls
        lines += self._saved()
        self._updates += [self._copied(leaf, value) for leaf, value in self.plan.copied]
        results = ", ".join(self._result(node, lines) for node in self.program.results)
        self._source = self._written(lines, results)
        exec(compile(self._source, "<compiled step>", "exec"), self.names)
        self.names["apply"] = lambda calls: deque(starmap(operator.call, calls), maxlen=0)
        self._step: Callable[..., list[Any]] = self.names["step"]
        self.bound()

    def passes_left_out(self) -> list[str]:
        return [] if addresses() else ["updates in products"]

    def bound(self) -> None:
        if not hasattr(self, "_step"):
            return
        for node, array in zip(self.captured, self.arrays, strict=True):
            self.names[self._name_of[node]] = array
        self.names["bind"]()

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        return self._step(*arrays)

    def source(self) -> str:
        return self._source

    # --- names and memory

    def _place(self) -> None:
        """Names for all nodes, and the arrays of those whose memory is known."""
        arena = np.empty(self.plan.nbytes + 64, np.uint8)
        start = -arena.ctypes.data % 64
        for i, leaf in enumerate(dict.fromkeys([*self.plan.leaves, *self.captured])):
            if isinstance(leaf, Input):
                self._name_of[leaf] = f"x{leaf.position}"
            elif isinstance(leaf, Constant):
                self._name_of[leaf] = f"c{i}"
                self.names[f"c{i}"] = leaf.array
            else:
                self._name_of[leaf] = f"p{i}"
        for input_ in self.program.inputs:
            self._name_of[input_] = f"x{input_.position}"
        for number, node in enumerate(self.plan.order):
            home = self.plan.home[node]
            name = {"dynamic": "t", "result": "r"}.get(home if isinstance(home, str) else "", "a")
            self._name_of[node] = f"{name}{number}"
            reused = [each for each in node.nodes if self.plan.home.get(each) is home]
            if isinstance(home, Buffer) and reused and reused[0].shape == node.shape:
                self._name_of[node] = self._name_of[reused[0]]  # in place
            elif isinstance(home, Buffer | Part):
                shape: Any = node.shape
                at = start + _offset(home)
                self.names[f"a{number}"] = np.ndarray(shape, node.dtype, arena, at)
            elif isinstance(home, Node) and kind_of(node) != "view":
                self._name_of[node] = self._name_of[home]  # computed in the place of a leaf
            elif isinstance(home, Node) and self._name_of[home] in self.names:
                base = self.names[self._name_of[home]]
                if isinstance(base, np.ndarray):
                    self.names[f"a{number}"] = node.function(base, *node.operands[1:])  # type: ignore[misc]

    def _text(self, tree: Any) -> str:
        """Operands as an expression."""
        if isinstance(tree, Node):
            return self._name_of[tree]
        if isinstance(tree, tuple):
            return f"({', '.join(map(self._text, tree))}{',' if len(tree) == 1 else ''})"
        if isinstance(tree, list):
            return f"[{', '.join(map(self._text, tree))}]"
        if isinstance(tree, slice):
            return f"slice({', '.join(map(self._text, (tree.start, tree.stop, tree.step)))})"
        if tree is None or tree is Ellipsis or tree.__class__ in (bool, int, str):
            return repr(tree)
        if tree.__class__ is float and math.isfinite(tree):
            return repr(tree)
        return self._object(tree)

    def _object(self, thing: Any) -> str:
        """The name of any other object."""
        name = getattr(thing, "__name__", type(thing).__name__)
        name = "".join(letter if letter.isalnum() else "_" for letter in name)
        free, number = name, 0
        while free in self.names and self.names[free] is not thing:
            number += 1
            free = f"{name}_{number}"
        self.names[free] = thing
        return free

    # --- lines

    def _lines(self, node: Node) -> list[str]:
        """The statements that compute a node."""
        name, home = self._name_of[node], self.plan.home[node]
        if name in self.names and kind_of(node) == "view" and isinstance(home, Node):
            return []  # a view of memory that stays where it is
        if kind_of(node) == "view":
            return self._view(node, name, home)
        if home == "dynamic":
            return [f"{name} = {self._call(node)}"]
        made = (
            [f"{name} = empty({node.shape}, {self._object(node.dtype)})"]
            if home == "result"
            else []
        )
        return made + self._written_to(node, name)

    def _view(self, node: Node, name: str, home: Any) -> list[str]:
        if not isinstance(home, Node):  # a reshape that copies
            a = self._text(node.operands[0])
            made = (
                []
                if home != "result"
                else [f"{name} = empty({node.shape}, {self._object(node.dtype)})"]
            )
            return [*made, f"copyto({name}.reshape({a}.shape), {a})"]
        line = f"{name} = {self._call(node)}"
        if isinstance(self.plan.owner(node), Captured) and self._is_steady(node):
            self._prologue.append(line)
            self.names[name] = None
            return []
        return [line]

    def _is_steady(self, node: Node) -> bool:
        """Whether a view of a captured array is one, whatever the layout of that array."""
        while node.function is not None:
            if node.function is np.reshape:
                return False
            node = node.operands[0]
        return True

    def _call(self, node: Node) -> str:
        function = node.function
        if function is getitem:
            return f"{self._text(node.operands[0])}[{self._text(node.operands[1])}]"
        if function is np.reshape:
            return f"{self._text(node.operands[0])}.reshape({node.shape})"
        if function is np.transpose:
            return f"{self._text(node.operands[0])}.transpose({node.operands[1]})"
        if function is entry:
            return f"{self._object(np.asarray)}({self._text(node.operands[0])}[{node.operands[1]}])"
        options = [f"{name}={self._text(value)}" for name, value in node.options.items()]
        return f"{self._object(function)}({', '.join([*map(self._text, node.operands), *options])})"

    def _written_to(self, node: Node, out: str) -> list[str]:
        """The statements that compute a node into the array `out`."""
        function, operands = node.function, node.operands
        kind = kind_of(node)
        if function is cast:
            return [f"copyto({out}, {self._text(operands[0])}, casting='unsafe')"]
        if function is np.where:
            return self._where(node, out)
        if kind == "elementwise":
            return [f"{self._object(function)}({', '.join(map(self._text, operands))}, {out})"]
        if function is gemm:
            return self._gemm(node, out)
        if kind == "product":
            is_flat = all(len(each.shape) == 2 for each in operands) and node.dtype.kind == "f"
            name = (
                "dot"
                if is_flat and operands[0].dtype == operands[1].dtype == node.dtype
                else "matmul"
            )
            return [f"{name}({self._text(operands[0])}, {self._text(operands[1])}, {out})"]
        if kind == "reduction":
            return self._reduction(node, out)
        if function is np.concatenate:
            return self._joined(node, out)
        return self._changed(node, out)

    def _gemm(self, node: Node, out: str) -> list[str]:
        """A call of NumPy's own BLAS: out = α·a·b + β·out."""
        a, b, c, alpha, beta = node.operands
        (m, n), k = node.shape, a.shape[1]  # type: ignore[misc]
        copied = [] if self._text(c) == out else [f"copyto({out}, {self._text(c)})"]
        parts = [self._matrix(a), self._matrix(b)]
        numbers = [
            f"float({self._text(x)})" if isinstance(x, Node) else repr(x) for x in (alpha, beta)
        ]
        name = "sgemm" if node.dtype.char == "f" else "dgemm"
        self.names[name] = function_of(name)
        (is_a_turned, at_a, a_row), (is_b_turned, at_b, b_row) = parts
        flags = f"101, {112 if is_a_turned else 111}, {112 if is_b_turned else 111}"
        call = f"{name}({flags}, {m}, {n}, {k}, {numbers[0]}, {at_a}, {a_row}, {at_b}, {b_row}, "
        return [*copied, f"{call}{numbers[1]}, {self._address(out)}, {n})"]

    def _matrix(self, node: Node) -> tuple[bool, str, int]:
        """Whether a matrix is transposed, its address, and the elements from row to row."""
        is_turned = node.function is np.transpose
        base = node.operands[0] if is_turned else node
        name = self._text(base)
        home = self.plan.home.get(base)
        if isinstance(home, Buffer) or (isinstance(base, Captured) and self._is_contiguous[base]):
            return is_turned, self._address(name), base.shape[1]
        self._rows[f"rows_{name}"] = name
        return is_turned, f"rows_{name}.ctypes.data", base.shape[1]

    def _address(self, name: str) -> str:
        self._pointers[f"at_{name}"] = name
        return f"at_{name}"

    def _where(self, node: Node, out: str) -> list[str]:
        condition, a, b = node.operands
        number = uniform(b) if isinstance(b, Node) else b
        is_mask = number is not None and number == 0 and isinstance(a, Node)
        shapes = {condition.shape, a.shape, node.shape} if is_mask else set()
        if is_mask and len(shapes) == 1 and a.dtype == node.dtype and node.dtype in _INTEGERS:
            integers = _INTEGERS[node.dtype]  # bits times 0 or 1: np.where takes ten times as long
            bits = [self._bits(name, integers) for name in (self._text(a), out)]
            return [f"np.multiply({bits[0]}, {self._text(condition)}, {bits[1]})"]
        if out in (self._text(a), self._text(condition)):
            return [f"copyto({out}, where({self._text(node.operands)[1:-1]}))"]
        copied = [] if out == self._text(b) else [f"copyto({out}, {self._text(b)})"]
        return [*copied, f"copyto({out}, {self._text(a)}, where={self._text(condition)})"]

    def _bits(self, name: str, integers: str) -> str:
        """An array of floats as one of integers."""
        array = self.names.get(name)
        if not isinstance(array, np.ndarray):
            return f"{name}.view('{integers}')"
        self.names[f"{name}_bits"] = array.view(integers)
        return f"{name}_bits"

    def _reduction(self, node: Node, out: str) -> list[str]:
        (a,) = node.operands
        name, axes, keepdims = self._text(a), node.options["axis"], node.options["keepdims"]
        if node.function is np.sum and a.dtype == node.dtype and node.dtype.char in "fd":
            if len(a.shape) == 2 and axes == (0,) and a.shape[0] <= _LONGEST_COLUMN:
                ones = self._object(np.ones((1, a.shape[0]), a.dtype))
                target = out if keepdims else f"{out}[None]"
                return [f"dot({ones}, {name}, {target})"]
            if len(a.shape) == 2 and axes == (1,) and a.shape[1] <= _LONGEST_ROW:
                ones = self._object(np.ones((a.shape[1], 1), a.dtype))
                target = out if keepdims else f"{out}[:, None]"
                return [f"dot({name}, {ones}, {target})"]
            if len(axes) < len(a.shape):
                target = f"{out}" if keepdims else f"{out}.reshape({_with_ones(a.shape, axes)})"
                return [f"copyto({target}, sum_over({name}, {axes}))"]
        ufunc = _REDUCTIONS[node.function]
        return [f"np.{ufunc}.reduce({name}, {axes}, None, {out}, {keepdims})"]

    def _joined(self, node: Node, out: str) -> list[str]:
        """A joined array, where those parts are copied that were not computed in it."""
        if not any(whole is node for whole, _ in self.plan.joined.values()):
            return [f"concatenate({', '.join(map(self._text, node.operands))}, out={out})"]
        lines, start = [], 0
        for part in node.operands[0]:
            made = part
            while made.function is np.reshape:
                made = made.operands[0]
            if self.plan.joined.get(made) != (node, start):
                lines.append(f"{out}[{start}:{start + part.size}] = {self._text(part)}")
            start += part.size
        return lines

    def _changed(self, node: Node, out: str) -> list[str]:
        """`set_item` and the like, in place of the first operand or of a copy."""
        a, *rest = node.operands
        lines = (
            []
            if self._text(a) == out or self._is_same(node, a)
            else [f"copyto({out}, {self._text(a)})"]
        )
        if node.function is set_item:
            return [*lines, f"{out}[{self._text(rest[0])}] = {self._text(rest[1])}"]
        if node.function is add_at:
            return [*lines, f"np.add.at({out}, {', '.join(map(self._text, rest))})"]
        assert node.function is put_along_axis
        return [*lines, f"np.put_along_axis({out}, {', '.join(map(self._text, rest))})"]

    def _is_same(self, node: Node, other: Node) -> bool:
        home = self.plan.home[node]
        return isinstance(home, Buffer) and self.plan.home.get(other) is home

    def _runs(self, nodes: list[Node]) -> Iterator[list[Node]]:
        """The updates, those of one large array together, which are made a piece at a time."""
        run: list[Node] = []
        for node in nodes:
            if kind_of(node) == "view" and not self._lines(node):
                continue  # memory that stays where it is
            is_piecewise = kind_of(node) == "elementwise" and node.size > _PIECE
            is_piecewise = is_piecewise and all(
                each.shape == () or (each.shape == node.shape and self._is_in_rows(each))
                for each in node.nodes
            )
            if run and not (is_piecewise and node.shape == run[0].shape):
                yield run
                run = []
            if is_piecewise:
                run.append(node)
            else:
                yield [node]
        if run:
            yield run

    def _is_in_rows(self, node: Node) -> bool:
        if isinstance(node, Captured):
            return self._is_contiguous[node]
        return self.plan.is_contiguous(node) and isinstance(self.plan.home[node], Buffer | Captured)

    def _temporaries(self, run: list[Node]) -> list[str]:
        """The arrays that only these updates use."""
        own = set(run)
        return sorted({
            self._name_of[node]
            for node in run
            if isinstance(home := self.plan.home[node], Buffer)
            and all(user in own for user in self.plan.users[node])
            and all(each in own for each, other in self.plan.home.items() if other is home)
        })  # fmt: skip

    # --- the ends

    def _saved(self) -> list[str]:
        """Copies of old values that are the new values of other tensors."""
        lines = []
        assigned = {leaf for leaf, _ in self.program.assignments}
        for i, (leaf, value) in enumerate(self.plan.copied):
            if self.plan.owner(value) in assigned or value in assigned:
                lines.append(f"saved{i} = array({self._text(value)})")
        return lines

    def _copied(self, leaf: Node, value: Node) -> str:
        assigned = {each for each, _ in self.program.assignments}
        name = self._text(value)
        if self.plan.owner(value) in assigned or value in assigned:
            name = f"saved{self.plan.copied.index((leaf, value))}"
        function = "np.logical_or, " + name if leaf.dtype == bool else "np.positive"
        return f"({function}, {name}, {self._text(leaf)})"

    def _result(self, node: Node, lines: list[str]) -> str:
        is_own = self.plan.home.get(node) == "result" and self.program.results.count(node) == 1
        return self._name_of[node] if is_own else f"array({self._name_of[node]})"

    def _written(self, lines: list[str], results: str) -> str:
        """The source of `bind`, which looks up captured arrays, and of `step`."""
        names = [line.partition(" = ")[0] for line in self._prologue]
        lines += [f"{name} = np.ascontiguousarray({of})" for name, of in self._rows.items()]
        local = [*self._locals(lines), "float("]
        build = ["updates = [", *[f"    {update}," for update in self._updates], "]"]
        bind = [*self._prologue, *[f"{at} = {of}.ctypes.data" for at, of in self._pointers.items()]]
        names += self._pointers
        if any(name in update for update in self._updates for name in local):
            lines += build
        elif self._updates:
            bind += build
            names.append("updates")
        if self._updates:
            lines.append("apply(updates)")
        inputs = ", ".join(f"x{i}" for i in range(len(self.program.inputs)))
        body = [*lines, f"return [{results}]"]
        if names:
            bind.insert(0, f"global {', '.join(names)}")
        return "\n".join(
            ["def bind():", *[f"    {line}" for line in bind or ["pass"]], ""]
            + [f"def step({inputs}):", *[f"    {line}" for line in body], ""]
        )

    def _locals(self, lines: list[str]) -> list[str]:
        """The names that the lines assign."""
        return [
            line.partition(" = ")[0]
            for line in lines
            if " = " in line and "[" not in line.partition(" = ")[0]
        ]


def _offset(home: Buffer | Part) -> int:
    return home.whole.offset + home.shift if isinstance(home, Part) else home.offset


def _in_pieces(calls: list[tuple[Any, ...]], temporaries: list[Any]) -> list[tuple[Any, ...]]:
    """Calls on large arrays as calls on pieces of them, one piece after another: they fit caches.

    Temporary arrays are used again for each piece.
    """
    own = {id(array) for array in temporaries}
    size = max(array.size for call in calls for array in call if isinstance(array, np.ndarray))

    def piece(part: Any, start: int, stop: int) -> Any:
        if not isinstance(part, np.ndarray) or part.size != size:
            return part
        flat = part.reshape(-1)
        return flat[: stop - start] if id(part) in own else flat[start:stop]

    return [
        tuple([piece(part, start, min(start + _PIECE, size)) for part in call])
        for start in range(0, size, _PIECE)
        for call in calls
    ]


def _with_ones(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else n for axis, n in enumerate(shape))


def _as_tuple(line: str) -> str:
    """The statement f(a, b) as the tuple (f, a, b)."""
    function, _, rest = line.partition("(")
    return f"({function}, {rest}"


_REDUCTIONS = {
    np.sum: "add", np.max: "maximum", np.min: "minimum", np.prod: "multiply",
    np.any: "logical_or", np.all: "logical_and",
}  # fmt: skip
