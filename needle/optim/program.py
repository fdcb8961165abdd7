"""An update rule, traced: calls that run on Tensors, or are compiled to run in place on arrays."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..autograd import Tensor
from .compiler import Update, compile_numbers, compile_update
from .formula import Symbol, calls_of
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Program", "structure"]

_OPS: dict[Any, Callable[..., Any]] = {
    np.subtract: operator.sub,
    np.negative: operator.neg,
    np.absolute: operator.abs,
    np.positive: lambda a: a if isinstance(a, Tensor) else Tensor(a),
}
"""The functions of Tensors that have other names than NumPy's."""


def structure(group: ParamGroup) -> tuple[Any, ...]:
    """What a program depends on: flags, and which settings are 0, 1 or None."""
    return tuple([_constant(name, value) for name, value in group.items()])


def _constant(name: str, value: Any) -> Any:
    """The value of a setting that is fixed in a program, "number" where it may change."""
    if value.__class__ is float:
        return value if value in (0.0, 1.0) and name != "lr" else "number"
    return None if name == "params" else value


class Program:
    """The update rule of an optimizer, for parameter groups of one structure.

    The rule is called once. Settings that are 0 or 1 are constants, so that terms vanish.

    Args:
        optimizer: has the rule.
        group: the settings.
        names: the names of the state arrays.

    Raises:
        TypeError: the rule is no elementwise formula, or returns no pair of θ and state.
        ValueError: it returns a state that `initial_state` does not name.
    """

    def __init__(self, optimizer: Optimizer, group: ParamGroup, names: Sequence[str]) -> None:
        self.theta, self.gradient = Symbol("theta", True), Symbol("g", True)
        self.state = {name: Symbol("state_" + re.sub(r"\W", "_", name), True) for name in names}
        settings = SimpleNamespace()
        for name, value in group.items():
            is_number = _constant(name, value) == "number"
            setattr(settings, name, Symbol(f"settings[{name!r}]") if is_number else value)
        g = -self.gradient if group.get("maximize") else self.gradient
        returned = optimizer.update(self.theta, g, dict(self.state), settings, Symbol("step"))
        self.results = self._results(f"{type(optimizer).__name__}.update", returned)
        self.calls = calls_of(self.results.values())
        operands = [x for call in self.calls if call.is_array for x in call.symbols]
        self.numbers = list(dict.fromkeys(x for x in operands if not x.is_array))
        self._compiled: dict[bool, Update] = {}

    def _results(self, rule: str, returned: Any) -> dict[Symbol, Symbol]:
        """The calls that compute new values, by the array which these are written to."""
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(f"{rule} must return a pair (theta, state), got {returned!r}")
        theta, state = returned
        if unknown := sorted(state.keys() - self.state.keys()):
            raise ValueError(f"{rule} returned the state {unknown}, expected {list(self.state)}")
        results: dict[Symbol, Symbol] = {}
        pairs = [(self.theta, theta), *((self.state[name], state[name]) for name in state)]
        for array, value in pairs:
            if value is not array:
                is_call = isinstance(value, Symbol) and value.is_array and value.function
                if not is_call or value in {*results.values()}:
                    value = Symbol(function=np.positive, operands=(value,), is_array=True)
                results[array] = value
        return results

    def compiled(self, joined: bool) -> Update:
        """The function for one parameter, or for several that are `joined`."""
        if joined not in self._compiled:
            self._compiled[joined] = compile_update(self, joined)
        return self._compiled[joined]

    @cached_property
    def compute_numbers(self) -> Callable[..., list[float]]:
        """(settings, step) → the values of `numbers`."""
        return compile_numbers(self)

    def run(self, tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The rule by needle's ops: Tensors that change, each with its new value.

        Args:
            tensors: θ, the gradient, the state arrays and `numbers`.

        Raises:
            TypeError: needle has no op for a function.
        """
        given = [self.theta, self.gradient, *self.state.values(), *self.numbers]
        values: dict[Symbol, Any] = dict(zip(given, tensors, strict=True))
        for call in self.calls:
            if call.is_array:
                name = call.function.__name__
                op = _OPS.get(call.function) or getattr(ops, name, None)
                if op is None:
                    raise TypeError(f"np.{name} has no op: this update rule cannot be recorded")
                values[call] = op(
                    *[values[x] if isinstance(x, Symbol) else x for x in call.operands]
                )
        return [(values[array], values[value]) for array, value in self.results.items()]
