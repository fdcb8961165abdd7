"""Programs as Python functions that run in place, with as few scratch arrays as they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .formula import Symbol

if TYPE_CHECKING:
    from .program import Program

__all__ = ["Update", "compile_numbers", "compile_update"]

_OPERATORS = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**",
    np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=",
    np.equal: "==", np.not_equal: "!=",
}  # fmt: skip


class Update(NamedTuple):
    """A compiled program.

    `function(theta, g, *states, *scratch, settings, step)` updates one parameter.
    `function(thetas, gs, changes, *states, *scratch, settings, step)` updates several, whose
    states are joined in flat arrays: it gathers what it needs in scratch arrays, and `changes`
    are the parts of the scratch array number `change`.
    """

    function: Callable[..., None]
    scratch: int
    change: int
    source: str


def compile_numbers(program: Program) -> Callable[..., list[float]]:
    """A function (settings, step) → the numbers that the program combines arrays with."""
    texts, lines = _numbers(program)
    result = ", ".join(texts[number] for number in program.numbers)
    return _define(program, "settings, step", [*lines, f"return [{result}]"])[0]


def compile_update(program: Program, joined: bool) -> Update:
    """The function for one parameter, or for several whose states are `joined`."""
    texts, lines = _numbers(program)
    memory = _Memory(program, joined, texts, lines)
    first = "thetas, gs, changes" if joined else "theta, g"
    states = [array.name for array in program.state.values()]
    parameters = ", ".join([first, *states, *memory.scratch, "settings, step"])
    function, source = _define(program, parameters, lines)
    return Update(function, len(memory.scratch), memory.change, source)


def _numbers(program: Program) -> tuple[dict[Symbol, str], list[str]]:
    """The numbers of a program as Python expressions, and the lines that compute them."""
    texts: dict[Symbol, str] = {}
    lines: list[str] = []
    for call in program.calls:
        texts |= {x: x.name for x in call.symbols if x.name and not x.is_array}
        if not call.is_array:
            operands = [_text(x, texts) for x in call.operands]
            if call.function in _OPERATORS:
                value = f" {_OPERATORS[call.function]} ".join(operands)
            else:  # a NumPy float would widen float32 arrays
                value = f"float({call.function.__name__}({', '.join(operands)}))"
            texts[call] = f"c{len(lines)}"
            lines.append(f"{texts[call]} = {value}")
    return texts, lines


def _text(operand: Any, texts: dict[Symbol, str]) -> str:
    return texts[operand] if isinstance(operand, Symbol) else repr(operand)


def _define(program: Program, parameters: str, lines: list[str]) -> tuple[Any, str]:
    source = "\n    ".join([f"def update({parameters}):", *(lines or ["pass"])]) + "\n"
    names = {call.function.__name__: call.function for call in program.calls}
    names |= {
        "inf": math.inf,
        "nan": math.nan,
        "concatenate": np.concatenate,
        "positive": np.positive,
    }
    exec(source, names)
    return names["update"], source


class _Memory:
    """Finds an array for each result, and writes the calls.

    A new value goes into the array that it is for, once nothing needs the old value; any other
    result into the array of an operand that is not needed again, or into a scratch array.
    """

    def __init__(
        self, program: Program, joined: bool, texts: dict[Symbol, str], lines: list[str]
    ) -> None:
        self.texts, self.lines = texts, lines
        self.scratch: list[str] = []
        self.change = 0
        calls = [call for call in program.calls if call.is_array]
        self.results = dict(program.results)
        split = self._split(program.theta, calls) if joined else None
        arrays = [*program.state.values(), *([] if joined else [program.theta])]
        self.texts |= {array: array.name for array in arrays}
        if not joined:
            self.texts[program.gradient] = "g"  # read only
        self.last_use = {x: call for call in calls for x in call.arrays}
        self.kept = {*self.results.values(), *(split or ())}
        self.free = [array.name for array in arrays if array not in self.last_use]
        for call in calls:
            self._place(call)
        for array, value in self.results.items():
            if self.texts[value] != array.name:
                self.lines.append(f"positive({self.texts[value]}, out={array.name})")
        if split is not None:
            last, change = split
            self.change = self.scratch.index(self.texts[change])
            self.texts |= {program.theta: "theta", change: "change"}
            operands = ", ".join(_text(x, texts) for x in last.operands)
            self.lines.append("for theta, change in zip(thetas, changes):")
            self.lines.append(f"    {last.function.__name__}({operands}, out=theta)")

    def _split(self, theta: Symbol, calls: list[Symbol]) -> tuple[Symbol, Symbol] | None:
        """The last call, θ ← last(θ, change), which is made for each parameter by itself.

        So θ need not be gathered, and the change can be read from its scratch array.
        """
        last = self.results.pop(theta, None)
        if last is None:
            return None
        changes = [x for x in last.arrays if x is not theta]
        is_used = last in {x for call in calls for x in call.arrays}
        if len(last.arrays) == 2 and len(changes) == 1 and not is_used:
            (change,) = changes
            calls[:] = [call for call in calls if call is not last]
        else:
            change = last
            last = Symbol(function=np.positive, operands=(change,))
        if change not in {*calls} - {*self.results.values()}:  # it is in no scratch array
            copy = Symbol(function=np.positive, operands=(change,))
            calls.append(copy)
            operands = tuple([copy if x is change else x for x in last.operands])
            last, change = Symbol(function=last.function, operands=operands), copy
        return last, change

    def _place(self, call: Symbol) -> None:
        for array in call.arrays:
            if array not in self.texts:
                self.texts[array] = self._take([])
                self.lines.append(f"concatenate({array.name}s, axis=None, out={self.texts[array]})")
        operands = ", ".join(_text(x, self.texts) for x in call.operands)
        ended = [
            self.texts[x]
            for x in dict.fromkeys(call.arrays)
            if self.last_use[x] is call and x not in self.kept and self.texts[x] != "g"
        ]
        self.free += ended
        if call in self.kept:
            preferred = [array.name for array, value in self.results.items() if value is call]
        else:
            preferred = sorted(ended, key=lambda name: name not in self.scratch)
        self.texts[call] = target = self._take(preferred)
        name = call.function.__name__
        if isinstance(call.function, np.ufunc):
            self.lines.append(f"{name}({operands}, out={target})")
        else:
            self.lines.append(f"{target}[...] = {name}({operands})")

    def _take(self, preferred: list[str]) -> str:
        """A free array: one of those preferred, scratch, or new scratch."""
        usable = [name for name in preferred if name in self.free]
        usable += [name for name in self.free if name in self.scratch]
        if not usable:
            self.scratch.append(f"t{len(self.scratch)}")
            return self.scratch[-1]
        self.free.remove(usable[0])
        return usable[0]
