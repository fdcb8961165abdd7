"""An update rule, traced: calls that run on Tensors, or are compiled to run in place on arrays."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..autograd import Tensor
from .formula import Symbol, calls_of, checked
from .settings import ParamGroup

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["Program", "structure"]

_OPERATORS = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**",
    np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=",
    np.equal: "==", np.not_equal: "!=",
}  # fmt: skip

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


class _Settings(SimpleNamespace):
    """The settings of a group, which a rule reads as attributes."""

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(name for name in vars(self) if name != "params")
        text = f"the parameter group has no setting {name!r}, only {known}"
        raise AttributeError(text, name=name, obj=self)

    def __getitem__(self, name: str) -> Any:
        raise TypeError(f"settings are attributes in an update rule: write settings.{name}")


class _State(dict[str, Any]):
    """The state of a parameter, which a rule reads by name."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"no state {name!r}: initial_state() names {list(self)}")


class Program:
    """The update rule of an optimizer, traced and compiled for groups of one structure.

    Settings that are 0 or 1 are constants, so that terms vanish. `function(theta, g, *states,
    *scratch, settings, step)` updates one parameter in place, with as many scratch arrays as
    `scratch` says. If `joined`, `function(thetas, gs, changes, *states, *scratch, settings, step)`
    updates several, whose states are joined in flat arrays; `changes` are the parts, one for each
    parameter, of the array number `change` among `*states, *scratch`.
    """

    def __init__(
        self, optimizer: Optimizer, group: ParamGroup, names: Sequence[str], joined: bool
    ) -> None:
        self.theta, self.gradient = (Symbol(name=name, is_array=True) for name in ("theta", "g"))
        self.state = {
            name: Symbol(name="state_" + re.sub(r"\W", "_", name), is_array=True) for name in names
        }
        settings = _Settings(**group)
        for name, value in group.items():
            if _constant(name, value) == "number":
                setattr(settings, name, Symbol(name=f"settings[{name!r}]"))
        g = -self.gradient if group.get("maximize") else self.gradient
        step = Symbol(name="step")
        rule = f"{type(optimizer).__name__}.update"
        try:
            returned = optimizer.update(self.theta, g, _State(self.state), settings, step)
        except Exception as error:
            error.add_note(f"in {rule}, a formula of operators and NumPy's functions on symbols")
            raise
        self.results = self._results(rule, returned)
        self.calls = calls_of(self.results)
        if not names and any(x is step for call in self.calls for x in call.symbols):
            raise ValueError(
                f"{rule} uses step, which is saved with the state: name an array in initial_state"
            )
        operands = [x for call in self.calls if call.is_array for x in call.symbols]
        self.numbers = list(dict.fromkeys(x for x in operands if not x.is_array))
        self.last, self.change_call = _last_call(self.theta, self.calls, next(iter(self.results)))
        self._lines: list[str] = []  # compute the numbers
        for call in self.calls:
            if not call.is_array:
                if call.function in _OPERATORS:
                    value = _operands(call, {}, f" {_OPERATORS[call.function]} ")
                else:  # a NumPy float would widen float32 arrays
                    value = f"float({call.function.__name__}({_operands(call, {})}))"
                call.name = f"c{len(self._lines)}"
                self._lines.append(f"{call.name} = {value}")
        self._compile(joined)

    def _results(self, rule: str, returned: Any) -> dict[Symbol, Symbol]:
        """The calls that compute new values, each with the array that it is written to."""
        is_pair = isinstance(returned, tuple) and len(returned) == 2
        if not is_pair or not isinstance(returned[1], Mapping):
            raise TypeError(f"{rule} must return a pair (theta, state), got {returned!r}")
        theta, state = returned
        if unknown := sorted(state.keys() - self.state.keys()):
            raise ValueError(f"{rule} returned the state {unknown}, expected {list(self.state)}")
        results: dict[Symbol, Symbol] = {}
        pairs = [(self.theta, theta), *((self.state[name], state[name]) for name in state)]
        for array, value in pairs:
            if value is not array or array is self.theta:
                is_call = isinstance(value, Symbol) and value.is_array and value.function
                if not is_call or value in results:
                    value = Symbol(np.positive, checked([value]), is_array=True)
                results[value] = array
        return results

    def run(
        self,
        thetas: Sequence[Tensor],
        gradients: Sequence[Tensor],
        state: Sequence[Tensor],
        numbers: Sequence[Tensor],
    ) -> list[tuple[Tensor, Tensor]]:
        """By needle's ops: pairs of a Tensor that changes and its new value.

        Several parameters are updated together, by their joined gradients and state.
        """
        given = [*self.state.values(), *self.numbers]
        values: dict[Symbol, Any] = dict(zip(given, [*state, *numbers], strict=True))
        values[self.gradient] = _joined(gradients)
        calls = [call for call in self.calls if call.is_array and call is not self.last]
        if any(x is self.theta for call in calls for x in call.symbols):
            values[self.theta] = _joined(thetas)
        for call in calls:
            values[call] = _applied(call, values)
        results = []
        for theta, change in zip(thetas, _parts(values[self.change_call], thetas), strict=True):
            new = _applied(self.last, {**values, self.theta: theta, self.change_call: change})
            results.append((theta, new))
        for value, array in self.results.items():
            if array is not self.theta:
                results.append((values[array], values[value]))
        return results

    @cached_property
    def compute_numbers(self) -> Callable[..., list[float]]:
        """(settings, step) → the values of `numbers`."""
        result = ", ".join(number.name for number in self.numbers)
        return self._define("settings, step", [*self._lines, f"return [{result}]"])[0]

    def _define(self, parameters: str, lines: list[str]) -> tuple[Any, str]:
        source = "\n    ".join([f"def update({parameters}):", *lines]) + "\n"
        names = {name: getattr(np, name) for name in ("concatenate", "inf", "nan", "positive")}
        names |= {call.function.__name__: call.function for call in self.calls}
        exec(source, names)
        return names["update"], source

    def _compile(self, joined: bool) -> None:
        """Write the calls, each with an array for its result.

        A new value goes into the array that it is for, once nothing needs the old value; any
        other result into one of the scratch arrays, of which a free one is taken again.
        """
        last, change = self.last, self.change_call
        calls = [call for call in self.calls if call.is_array and call is not last]
        targets = {value: x.name for value, x in self.results.items() if x is not self.theta}
        names = [array.name for array in self.state.values()]
        places = {array: array.name for array in self.state.values()}
        if not joined:
            places |= {self.theta: "theta", self.gradient: "g"}
        last_use = {x: call for call in calls for x in call.arrays}
        used = {x.name for x in last_use}
        free = [name for name in targets.values() if name not in used]
        scratch: list[str] = []
        lines = self._lines.copy()

        def take(preferred: Sequence[str] = ()) -> str:
            usable = [name for name in (*preferred, *scratch) if name in free]
            if usable:
                free.remove(usable[0])
                return usable[0]
            scratch.append(f"t{len(scratch)}")
            return scratch[-1]

        for call in calls:
            for array in call.arrays:
                if array not in places:
                    places[array] = take()
                    lines.append(f"concatenate({array.name}s, axis=None, out={places[array]})")
            ended = {x for x in call.arrays if last_use[x] is call and x not in {*targets, change}}
            reusable = [places[x] for x in sorted(ended, key=lambda x: x.order)]
            reusable = [name for name in reusable if name in {*targets.values(), *scratch}]
            free += reusable
            if call in targets:
                target = take([targets[call]])
            else:  # the change is needed until all states have their new values
                target = take(reusable if call is not change else ())
            lines.append(_line(call, places, target))
            places[call] = target
        for value, name in targets.items():
            if places[value] != name:
                lines.append(f"positive({places[value]}, out={name})")
        names += scratch
        self.scratch, self.change = len(scratch), names.index(places[change])
        if joined:
            lines.append("for theta, change in zip(thetas, changes):")
            places[change] = "change"
        places[self.theta] = "theta"
        lines.append("    " * joined + _line(last, places, "theta"))
        first = "thetas, gs, changes" if joined else "theta, g"
        parameters = ", ".join([first, *names, "settings, step"])
        self.function, self.source = self._define(parameters, lines)


