"""The `numpy` executor: NumPy's functions on memory that was planned, without allocations.

A program becomes a Python function of one NumPy call a line. The calls that write new values into
parameters come last, as a list that runs in one piece: Ctrl-C comes before or after them.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise, starmap
from typing import Any

import numpy as np

from .executors import Executable
from .native.blas import addresses
from .numpy_lines import Lines
from .planning import Buffer, Part, Plan, may_be_view
from .program import Captured, Node, Program, kind_of, title

__all__ = ["NumpyExecutable"]

_NAMES = """\
# x: arguments, p: tensors from outside, c: constants, a: planned memory, t: what a call makes,
# r: results; `bind` is called where tensors from outside have other arrays"""
_PIECE = 32_768  # elements that are updated at a time


class NumpyExecutable(Executable):
    """A program as a Python function of NumPy calls."""

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        super().__init__(program, arrays)
        self.plan = Plan(self.program)
        self.lines = Lines(self.plan, self.captured, self._is_contiguous)
        names = self.lines.names
        calls = self.plan.order[: self.plan.updates_from]
        lines = [line for node in calls for line in self.lines.of(node)]
        returned = [self._result(i, node, lines) for i, node in enumerate(self.program.results)]
        updates = self._updates(lines)
        self._source = self._written(lines, updates, f"return [{', '.join(returned)}]")
        exec(compile(self._source, "<compiled step>", "exec"), names)
        names["in_pieces"], names["partial"] = _in_pieces, partial
        names["apply"] = lambda calls: deque(starmap(operator.call, calls), maxlen=0)
        self._step: Callable[..., list[Any]] = names["step"]
        self.bound()

    def passes_left_out(self) -> list[str]:
        return ["long sums"] if addresses() else ["long sums", "updates in products"]

    def bound(self) -> None:
        if not hasattr(self, "_step"):
            return
        for node, array in zip(self.captured, self.arrays, strict=True):
            self.lines.names[self.lines.name_of[node]] = array
        self.lines.names["bind"]()

    def run(self, arrays: Sequence[Any], on_written: Callable[[], Any] = bool) -> list[Any]:
        return self._step(on_written, *arrays)

    def source(self) -> str:
        leaves = {node: name for node, name in self.lines.name_of.items() if node.function is None}
        lines = [
            f"# {name} = {title(node)}: {node.dtype} {node.shape}" for node, name in leaves.items()
        ]
        return "\n".join([_NAMES, *lines, "", self._source])

    def parts(self) -> list[tuple[str, Sequence[Node]]]:
        return [(kind_of(node), [node]) for node in self.plan.order if kind_of(node) != "view"]

    def memory_used(self) -> tuple[int, int]:
        return len(self.plan.buffers), self.plan.nbytes

    # --- the ends

    def _result(self, i: int, node: Node, lines: list[str]) -> str:
        """The name of a result, an array of its own; before updates change what it may be."""
        name = self.lines.name_of[node]
        if self.plan.home.get(node) == "result" and node not in self.program.results[:i]:
            return name
        lines.append(f"result{i} = array({name})")
        return f"result{i}"

    def _updates(self, lines: list[str]) -> list[str]:
        """The calls that write new values, as tuples; `lines` come before them."""
        updates: list[str] = []
        for run in self._runs(self.plan.order[self.plan.updates_from :]):
            made = [line for node in run for line in self.lines.of(node)]
            if " = " in made[0]:  # a view of an argument
                lines += made
                continue
            calls = [_as_tuple(line) for line in made]
            if len(run) > 1:
                calls = [f"*in_pieces([{', '.join(calls)}], [{', '.join(self._temporaries(run))}])"]
            updates += calls
        assigned = {leaf for leaf, _ in self.program.assignments}
        for i, (leaf, value) in enumerate(self.plan.copied):
            name = self.lines.name_of[value]
            is_found = self.plan.home.get(value) == "dynamic" and may_be_view(value)
            if self.plan.owner(value) in assigned or value in assigned or is_found:
                # an old value that is, or may be, the new one of another tensor
                lines.append(f"saved{i} = array({name})")
                name = f"saved{i}"
            function = f"np.logical_or, {name}" if leaf.dtype == bool else "np.positive"
            updates.append(f"({function}, {name}, {self.lines.name_of[leaf]})")
        return updates

    def _runs(self, nodes: list[Node]) -> Iterator[list[Node]]:
        """The updates, those of one large array together, which are made a piece at a time."""
        run: list[Node] = []
        for node in nodes:
            if kind_of(node) == "view" and not self.lines.of(node):
                continue  # memory that stays where it is
            is_piecewise = kind_of(node) == "elementwise" and node.size > _PIECE
            is_piecewise = is_piecewise and all(
                each.shape == () or (each.shape == node.shape and self._is_in_rows(each))
                for each in node.nodes
            )
            if run and not (
                is_piecewise and node.shape == run[0].shape and self._is_apart(node, run)
            ):
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

    def _is_apart(self, node: Node, run: list[Node]) -> bool:
        """Whether a call may be mixed with those of a run: their buffers lie apart.

        Buffers of which one ends before the other begins may share memory.
        """
        homes = {self.plan.home.get(each) for call in (node, *run) for each in (call, *call.nodes)}
        buffers = {home.whole if isinstance(home, Part) else home for home in homes}
        spans = sorted(
            (each.offset, each.offset + each.nbytes) for each in buffers if isinstance(each, Buffer)
        )
        return all(before[1] <= after[0] for before, after in pairwise(spans))

    def _temporaries(self, run: list[Node]) -> list[str]:
        """The arrays that only these updates use."""
        own = set(run)
        return sorted({
            self.lines.name_of[node]
            for node in run
            if isinstance(home := self.plan.home[node], Buffer)
            and all(user in own for user in self.plan.users[node])
            and all(each in own for each, other in self.plan.home.items() if other is home)
        })  # fmt: skip

    # --- the source

    def _written(self, lines: list[str], updates: list[str], last: str) -> str:
        """The source of `bind`, which looks up captured arrays, and of `step`."""
        own = self.lines
        lines = [*lines, *[f"{name} = np.ascontiguousarray({of})" for name, of in own.rows.items()]]
        bind = [*own.views, *[f"{at} = {of}.ctypes.data" for at, of in own.pointers.items()]]
        inputs = [f"x{i}" for i in range(len(self.program.inputs))]
        found = [*[line.partition(" = ")[0] for line in own.views], *own.pointers]
        if updates:
            local = [*_names_made(lines), *inputs, "float("]  # known in each call only
            listed: list[str] = []
            for is_local, group in groupby(updates, lambda each: any(n in each for n in local)):
                if is_local:
                    listed += group
                else:  # made once
                    name = f"steady{len(found)}"
                    bind += [f"{name} = [", *[f"    {update}," for update in group], "]"]
                    found.append(name)
                    listed.append(f"*{name}")
            listed.append("(on_written,)")
            lines += ["apply([", *[f"    {update}," for update in listed], "])"]
        if found:
            bind.insert(0, f"global {', '.join(found)}")
        body = [f"    {line}" for line in [*lines, last]]
        text = ["def bind():", *[f"    {line}" for line in bind or ["pass"]], ""]
        return "\n".join([*text, f"def step({', '.join(['on_written', *inputs])}):", *body, ""])


