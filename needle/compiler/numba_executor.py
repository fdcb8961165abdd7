"""The `numba` executor: kernels and products, called one after another by machine code.

What a step needs Python for (random draws, ops that cannot be opened) is called in between. New
values are written into parameters only after the last such call.
"""

from __future__ import annotations

import operator
import warnings
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .calls import Call
from .executors import Executable
from .native.addresses import address_of
from .native.barriers import Accesses
from .native.blas import thread_functions
from .native.cache import load
from .native.groups import Group, axis_of_join
from .native.kernel import Kernel
from .native.layout import Place, contiguous, view
from .native.listing import listing, names_of_parts
from .native.packing import pack_factors
from .native.parts import Part, parts_of_kernel, parts_of_product
from .native.products import product_calls, source_of
from .native.runner import runner
from .native.schedule import Schedule
from .native.threads import BARRIER, SET_THREADS, counts, team
from .numpy_executor import NumpyExecutable
from .planning import Buffer
from .program import Constant, Input, Node, Program, cast, gemm, getitem, substitute

__all__ = ["NumbaExecutable", "numba_executable"]


def numba_executable(program: Program, arrays: Sequence[Any]) -> Executable:
    """A program as machine code, or, with a warning, by NumPy's functions if that fails.

    Where values of the arguments are wrong, the error of the op is raised.
    """
    executable = NumbaExecutable.__new__(NumbaExecutable)
    Executable.__init__(executable, program, arrays)
    try:
        executable._build()
        return executable
    except Exception as error:  # of Numba or LLVM, of whatever kind: the step runs all the same
        message = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        warnings.warn(
            f"no machine code could be made of a compiled function, which now runs by NumPy's "
            f"functions ({message})",
            RuntimeWarning,
            stacklevel=2,
        )
        return NumpyExecutable(program, arrays)


