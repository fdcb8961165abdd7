"""Program: a recorded step, as NumPy calls without side effects.

A `Node` is one call of a function of arrays, or a leaf: an argument of the step (`Input`), the
array of a tensor that lives outside (`Captured`), or an array that never changes (`Constant`).
What the step changes is a list of assignments, made at its end. So every pass over a program may
merge, move or drop nodes, and every executor may choose how to compute them.

The functions are NumPy's own, of these kinds (see `kind_of`):

- "elementwise": ufuncs, `np.where`, and `cast(a, dtype)`; operands broadcast;
- "reduction": `np.sum`, `np.max`, `np.min`, `np.prod`, `np.any`, `np.all`, `np.argmax` and
  `np.argmin`, always with the options axis (a tuple, or an int for the last two) and keepdims;
- "view": `np.reshape(a, shape)`, `np.transpose(a, axes)`, `np.broadcast_to(a, shape)` and
  `getitem(a, index)` with slices, integers, None and Ellipsis;
- "product": `np.matmul(a, b)` of operands of at least two axes, `gemm(a, b, c, alpha, beta)`;
- "gather": `getitem(a, index)` with arrays among the index; `set_item(a, index, values)` and
  `add_at(a, index, values)`, which return a changed copy of a;
- "draw": random numbers; never merged, moved past another draw, or dropped;
- "call": any other function, such as an op that cannot be opened. It may return a tuple of arrays,
  of which `entry(node, i)` picks one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "Captured", "Check", "Constant", "Input", "Node", "Program",
    "Draw", "add_at", "cast", "entry", "evaluate", "gemm", "getitem", "kind_of", "nodes_in",
    "put_along_axis", "set_item", "sorted_nodes", "substitute", "title",
]  # fmt: skip

_count = itertools.count()


class Node:
    """The result of `function(*operands, **options)`.

    `operands` holds Nodes, static values, and tuples, lists and slices of them; `options` static
    values. `shape` and `dtype` are those of the array; of a tuple of arrays, `shape` is None and
    `entries` holds the (shape, dtype) of each.
    """

    __slots__ = (
        "_kind",
        "dtype",
        "entries",
        "function",
        "nodes",
        "operands",
        "options",
        "order",
        "shape",
    )

    order: tuple[int, int]
    """When the step made it, and when it was made itself: a topological order."""

    def __init__(
        self,
        function: Callable[..., Any] | None,
        operands: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        entries: tuple[Any, ...] = (),
    ) -> None:
        self.function: Any = function
        self.operands, self.options = operands, options or {}
        self.shape: Any = shape
        self.entries = entries
        self.nodes = tuple(nodes_in(operands))
        """The operands that are nodes, also those inside of tuples."""
        self._kind = ""  # not known yet
        self.dtype: Any = None if dtype is None else np.dtype(dtype)
        number = next(_count)
        self.order = number, number

    def changed(
        self, function: Callable[..., Any], operands: tuple[Any, ...], **changes: Any
    ) -> Node:
        """A node in the place of this one; shape, dtype and options are the same unless given."""
        own = {"options": self.options, "shape": self.shape, "dtype": self.dtype}
        node = Node(function, operands, **{**own, "entries": self.entries, **changes})
        node.order = self.order[0], node.order[1]
        return node

    @property
    def size(self) -> int:
        return math.prod(self.shape) if self.shape is not None else 0

    @property
    def nbytes(self) -> int:
        """Bytes of the array, or of all arrays of a tuple."""
        if self.shape is None:
            return sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.entries)
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"%{self.order[1]} = {name}: {self.dtype}{list(self.shape or self.entries)}"


class Input(Node):
    """The array of the tensor at a position among the arguments of the step."""

    __slots__ = ("position",)

    def __init__(self, position: int, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(None, shape=shape, dtype=dtype)
        self.position = position


class Captured(Node):
    """The array that `read()` finds when the step runs: that of a parameter, a buffer, a state."""

    __slots__ = ("read", "tensor")

    def __init__(self, tensor: Any) -> None:
        array = tensor.realize_cached_data()
        super().__init__(None, shape=array.shape, dtype=array.dtype)
        self.tensor = tensor
        self.read = tensor.realize_cached_data


class Constant(Node):
    """An array that never changes."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        super().__init__(None, shape=array.shape, dtype=array.dtype)
        self.array = array


# --- functions that NumPy lacks, or has as methods only


def cast(a: Any, dtype: Any) -> Any:
    """a.astype(dtype)."""
    return a.astype(dtype)


def getitem(a: Any, index: Any) -> Any:
    """a[index]."""
    return a[index]


def set_item(a: Any, index: Any, values: Any) -> Any:
    """A copy of a with a[index] = values."""
    result = a.copy()
    result[index] = values
    return result


def add_at(a: Any, index: Any, values: Any) -> Any:
    """A copy of a with `values` added at `index`, as often as it occurs there."""
    result = a.copy()
    np.add.at(result, index, values)
    return result


def entry(arrays: tuple[Any, ...], index: int) -> Any:
    """arrays[index], of the results of a call."""
    return np.asarray(arrays[index])