def _names_made(lines: list[str]) -> list[str]:
    """The names that lines assign."""
    parts = [line.partition(" = ") for line in lines]
    return [name for name, sign, _ in parts if sign and name.isidentifier()]


def _in_pieces(calls: list[tuple[Any, ...]], temporaries: list[Any]) -> list[tuple[Any, ...]]:
    """Calls on large arrays as calls on pieces of them, one piece after another: they fit caches.

    Temporary arrays are used again for each piece.
    """
    own = {id(array) for array in temporaries}
    size = max(array.size for call in calls for array in call if isinstance(array, np.ndarray))

    def piece(part: Any, start: int, stop: int) -> Any:
        if isinstance(part, partial):
            return partial(part.func, out=piece(part.keywords["out"], start, stop))
        if not isinstance(part, np.ndarray) or part.size != size:
            return part
        flat = part.reshape(-1)
        return flat[: stop - start] if id(part) in own else flat[start:stop]

    return [
        tuple([piece(part, start, min(start + _PIECE, size)) for part in call])
        for start in range(0, size, _PIECE)
        for call in calls
    ]


def _as_tuple(line: str) -> str:
    """The statement f(a, b) as the tuple (f, a, b), f(a, out=b) as (partial(f, out=b), a)."""
    function, _, rest = line.partition("(")
    operands, _, target = rest.removesuffix(")").partition(", out=")
    if target:
        function = f"partial({function}, out={target})"
    return f"({function}, {operands})"