class NumbaExecutable(Executable):
    """A program as an array of calls of machine code."""

    _is_built = False

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        super().__init__(program, arrays)
        self._build()

    def _build(self) -> None:
        self._counts = counts()
        self._threads = self._counts.used
        self._team = team(self._threads) if self._threads > 1 else None
        program = pack_factors(self.program)
        self._schedule = Schedule(program, dict(zip(self.captured, self.arrays, strict=True)))
        self.memory = self._schedule.memory
        self._arena = np.empty(self.memory.nbytes + 64, np.uint8)
        self._start = self._arena.ctypes.data + -self._arena.ctypes.data % 64
        self._numbers: dict[Any, Constant] = {}  # factors of products, by value and dtype
        self._inputs: list[Any] = [None] * len(self.program.inputs)
        self._constants = {
            node: np.ascontiguousarray(node.array)
            for node in program.nodes
            if isinstance(node, Constant)
        }
        self._scalars: dict[Node, Any] = {}
        self._results_of_calls: dict[Node, Any] = {}
        self._kept: dict[Node, Any] = {}
        """Arrays in the arena that calls of Python read."""
        self._emit()
        self._results = [self._array(self.memory.place(node)) for node in self._schedule.results]
        self._is_built = True
        self.bound()

    # --- building

    def _emit(self) -> None:
        """The programs of the threads, in segments between calls of Python."""
        self._sources: list[str] = []
        self.kernels: list[tuple[Group, str]] = []
        segments: list[Any] = [[]]  # of calls in parts, each a source and arguments; or functions
        for group in self._schedule.order:
            if group.kind == "call":
                segments += [*self._python(group), []]
            else:
                segments[-1] += self._native(group)
        self._addresses = load([*self._sources, BARRIER, SET_THREADS])
        self._words: list[int] = []
        self._fixups: dict[Any, list[tuple[int, int]]] = {}
        self._segments: list[Any] = []
        for segment in segments:
            if callable(segment):
                self._segments.append(segment)
            elif segment:
                self._segments.append(self._programs(segment))
        self._program = np.array(self._words, np.int64)
        self._fixups_of_inputs = [self._fixups.get(leaf, []) for leaf in self.program.inputs]
        base = self._program.ctypes.data
        self._segments = [
            each if callable(each) else self._function([base + 8 * start for start in each])
            for each in self._segments
        ]

    def _function(self, programs: list[int]) -> Callable[[], None]:
        """What runs the programs at these addresses, in machine code from beginning to end."""
        if self._team and len(programs) > 1:
            return self._team.together(programs)
        return partial(runner(), programs[0])

    def _native(self, group: Group) -> Iterator[tuple[int, list[Part]]]:
        """The calls of a group: the number of a source, and the parts of the threads."""
        if group.kind == "kernel":
            stored = {
                node: self.memory.place(node) for node in group.nodes if node in self.memory.stored
            }
            kernel = Kernel(self._schedule.grouping, group, stored, self.memory.place)
            self.kernels.append((group, kernel.source))
            yield self._number(kernel.source), parts_of_kernel(kernel, self._threads)
        elif group.kind == "concatenation":
            for kernel in self._copies(group):
                yield self._number(kernel.source), parts_of_kernel(kernel, self._threads)
        else:
            (node,) = group.nodes
            factors = node.operands[3:] or (1.0, 0.0)
            alpha, beta = (self._factor(each, node.dtype) for each in factors)
            own = self.memory.place(node)
            if node.function is gemm and self.memory.place(node.operands[2]).home != own.home:
                kernel = self._copy(node.operands[2], own)
                yield self._number(kernel.source), parts_of_kernel(kernel, self._threads)
            number = self._number(source_of(node.dtype))
            for arguments in product_calls(node, self.memory.place, own, alpha, beta):
                yield number, parts_of_product(arguments, self._threads)

    def _number(self, source: str) -> int:
        self._sources.append(source)
        return len(self._sources) - 1

    def _programs(self, calls: list[tuple[int, list[Part]]]) -> list[int]:
        """Write the programs of all threads for these calls; where they start."""
        if all(len(parts) == 1 for _, parts in calls):
            return [self._write([(number, part.arguments) for number, (part,) in calls])]
        barrier, blas = len(self._sources), len(self._sources) + 1
        functions = thread_functions()
        assert functions is not None
        assert self._team is not None
        pause = barrier, self._team.barrier
        programs: list[Any] = [[] for _ in range(self._threads)]
        programs[0].append((blas, [functions.set, 1]))
        done = Accesses(self._threads)
        for program in programs:
            program.append(pause)
        for number, parts in calls:
            accesses = [part.accesses for part in parts]
            if done.conflict(accesses):
                done.clear()
                for program in programs:
                    program.append(pause)
            done.add(accesses)
            for program, part in zip(programs, parts, strict=False):
                program.append((number, part.arguments))
        for program in programs:
            program.append(pause)
        programs[0].append((blas, [functions.set, self._counts.blas]))
        return [self._write(program) for program in programs]

    def _write(self, calls: list[tuple[int, list[Any]]]) -> int:
        """Write a program; where it starts."""
        start = len(self._words)
        for number, arguments in calls:
            self._words += [self._addresses[number], len(arguments)]
            self._words += [self._word(argument, i) for i, argument in enumerate(arguments)]
        self._words.append(0)
        return start

    def _word(self, argument: Any, i: int) -> int:
        """An argument as a number; addresses that are not known yet are filled in later."""
        if not isinstance(argument, Place):
            return int(argument)
        home, offset = argument.home, argument.layout.offset
        if isinstance(home, Buffer):
            return self._start + home.offset + offset
        if isinstance(home, Constant):
            return int(self._constants[home].ctypes.data) + offset
        if isinstance(home, np.ndarray):
            return int(home.ctypes.data)
        self._fixups.setdefault(home, []).append((len(self._words) + i, offset))
        return 0

    def _factor(self, factor: Any, dtype: Any) -> Place:
        """A factor of a product: a node, or a number that gets memory of its own."""
        if isinstance(factor, Node):
            return self.memory.place(factor)
        key = float(factor), dtype
        number = self._numbers.setdefault(key, Constant(np.array(factor, dtype)))
        return Place(number.array, contiguous(number))

    def _copies(self, group: Group) -> Iterator[Kernel]:
        """Copies of the parts of a concatenation that were not computed in their place."""
        (node,) = group.nodes
        whole = self.memory.place(node)
        axis, start = axis_of_join(node), 0
        for part in node.operands[0]:
            length = part.shape[axis]
            index = (slice(None),) * (axis % len(part.shape)) + (slice(start, start + length),)
            start += length
            target = view(Node(getitem, (node, index), {}, part.shape, part.dtype), whole.layout)
            assert target is not None
            if self.memory.place(part) != Place(whole.home, target):
                yield self._copy(part, Place(whole.home, target))

    def _copy(self, node: Node, target: Place) -> Kernel:
        """A kernel that copies a node."""
        copy = Node(cast, (node, node.dtype), {}, node.shape, node.dtype)
        self._schedule.grouping.layouts[copy] = target.layout
        group = self._schedule.grouping.alone(copy)
        return Kernel(self._schedule.grouping, group, {copy: target}, self.memory.place)

    # --- calls of Python

    def _python(self, group: Group) -> list[Any]:
        """A function that calls what no kernel computes, and stores the results."""
        (node,) = group.nodes
        known, arena = self._results_of_calls, self._arena
        function: Any = node.function
        value = self._value_of
        stored = node.shape is not None
        target = self._array(self.memory.place(node)) if stored else None

        into = function.op.compute_into if isinstance(function, Call) and stored else None
        if into is not None:
            return [lambda: into(target, *substitute(node.operands, value))]

        def call() -> None:
            operands = substitute(node.operands, value)
            result = function(*operands, **node.options)
            if target is not None:
                target[...] = result
            elif node.entries:  # views of what others will overwrite are copied
                known[node] = tuple([
                    np.array(each) if np.may_share_memory(each, arena) else each for each in result
                ])  # fmt: skip

        return [call]

    def _value_of(self, node: Node) -> Any:
        """The array of a node now."""
        if node in self._results_of_calls:
            return self._results_of_calls[node]
        array = self._kept.get(node)
        if array is None:
            place = self.memory.place(node)
            array = self._array(place)
            if isinstance(place.home, Buffer):  # which stays where it is
                self._kept[node] = array
        return array

    def _array(self, place: Place) -> Any:
        """The array at a place."""
        home, layout = place.home, place.layout
        if isinstance(home, Buffer):
            start = self._start - self._arena.ctypes.data + home.offset + layout.offset
            return np.ndarray(layout.shape, layout.dtype, self._arena, start, layout.strides)
        if isinstance(home, Input):
            array = self._inputs[home.position]
        elif isinstance(home, Constant):
            array = self._constants[home]
        else:
            array = self.arrays[self.captured.index(home)]
        flat = np.lib.stride_tricks.as_strided(array, layout.shape, layout.strides)
        if layout.offset:
            address = address_of(array) + layout.offset
            keeper = _Memory(address, layout.shape, layout.strides, layout.dtype, array)
            return np.asarray(keeper)
        return flat

    # --- running

    def bound(self) -> None:
        if not self._is_built:
            return
        if self._schedule.strides != [array.strides for array in self.arrays]:
            self._build()
            return
        for node, array in zip(self.captured, self.arrays, strict=True):
            self._point(node, array)
        written = set(self._schedule.in_place.values())
        self._written = sorted(
            byte_bounds(array)
            for node, array in zip(self.captured, self.arrays, strict=True)
            if node in written and isinstance(array, np.ndarray)
        )

    def _point(self, leaf: Node, array: Any) -> None:
        """Write the address of a leaf's array wherever the program has it."""
        fixups = self._fixups.get(leaf)
        if fixups:
            if not isinstance(array, np.ndarray):  # a scalar, whose memory NumPy copies
                array = self._scalars[leaf] = np.asarray(array)
            address = address_of(array)
            for position, offset in fixups:
                self._program[position] = address + offset

    def run(self, arrays: Sequence[Any], on_written: Callable[[], Any] = bool) -> list[Any]:
        for i, array in enumerate(arrays):
            if array is not self._inputs[i]:
                self._take(i, array)
        if counts() != self._counts or (self._team and team(self._threads) is not self._team):
            self._build()  # BLAS has been given other threads, or this is another process
            return self.run(arrays, on_written)
        # one call, so that Ctrl-C cannot come after what the last segment writes
        deque(map(operator.call, (*self._segments, on_written)), maxlen=0)
        return [np.array(result) for result in self._results]

    def _take(self, i: int, array: Any) -> None:
        """Have the i-th argument read where it is, or in a copy if a new value is written there."""
        flags = array.flags
        is_fit = flags.c_contiguous and flags.aligned
        address = address_of(array)
        if is_fit:
            before = bisect_left(self._written, (address + array.nbytes,))
            is_fit = before == 0 or self._written[before - 1][1] <= address
        if not is_fit:
            array = np.array(array, order="C")
            address = address_of(array)
        self._inputs[i] = array
        for position, offset in self._fixups_of_inputs[i]:
            self._program[position] = address + offset

    # --- looking at it

    def source(self) -> str:
        return listing(self._with_sources())

    def _with_sources(self) -> list[tuple[Group, str | None]]:
        """The groups in order, with the sources of their kernels."""
        sources = dict(self.kernels)
        return [(group, sources.get(group)) for group in self._schedule.order]

    def parts(self) -> list[tuple[str, Sequence[Node]]]:
        names = names_of_parts(self._with_sources())
        nodes = [group.nodes for group in self._schedule.order]
        return list(zip(names, nodes, strict=True))

    def memory_used(self) -> tuple[int, int]:
        return len(self.memory.buffers), self.memory.nbytes


class _Memory:
    """Memory at an address, for NumPy."""

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: Any,
        owner: Any,
    ) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "data": (address, False), "shape": shape, "strides": strides,
            "typestr": dtype.str, "version": 3,
        }  # fmt: skip
