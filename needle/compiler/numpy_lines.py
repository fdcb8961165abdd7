"""The lines of the `numpy` executor: each node of a program as statements of Python and NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ops.sums import sum_over
from .native.addresses import address_of
from .native.blas import function_of
from .passes.constants import uniform
from .planning import Buffer, Part, Plan
from .program import (
    Captured,
    Constant,
    Input,
    Node,
    add_at,
    cast,
    entry,
    gemm,
    getitem,
    kind_of,
    put_along_axis,
    set_item,
)

__all__ = ["Lines"]

_INTEGERS = {np.dtype("f4"): "int32", np.dtype("f8"): "int64"}
_LONGEST_ROW, _LONGEST_COLUMN = 4_096, 16_384  # of sums by products with ones


class Lines:
    """Statements for the nodes of a plan, and the names that they use.

    `x0` is an argument, `p0` a captured array, `c0` a constant, `a0` planned memory, `t0` what a
    call returns, `r0` memory of a result. `is_contiguous` tells of captured arrays whether they
    have C's memory order.
    """

    def __init__(
        self, plan: Plan, captured: list[Captured], is_contiguous: dict[Node, bool]
    ) -> None:
        self.plan, self.is_contiguous = plan, is_contiguous
        self.names: dict[str, Any] = {
            "address_of": address_of, "np": np, "copyto": np.copyto, "empty": np.empty,
            "array": np.array, "concatenate": np.concatenate, "dot": np.dot, "matmul": np.matmul,
            "sum_over": sum_over, "where": np.where,
        }  # fmt: skip
        self.name_of: dict[Node, str] = {}
        self.views: list[str] = []
        """Lines that make views of captured arrays."""
        self.pointers: dict[str, str] = {}
        """Names of addresses, and of the arrays that lie there."""
        self.rows: dict[str, str] = {}
        """Names of arrays in C's memory order, and of what they are made of."""
        self._place(captured)

    # --- names and memory

    def _place(self, captured: list[Captured]) -> None:
        """Names for all nodes, and the arrays of those whose memory is known."""
        arena = np.empty(self.plan.nbytes + 64, np.uint8)
        start = -arena.ctypes.data % 64
        for i, leaf in enumerate(dict.fromkeys([*self.plan.leaves, *captured])):
            if isinstance(leaf, Input):
                self.name_of[leaf] = f"x{leaf.position}"
            elif isinstance(leaf, Constant):
                self.name_of[leaf] = f"c{i}"
                self.names[f"c{i}"] = leaf.array
            else:
                self.name_of[leaf] = f"p{i}"
        for input_ in self.plan.program.inputs:
            self.name_of[input_] = f"x{input_.position}"
        for number, node in enumerate(self.plan.order):
            home = self.plan.home[node]
            name = {"dynamic": "t", "result": "r"}.get(home if isinstance(home, str) else "", "a")
            self.name_of[node] = f"{name}{number}"
            reused = [each for each in node.nodes if self.plan.home.get(each) is home]
            if isinstance(home, Buffer) and reused and reused[0].shape == node.shape:
                self.name_of[node] = self.name_of[reused[0]]  # in place
            elif isinstance(home, Buffer | Part):
                shape: Any = node.shape
                at = start + _offset(home)
                self.names[f"a{number}"] = np.ndarray(shape, node.dtype, arena, at)
            elif isinstance(home, Node) and kind_of(node) != "view":
                self.name_of[node] = self.name_of[home]  # computed in the place of a leaf
            elif isinstance(home, Node) and self.name_of[home] in self.names:
                base = self.names[self.name_of[home]]
                if isinstance(base, np.ndarray):
                    self.names[f"a{number}"] = node.function(base, *node.operands[1:])

    def text(self, tree: Any) -> str:
        """Operands as an expression."""
        if isinstance(tree, Node):
            return self.name_of[tree]
        if isinstance(tree, tuple):
            return f"({', '.join(map(self.text, tree))}{',' if len(tree) == 1 else ''})"
        if isinstance(tree, list):
            return f"[{', '.join(map(self.text, tree))}]"
        if isinstance(tree, slice):
            return f"slice({', '.join(map(self.text, (tree.start, tree.stop, tree.step)))})"
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

    def of(self, node: Node) -> list[str]:
        """The statements that compute a node."""
        name, home = self.name_of[node], self.plan.home[node]
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
            a = self.text(node.operands[0])
            made = (
                []
                if home != "result"
                else [f"{name} = empty({node.shape}, {self._object(node.dtype)})"]
            )
            return [*made, f"copyto({name}.reshape({a}.shape), {a})"]
        line = f"{name} = {self._call(node)}"
        if isinstance(self.plan.owner(node), Captured) and self._is_steady(node):
            self.views.append(line)
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
            return f"{self.text(node.operands[0])}[{self.text(node.operands[1])}]"
        if function is np.reshape:
            return f"{self.text(node.operands[0])}.reshape({node.shape})"
        if function is np.transpose:
            return f"{self.text(node.operands[0])}.transpose({node.operands[1]})"
        if function is entry:
            return f"{self._object(np.asarray)}({self.text(node.operands[0])}[{node.operands[1]}])"
        options = [f"{name}={self.text(value)}" for name, value in node.options.items()]
        return f"{self._object(function)}({', '.join([*map(self.text, node.operands), *options])})"

    def _written_to(self, node: Node, out: str) -> list[str]:
        """The statements that compute a node into the array `out`."""
        function, operands = node.function, node.operands
        kind = kind_of(node)
        if function is cast:
            return [f"copyto({out}, {self.text(operands[0])}, casting='unsafe')"]
        if function is np.where:
            return self._where(node, out)
        if kind == "elementwise":
            target = f"out={out}" if function in _OUT_BY_NAME else out
            return [f"{self._object(function)}({', '.join(map(self.text, operands))}, {target})"]
        if function is gemm:
            return self._gemm(node, out)
        if kind == "product":
            is_flat = all(len(each.shape) == 2 for each in operands) and node.dtype.kind == "f"
            name = (
                "dot"
                if is_flat and operands[0].dtype == operands[1].dtype == node.dtype
                else "matmul"
            )
            return [f"{name}({self.text(operands[0])}, {self.text(operands[1])}, {out})"]
        if kind == "reduction":
            return self._reduction(node, out)
        if function is np.concatenate:
            return self._joined(node, out)
        return self._changed(node, out)

    def _gemm(self, node: Node, out: str) -> list[str]:
        """A call of NumPy's own BLAS: out = α·a·b + β·out."""
        a, b, c, alpha, beta = node.operands
        (m, n), k = node.shape, a.shape[1]
        target = self.plan.home[node]
        if isinstance(target, Captured) and not self.is_contiguous[target]:  # BLAS writes rows
            return [f"{self._object(_gemm_into)}({self.text(node.operands)[1:-1]}, {out})"]
        copied = [] if self.text(c) == out else [f"copyto({out}, {self.text(c)})"]
        parts = [self._matrix(a), self._matrix(b)]
        numbers = [
            f"float({self.text(x)})" if isinstance(x, Node) else repr(x) for x in (alpha, beta)
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
        name = self.text(base)
        home = self.plan.home.get(base)
        if isinstance(home, Buffer) or (isinstance(base, Captured) and self.is_contiguous[base]):
            return is_turned, self._address(name), base.shape[1]
        self.rows[f"rows_{name}"] = name
        return is_turned, f"address_of(rows_{name})", base.shape[1]

    def _address(self, name: str) -> str:
        self.pointers[f"at_{name}"] = name
        return f"at_{name}"

    def _where(self, node: Node, out: str) -> list[str]:
        condition, a, b = node.operands
        number = uniform(b) if isinstance(b, Node) else b
        is_mask = number is not None and number == 0 and isinstance(a, Node)
        shapes = {condition.shape, a.shape, node.shape} if is_mask else set()
        if is_mask and len(shapes) == 1 and a.dtype == node.dtype and node.dtype in _INTEGERS:
            integers = _INTEGERS[node.dtype]  # bits times 0 or 1: np.where takes ten times as long
            bits = [self._bits(name, integers) for name in (self.text(a), out)]
            return [f"np.multiply({bits[0]}, {self.text(condition)}, {bits[1]})"]
        if out in (self.text(a), self.text(condition)):
            return [f"copyto({out}, where({self.text(node.operands)[1:-1]}))"]
        copied = [] if out == self.text(b) else [f"copyto({out}, {self.text(b)})"]
        return [*copied, f"copyto({out}, {self.text(a)}, where={self.text(condition)})"]

    def _bits(self, name: str, integers: str) -> str:
        """An array of floats as one of integers."""
        array = self.names.get(name)
        if not isinstance(array, np.ndarray):
            return f"{name}.view('{integers}')"
        self.names[f"{name}_bits"] = array.view(integers)
        return f"{name}_bits"

    def _reduction(self, node: Node, out: str) -> list[str]:
        (a,) = node.operands
        name, axes, keepdims = self.text(a), node.options["axis"], node.options["keepdims"]
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
            return [f"concatenate({', '.join(map(self.text, node.operands))}, out={out})"]
        lines, start = [], 0
        for part in node.operands[0]:
            made = part
            while made.function is np.reshape:
                made = made.operands[0]
            if self.plan.joined.get(made) != (node, start):
                lines.append(f"{out}[{start}:{start + part.size}] = {self.text(part)}")
            start += part.size
        return lines

    def _changed(self, node: Node, out: str) -> list[str]:
        """`set_item` and the like, in place of the first operand or of a copy."""
        a, *rest = node.operands
        lines = (
            []
            if self.text(a) == out or self._is_same(node, a)
            else [f"copyto({out}, {self.text(a)})"]
        )
        if node.function is set_item:
            return [*lines, f"{out}[{self.text(rest[0])}] = {self.text(rest[1])}"]
        if node.function is add_at:
            return [*lines, f"np.add.at({out}, {', '.join(map(self.text, rest))})"]
        assert node.function is put_along_axis
        return [*lines, f"np.put_along_axis({out}, {', '.join(map(self.text, rest))})"]

    def _is_same(self, node: Node, other: Node) -> bool:
        home = self.plan.home[node]
        return isinstance(home, Buffer) and self.plan.home.get(other) is home


def _gemm_into(a: Any, b: Any, c: Any, alpha: Any, beta: Any, out: Any) -> None:
    """out = α·a·b + β·c, for an array in any memory order."""
    out[...] = gemm(a, b, c, alpha, beta)


def _offset(home: Buffer | Part) -> int:
    return home.whole.offset + home.shift if isinstance(home, Part) else home.offset


def _with_ones(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else n for axis, n in enumerate(shape))


_OUT_BY_NAME = {np.maximum, np.minimum}
"""Functions that want their `out` by name."""
_REDUCTIONS = {
    np.sum: "add", np.max: "maximum", np.min: "minimum", np.prod: "multiply",
    np.any: "logical_or", np.all: "logical_and",
}  # fmt: skip