def gemm(a: Any, b: Any, c: Any, alpha: Any, beta: Any) -> Any:
    """α·a·b + β·c of matrices; α and β are numbers or arrays without axes."""
    return alpha * np.matmul(a, b) + beta * c


def put_along_axis(a: Any, indices: Any, values: Any, axis: int) -> Any:
    """A copy of a with `values` put at `indices` along an axis."""
    result = a.copy()
    np.put_along_axis(result, indices, values, axis)
    return result


class Draw:
    """Random numbers from one of NumPy's streams: the function of a "draw"."""

    def __init__(self, stream: Any, method: str, size: Any, draw: Callable[..., Any]) -> None:
        self.stream, self.method, self.size, self._draw = stream, method, size, draw
        self.__name__ = method

    def __call__(self) -> Any:
        return np.asarray(self._draw(self.stream, self.method, self.size))


_KINDS: dict[Any, str] = {
    np.where: "elementwise", cast: "elementwise",
    **dict.fromkeys([np.sum, np.max, np.min, np.prod, np.any, np.all], "reduction"),
    **dict.fromkeys([np.argmax, np.argmin], "reduction"),
    **dict.fromkeys([np.reshape, np.transpose, np.broadcast_to], "view"),
    np.matmul: "product",
    gemm: "product",
    set_item: "gather", add_at: "gather",
}  # fmt: skip


def title(node: Node) -> str:
    """What a node is called in pictures and generated code."""
    if isinstance(node, Input):
        return f"argument {node.position}"
    if isinstance(node, Captured):
        return getattr(node.tensor, "_name", None) or "captured"
    if isinstance(node, Constant):
        return str(node.array.item()) if node.array.size == 1 else "constant"
    return getattr(node.function, "__name__", type(node.function).__name__)


def kind_of(node: Node) -> str:
    """The kind of a node, see above; "leaf" for one without a function."""
    if not node._kind:
        node._kind = _found_kind(node)
    return node._kind


def _found_kind(node: Node) -> str:
    function = node.function
    if function is None:
        return "leaf"
    if function is getitem:
        return "gather" if any(nodes_in(node.operands[1:])) else "view"
    known = _KINDS.get(function)
    if known:
        return known
    if isinstance(function, Draw):
        return "draw"
    is_simple = isinstance(function, np.ufunc) and not function.signature and function.nout == 1
    return "elementwise" if is_simple and not node.options else "call"


# --- walking


def nodes_in(tree: Any) -> Iterator[Node]:
    """The nodes in nested tuples, lists and slices."""
    if isinstance(tree, Node):
        yield tree
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from nodes_in(part)
    elif isinstance(tree, slice):
        yield from nodes_in((tree.start, tree.stop, tree.step))


def substitute(tree: Any, values: Callable[[Node], Any]) -> Any:
    """Nested tuples, lists and slices with values(node) in the place of each node."""
    if isinstance(tree, Node):
        return values(tree)
    if isinstance(tree, tuple | list):
        return type(tree)([substitute(part, values) for part in tree])
    if isinstance(tree, slice):
        return slice(*substitute((tree.start, tree.stop, tree.step), values))
    return tree


def sorted_nodes(roots: Iterable[Node]) -> list[Node]:
    """`roots` and all that they depend on, operands first: in the order in which they were made."""
    found: set[Node] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.nodes
    return sorted(found, key=lambda node: node.order)


def evaluate(roots: Iterable[Node], known: dict[Node, Any]) -> dict[Node, Any]:
    """The arrays of `roots` and of what they depend on, one call after another.

    `known` holds the arrays of leaves, and of anything else that is not to be computed; it grows.
    """
    waiting = list(roots)
    needed: list[Node] = []
    seen = set(known)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        needed.append(node)
        waiting += node.nodes
    for node in sorted(needed, key=lambda node: node.order):
        if node.function is None:
            raise KeyError(f"the array of {node!r} is not known")
        known[node] = node.function(*substitute(node.operands, known.__getitem__), **node.options)
    return known


@dataclass
class Check:
    """What raises where values of operands are wrong, `op.check`: made before any assignment."""

    op: Any
    operands: tuple[Any, ...]


@dataclass
class Program:
    """Results, effects and checks of a step as nodes.

    `assignments` are pairs (leaf, new value), in no particular order: all values are computed from
    the leaves as they were. `draws` are made in this order.
    """

    inputs: list[Input]
    results: list[Node]
    assignments: list[tuple[Node, Node]] = field(default_factory=list)
    draws: list[Node] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def roots(self) -> list[Node]:
        """All that must be computed."""
        checked = list(nodes_in([check.operands for check in self.checks]))
        return [*self.results, *[value for _, value in self.assignments], *self.draws, *checked]

    @property
    def nodes(self) -> list[Node]:
        """The nodes that the roots depend on, leaves too, in topological order."""
        return sorted_nodes(self.roots)

    def rebuilt(self, new: Callable[[Node], Node]) -> Program:
        """The program with new(node) in the place of each root."""
        return Program(
            self.inputs,
            [new(node) for node in self.results],
            [(leaf, new(value)) for leaf, value in self.assignments],
            [new(node) for node in self.draws],
            [Check(check.op, substitute(check.operands, new)) for check in self.checks],
        )
