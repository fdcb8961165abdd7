"""Runs the sources of kernels in plain Python: any program in milliseconds, without compiling.

Programs of several threads run one after another from barrier to barrier, the last one first, so
that what lacks a barrier gives wrong numbers.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from needle.compiler import numba_executor
from needle.compiler.native import parts
from needle.compiler.native.threads import BARRIER, SET_THREADS, Counts

__all__ = ["interpreted_kernels"]


class _Memory:
    """Numbers of a dtype at an address."""

    def __init__(self, address: int, dtype: Any) -> None:
        self.address, self.dtype = address, np.dtype(dtype)

    def _at(self, index: int) -> Any:
        interface = {
            "data": (self.address + int(index) * self.dtype.itemsize, False),
            "shape": (), "typestr": self.dtype.str, "version": 3,
        }  # fmt: skip
        return np.asarray(SimpleNamespace(__array_interface__=interface))

    def __getitem__(self, index: int) -> Any:
        return self._at(index)[()]

    def __setitem__(self, index: int, value: Any) -> None:
        self._at(index)[...] = value


def _gemm(
    function: int, a_transposed: int, b_transposed: int, m: int, n: int, k: int, alpha: Any,
    a: int, a_row: int, b: int, b_row: int, beta: Any, c: int, c_row: int,
) -> None:  # fmt: skip
    def matrix(address: int, rows: int, columns: int, row: int) -> Any:
        size = alpha.dtype.itemsize
        assert row >= columns, "BLAS refuses this"
        interface = {
            "data": (address, False), "shape": (rows, columns), "strides": (row * size, size),
            "typestr": alpha.dtype.str, "version": 3,
        }  # fmt: skip
        return np.asarray(SimpleNamespace(__array_interface__=interface))

    left = matrix(a, k, m, a_row).T if a_transposed else matrix(a, m, k, a_row)
    right = matrix(b, n, k, b_row).T if b_transposed else matrix(b, k, n, b_row)
    target = matrix(c, m, n, c_row)
    product = alpha * np.matmul(left, right)
    target[...] = product if beta == 0 else product + beta * target


_FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh,
    "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh,
    "cosh": np.cosh, "atan": np.arctan, "asin": np.arcsin, "acos": np.arccos,
    "atan2": np.arctan2, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "hypot": np.hypot, "power": np.power, "log2": np.log2, "log10": np.log10,
}  # fmt: skip
_NAMES: dict[str, Any] = {
    **_FUNCTIONS,
    "math": SimpleNamespace(**_FUNCTIONS),
    "np": np,
    "erf": np.vectorize(math.erf),
    "boolean": np.bool,
    **{name: getattr(np, name) for name in ("float32", "float64")},
    **{name: getattr(np, name) for name in ("int8", "int16", "int32", "int64")},
    **{name: getattr(np, name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "operand": lambda arguments, place, dtype, number: _Memory(arguments[place], dtype),
    "select": lambda condition, yes, no: yes if condition else no,
    "maximum": np.maximum, "minimum": np.minimum, "plus": np.add, "times": np.multiply,
    "gemm": _gemm,
}  # fmt: skip


class Interpreter:
    """Stands for `load`, `runner` and `team`: a kernel's address is a number of this object."""

    def __init__(self) -> None:
        self.kernels: list[Any] = []
        self.teams: dict[int, Any] = {}

    def load(self, sources: Any) -> list[int]:
        """Numbers for kernels."""
        for source in sources:
            namespace = dict(_NAMES)
            exec(source, namespace)
            kernel = {BARRIER: None, SET_THREADS: _nothing}.get(source, namespace["kernel"])
            self.kernels.append(kernel)
        count = len(sources)
        return list(range(len(self.kernels) - count + 1, len(self.kernels) + 1))

    def runner(self) -> Any:
        """What runs a program."""
        return lambda address: self.run([address])

    def team(self, size: int) -> Any:
        """What runs programs side by side, the same at each call."""
        return self.teams.setdefault(
            size, SimpleNamespace(barrier=[0, size, 0], together=self.together)
        )

    def together(self, addresses: list[int]) -> Any:
        """A function that runs programs."""
        return lambda: self.run(addresses)

    def run(self, addresses: list[int]) -> None:
        """The calls of programs."""
        programs = [self._calls(_Memory(int(address), np.int64)) for address in reversed(addresses)]
        with np.errstate(all="ignore"):
            for _ in zip_longest(*programs):  # from barrier to barrier
                pass

    def _calls(self, words: _Memory) -> Iterator[bool]:
        """Make the calls of a program; stops at each barrier."""
        at = 0
        while number := int(words[at]):
            count = int(words[at + 1])
            arguments = [int(words[at + 2 + i]) for i in range(count)]
            if self.kernels[number - 1] is None:
                yield True
            else:
                self.kernels[number - 1](arguments)
            at += 2 + count


def _nothing(arguments: list[int]) -> None:
    """In the place of a call of BLAS."""


@contextmanager
def interpreted_kernels() -> Iterator[None]:
    """Within, kernels are interpreted, and all that can be divided is, for three threads."""
    interpreter = Interpreter()
    of_executor = {
        "load": interpreter.load, "runner": interpreter.runner, "team": interpreter.team,
        "counts": lambda: Counts(3, 3),
    }  # fmt: skip
    with (
        mock.patch.multiple(numba_executor, **of_executor),
        mock.patch.multiple(parts, LEAST_WORK=1, LEAST_PRODUCT=1),
    ):
        yield