def _applied(call: Symbol, values: Mapping[Symbol, Any]) -> Tensor:
    """A call, by the op of Tensors."""
    name = call.function.__name__
    op = _OPS.get(call.function) or getattr(ops, name, None)
    if op is None:
        raise TypeError(f"np.{name} has no op: this update rule cannot be recorded")
    return op(*[values[x] if isinstance(x, Symbol) else x for x in call.operands])


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    return ops.concatenate([tensor.reshape((-1,)) for tensor in tensors])


def _parts(joined: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """`joined` apart, in the shapes of `like`."""
    if len(like) == 1:
        return [joined]
    ends = list(itertools.accumulate(tensor.size for tensor in like))
    return [
        joined[end - tensor.size : end].reshape(tensor.shape)
        for tensor, end in zip(like, ends, strict=True)
    ]


def _last_call(theta: Symbol, calls: list[Symbol], new: Symbol) -> tuple[Symbol, Symbol]:
    """θ ← last(θ, change), called for each parameter by itself so that θ need not be gathered."""
    others = [x for x in new.arrays if x is not theta]
    is_used = new in {x for call in calls for x in call.arrays}
    if len(new.arrays) == 2 and len(others) == 1 and others[0].function and not is_used:
        return new, others[0]
    return Symbol(np.positive, (new,)), new


def _operands(call: Symbol, places: dict[Symbol, str], separator: str = ", ") -> str:
    return separator.join(
        places.get(x, x.name) if isinstance(x, Symbol) else repr(x) for x in call.operands
    )


def _line(call: Symbol, places: dict[Symbol, str], target: str) -> str:
    """The line that computes an array."""
    name, operands = call.function.__name__, _operands(call, places)
    if isinstance(call.function, np.ufunc):
        return f"{name}({operands}, out={target})"
    return f"{target}[...] = {name}({operands})"
