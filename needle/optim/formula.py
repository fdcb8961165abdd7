"""Formulas as graphs: an update rule is called once, with symbols for its arrays and numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["Symbol", "calls_of"]

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
    """An array or a number that a formula is given, or that it computes from others.

    Operators and NumPy's elementwise functions make new symbols, which know their function and
    operands. What adds 0, or multiplies by 0 or 1, vanishes.

    Args:
        name: of what the formula is given.
        is_array: whether that is an array.
        function: what computes a symbol that the formula is not given.
        operands: symbols and Python numbers.
    """

    __hash__ = object.__hash__

    def __init__(
        self,
        name: str = "",
        is_array: bool = False,
        function: Callable[..., Any] | None = None,
        operands: tuple[Any, ...] = (),
    ) -> None:
        self.name = name
        self.function: Any = function
        self.operands = operands
        self.symbols = [x for x in operands if isinstance(x, Symbol)]
        self.arrays: list[Symbol] = [x for x in self.symbols if x.is_array]
        self.is_array: bool = is_array or bool(self.arrays)
        self.order = next(_count)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.nout > 1 or ufunc.signature:
            raise _refusal(f"np.{ufunc.__name__}")
        return _simplified(ufunc, _checked(operands))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.where and len(args) == 3:
            return Symbol(function=function, operands=_checked(args))
        if function is np.clip and len(args) == 3:
            return np.minimum(np.maximum(args[0], args[1]), args[2])
        raise _refusal(f"np.{function.__name__}")

    def __bool__(self) -> bool:
        if self.name and self.name != "step" and not self.is_array:
            return True  # a setting: one that is 0 is no symbol
        raise TypeError(
            "an update rule is called once for all steps, so it cannot branch on numbers that "
            "change: write a factor such as (step > 1), or np.where(condition, a, b)"
        )

    def __float__(self) -> float:
        raise _refusal("a function of Python or `math`")

    __int__ = __index__ = __float__


def _refusal(what: str) -> TypeError:
    return TypeError(
        f"{what} used in this way in an update rule: the rule is an elementwise formula of "
        "operators and NumPy's elementwise functions (np.sqrt, np.maximum, np.where); an "
        "optimizer that needs more defines step()"
    )


def _checked(operands: Iterable[Any]) -> tuple[Any, ...]:
    operands = tuple([x.item() if isinstance(x, np.generic) else x for x in operands])
    for operand in operands:
        if not isinstance(operand, Symbol | bool | int | float):
            raise TypeError(f"an update rule computes with symbols and numbers, got {operand!r}")
    return operands


def _simplified(ufunc: Any, operands: tuple[Any, ...]) -> Any:
    """The symbol of a call, or what it is equal to."""
    if ufunc is np.square:
        ufunc, operands = np.multiply, operands * 2
    if len(operands) == 2:
        left, right = [None if isinstance(x, Symbol) else x for x in operands]
        neutral_left, neutral_right = _NEUTRAL.get(ufunc, (None, None))
        if left is not None and left == neutral_left:
            return operands[1]
        if right is not None and right == neutral_right:
            return operands[0]
        if ufunc is np.multiply and (left == 0 or right == 0):
            return 0.0
        if ufunc is np.power and right == 2:  # np.power takes many times as long
            return operands[0] * operands[0]
    return Symbol(function=ufunc, operands=operands)


def calls_of(symbols: Iterable[Symbol]) -> list[Symbol]:
    """The calls that compute `symbols`, in the order of the formula."""
    found: dict[Symbol, None] = {}
    waiting = list(symbols)
    while waiting:
        symbol = waiting.pop()
        if symbol.function and symbol not in found:
            found[symbol] = None
            waiting += symbol.symbols
    return sorted(found, key=lambda symbol: symbol.order)
