"""L-BFGS: a quasi-Newton method, with a line search on request."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Array, Tensor, assign, enable_grad
from .optimizer import Optimizer
from .settings import setting
from .state import load_state, save_state

__all__ = ["LBFGS"]


@dataclass
class _Memory:
    """What L-BFGS remembers between steps."""

    n_iter: int = 0
    func_evals: int = 0
    t: float = 0.0  # the last step length
    d: Array | None = None  # the last direction
    gradient: Array | None = None  # at the point where it began
    scale: float = 1.0  # of the first approximation of the inverse Hessian
    changes: list[Array] = field(default_factory=list)  # of the gradients
    steps: list[Array] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal 1980; Liu and Nocedal 1989): few steps, for smooth functions.

        θ ← θ + t·d,  d = -H·grad

    H approximates the inverse Hessian from the last `history_size` changes of θ and the gradient.
    `step` calls a function that computes the loss and the gradients, up to `max_eval` times. All
    batches must be one: differences between gradients of different batches are no curvature.

    Args:
        params: the parameters, in one group; see `Optimizer`.
        lr: the step length t, and the first one that the line search tries.
        max_iter: the largest number of iterations in a step.
        max_eval: the largest number of function evaluations in a step, by default max_iter·5/4.
        tolerance_grad: stop where no element of the gradient is larger than this.
        tolerance_change: stop where θ or the loss changes by less than this.
        history_size: the number of changes that are remembered.
        line_search_fn: None, or "strong_wolfe" for a step length that satisfies the strong Wolfe
            conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6).

    Raises:
        ValueError: a setting is out of its range, or there are several parameter groups.

    Example:
        >>> import needle as ndl
        >>> x = ndl.Tensor([-1.2, 1.0])
        >>> optimizer = ndl.optim.LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(3):
        ...     loss = optimizer.step(closure)
        >>> print(x.numpy().round(4))
        [1. 1.]
    """

    lr: float = setting(1.0)
    max_iter: int = setting(20)
    max_eval: int | None = setting(None)
    tolerance_grad: float = setting(1e-7)
    tolerance_change: float = setting(1e-9)
    history_size: int = setting(100)
    line_search_fn: str | None = setting(None)

    def __post_init__(self) -> None:
        self._memory = _Memory()
        super().__post_init__()

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS has one parameter group, because it has one step length")
        super().add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to `max_iter` iterations; returns the loss before them.

        Args:
            closure: computes the loss and the gradients, and returns the loss. If it raises an
                error, parameters and state are those before the iteration.
        """
        if not callable(closure):
            raise TypeError(
                "LBFGS.step takes a function that resets the gradients, computes the loss, calls "
                f"backward() and returns the loss, got {type(closure).__name__}"
            )
        memory, (group,) = self._memory, self.param_groups
        max_eval = group["max_eval"] or group["max_iter"] * 5 // 4
        first, loss, gradient = self._evaluate(closure)
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            if np.abs(gradient).max() <= group["tolerance_grad"]:
                break
            before = replace(memory, changes=[*memory.changes], steps=[*memory.steps])
            memory.n_iter += 1
            memory.d = d = self._direction(gradient, group["history_size"])
            memory.gradient, memory.t = gradient, group["lr"]
            if memory.n_iter == 1:
                memory.t *= min(1.0, 1 / np.abs(gradient).sum().item())
            slope = np.vdot(gradient, d).item()
            if slope > -group["tolerance_change"]:
                break
            x, former = self._flat_params(), loss
            try:
                if group["line_search_fn"]:
                    start = _Point(0.0, loss, gradient, slope)
                    search = _Search(lambda t: self._at(closure, x, t, d), start)  # noqa: B023
                    reach, tolerance = np.abs(d).max().item(), group["tolerance_change"]
                    found = search.run(memory.t, reach, tolerance, max_eval - evaluations)
                    memory.t, loss, gradient, _ = found
                    evaluations += search.evaluations
                    self._set_params(x + memory.t * d)
                else:
                    self._set_params(x + memory.t * d)
                    if iteration < group["max_iter"]:  # nothing reads a last evaluation
                        _, loss, gradient = self._evaluate(closure)
                        evaluations += 1
            except BaseException:
                self._set_params(x)
                self._memory = before
                raise
            change = np.abs(memory.t * d).max()
            tolerance = group["tolerance_change"]
            if evaluations >= max_eval or change <= tolerance or abs(loss - former) < tolerance:
                break
        memory.func_evals += evaluations
        return first

    def _direction(self, gradient: Array, size: int) -> Array:
        """-H·gradient, after the last change of θ and the gradient has been remembered."""
        memory = self._memory
        changes, steps = memory.changes, memory.steps
        if memory.d is None:
            return -gradient
        change, step = gradient - memory.gradient, memory.t * memory.d
        curvature = np.vdot(change, step).item()
        if curvature > 1e-10:
            changes.append(change)
            steps.append(step)
            del changes[:-size], steps[:-size]
            memory.scale = curvature / np.vdot(change, change).item()
        d, weights = -gradient, []
        pairs = [(y, s, 1 / np.vdot(y, s).item()) for y, s in zip(changes, steps, strict=True)]
        for y, s, inverse in reversed(pairs):
            weights.append(inverse * np.vdot(s, d).item())
            d = d - weights[-1] * y
        d = d * memory.scale
        for y, s, inverse in pairs:
            d = d + (weights.pop() - inverse * np.vdot(y, d).item()) * s
        return d

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, float, Array]:
        """The loss as `closure` returns it, its value, and the gradient of all parameters."""
        with enable_grad():
            loss = closure()
        if not isinstance(loss, Tensor | float | int | np.generic):
            kind = type(loss).__name__
            raise TypeError(f"the function that LBFGS.step takes must return the loss, got {kind}")
        parts = []
        for param in self.params:
            array = param.realize_cached_data()
            grad = param.grad
            parts.append(np.zeros_like(array) if grad is None else grad.realize_cached_data())
        flat = np.concatenate([part.reshape(-1) for part in parts])
        return loss, float(loss.item() if isinstance(loss, Tensor) else loss), flat

    def _at(self, closure: Callable[[], Any], x: Array, t: float, d: Array) -> _Point:
        self._set_params(x + t * d)
        _, loss, gradient = self._evaluate(closure)
        return _Point(t, loss, gradient, np.vdot(gradient, d).item())

    def _flat_params(self) -> Array:
        return np.concatenate([param.realize_cached_data().reshape(-1) for param in self.params])

    def _set_params(self, values: Array) -> None:
        start = 0
        for param in self.params:
            part = values[start : start + param.size].reshape(param.shape)
            assign(param, Tensor.make_const(part))
            start += param.size

    # --- state

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """What is remembered of all parameters, under the first of them, as in PyTorch."""
        return {self.params[0]: vars(self._memory)} if self._memory.func_evals else {}

    def state_dict(self) -> dict[str, Any]:
        saved = save_state(self)
        return {**saved, "state": copy.deepcopy(saved["state"])}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        has_parts = isinstance(state_dict, Mapping) and "state" in state_dict
        groups, _ = load_state(self, {**state_dict, "state": {}} if has_parts else state_dict)
        entries = dict(state_dict["state"])
        memory = _Memory()
        if entries:
            (entry,) = entries.values()
            memory = self._loaded(entry)
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self._memory = memory

    def _loaded(self, entry: Mapping[str, Any]) -> _Memory:
        if entry.keys() != vars(self._memory).keys():
            raise ValueError(
                f"the state belongs to another optimizer: it has {sorted(entry)}, expected "
                f"{sorted(vars(self._memory))}"
            )
        like = self._flat_params()

        def array(value: Any) -> Array:
            given = value.realize_cached_data() if isinstance(value, Tensor) else value
            if given.shape != like.shape:
                raise ValueError(
                    f"the state belongs to another model: {given.size} numbers, {like.size} here"
                )
            return self.params[0].device.array(given, like.dtype)

        copied = dict(entry)
        for name in ("d", "gradient"):
            copied[name] = None if entry[name] is None else array(entry[name])
        for name in ("changes", "steps"):
            copied[name] = [array(each) for each in entry[name]]
        return _Memory(**copied)


class _Point(NamedTuple):
    """The function along a direction, at the step length t."""

    t: float
    loss: float
    gradient: Array
    slope: float


class _Search:
    """A line search for the strong Wolfe conditions: bracket a step length, then zoom in on it."""

    def __init__(self, evaluate: Callable[[float], _Point], start: _Point) -> None:
        self.start, self.evaluations = start, 0
        self._function = evaluate

    def _evaluate(self, t: float) -> _Point:
        self.evaluations += 1
        return self._function(t)

    def _is_too_high(self, point: _Point) -> bool:
        return point.loss > self.start.loss + 1e-4 * point.t * self.start.slope

    def _is_flat(self, point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * self.start.slope

    def run(self, t: float, reach: float, tolerance: float, limit: int) -> _Point:
        """The best point found; `reach` is the largest element of the direction."""
        former, point = self.start, self._evaluate(t)
        trials = 0
        while True:
            if trials >= limit:
                return min(self.start, point, key=lambda each: each.loss)
            if self._is_too_high(point) or (trials > 1 and point.loss >= former.loss):
                break
            if self._is_flat(point):
                return point
            if point.slope >= 0:
                break
            bounds = point.t + 0.01 * (point.t - former.t), 10 * point.t
            former, point = point, self._evaluate(_minimum(former, point, bounds))
            trials += 1
        return self._zoom([former, point], reach, tolerance, limit - trials)

    def _zoom(self, ends: list[_Point], reach: float, tolerance: float, limit: int) -> _Point:
        was_at_an_end = False
        low = 0 if ends[0].loss <= ends[1].loss else 1
        for _ in range(limit):
            least, most = sorted(end.t for end in ends)
            if (most - least) * reach < tolerance:
                break
            t = _minimum(ends[0], ends[1], (least, most))
            margin = 0.1 * (most - least)
            is_at_an_end = min(most - t, t - least) < margin
            if is_at_an_end and (was_at_an_end or not least < t < most):
                t = most - margin if most - t < t - least else least + margin
                is_at_an_end = False
            was_at_an_end = is_at_an_end
            point = self._evaluate(t)
            if self._is_too_high(point) or point.loss >= ends[low].loss:
                ends[1 - low] = point
                low = 0 if ends[0].loss <= ends[1].loss else 1
            else:
                if self._is_flat(point):
                    return point
                if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
                    ends[1 - low] = ends[low]
                ends[low] = point
        return ends[low]


def _minimum(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through two points with their slopes has its minimum, within bounds."""
    least, most = bounds
    if a.t > b.t:
        a, b = b, a
    if a.t < b.t:
        mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
        square = mean * mean - a.slope * b.slope
        if square >= 0:
            root = square**0.5
            if divisor := b.slope - a.slope + 2 * root:
                t = b.t - (b.t - a.t) * ((b.slope + root - mean) / divisor)
                return min(max(t, least), most)
    return (least + most) / 2
