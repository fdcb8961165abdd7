"""Formulas as graphs: an update rule is called once, with symbols for its arrays and numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["Symbol", "calls_of", "checked"]

_NEUTRAL: dict[Any, tuple[int | None, int | None]] = {
    np.add: (0, 0),
    np.subtract: (None, 0),
    np.multiply: (1, 1),
    np.divide: (None, 1),
    np.power: (None, 1),
}
"""The numbers that, as left or right operand, leave the other operand as it is."""

_count = itertools.count()


class Symbol(NDArrayOperatorsMixin):
    """An array or a number that a formula is given, or that it computes from others: a call.

    Operators and NumPy's elementwise functions make calls. What adds 0, or multiplies by 0 or 1,
    vanishes. What the formula is given has a `name`, a Python expression, in place of a function.
    """

    __hash__ = object.__hash__

    def __init__(
        self,
        function: Callable[..., Any] | None = None,
        operands: tuple[Any, ...] = (),
        name: str = "",
        is_array: bool = False,
    ) -> None:
        self.function: Any = function
        self.operands, self.name = operands, name
        self.symbols = [x for x in operands if isinstance(x, Symbol)]
        self.arrays: list[Symbol] = [x for x in self.symbols if x.is_array]
        self.is_array: bool = is_array or bool(self.arrays)
        self.order = next(_count)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if any(isinstance(out, Symbol) for out in options.get("out", ())):
            raise TypeError(
                f"np.{ufunc.__name__} in place (such as += or out=) in an update rule: a formula "
                "makes new values, so write g = g + x"
            )
        if method != "__call__" or options or ufunc.nout > 1 or ufunc.signature:
            raise _refusal(f"np.{ufunc.__name__}")
        operands = checked(operands)
        numbers = [math.nan if isinstance(x, Symbol) else x for x in operands]
        if ufunc is np.square or (ufunc is np.power and numbers[1] == 2):
            return operands[0] * operands[0]  # np.power takes many times as long
        for position, neutral in enumerate(_NEUTRAL.get(ufunc, ())):
            if numbers[position] == neutral:
                return operands[1 - position]
        if ufunc is np.multiply and 0 in numbers:
            return 0.0
        return Symbol(ufunc, operands)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.where and len(args) == 3:
            return Symbol(function, checked(args))
        if function is np.clip and len(args) == 3:
            return np.minimum(np.maximum(args[0], args[1]), args[2])
        raise _refusal(f"np.{function.__name__}")

    def __bool__(self) -> bool:
        if self.name.startswith("settings"):
            return True  # a setting of 0 is no symbol
        raise TypeError(
            "an update rule is called once for all steps, so it cannot branch on numbers that "
            "change: write a factor such as (step > 1), or np.where(condition, a, b)"
        )

    def __float__(self) -> float:
        raise _refusal("a function of Python or `math`")

    __int__ = __index__ = __float__

    def __getattr__(self, name: str) -> Any:
        error = _refusal(f"the attribute {name!r} of an array")
        raise AttributeError(str(error), name=name)

    def __getitem__(self, *index: Any) -> Any:
        raise _refusal("an index, len() or round()")

    __setitem__ = __iter__ = __len__ = __round__ = __getitem__


def _refusal(what: str) -> TypeError:
    return TypeError(
        f"{what}, used in this way in an update rule: the rule is an elementwise formula of "
        "operators and NumPy's elementwise functions (np.sqrt, np.maximum, np.where), called with "
        "symbols in place of arrays; an optimizer that needs more defines step()"
    )


def checked(operands: Iterable[Any]) -> tuple[Any, ...]:
    """Operands of a call: symbols and Python numbers."""
    operands = tuple([x.item() if isinstance(x, np.generic) else x for x in operands])
    for operand in operands:
        if not isinstance(operand, Symbol | bool | int | float):
            raise TypeError(f"an update rule computes with symbols and numbers, got {operand!r}")
    return operands


def calls_of(symbols: Iterable[Symbol]) -> list[Symbol]:
    """The calls that compute `symbols`, in the order of the formula."""
    found: set[Symbol] = set()
    waiting = list(symbols)
    while waiting:
        symbol = waiting.pop()
        if symbol.function and symbol not in found:
            found.add(symbol)
            waiting += symbol.symbols
    return sorted(found, key=lambda symbol: symbol.order)
