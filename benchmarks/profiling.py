"""Where needle's own time goes in a workload, operation by operation."""

import cProfile
import inspect
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import needle as ndl

from .workload import Job

__all__ = ["Clock", "profile"]

FUNCTIONS = 15
RUNS = 5


class Clock:
    """Splits the time of a step among nested sections: each is charged what none inside it is.

    Reading the clock takes time too. `calibrate` measures on empty sections how much of it is
    charged to the section itself and how much to the one around it; both are subtracted.
    """

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}
        self._inner_calls: dict[str, int] = {}
        self._nanoseconds: dict[str, int] = {}
        self._steps: dict[str, list[tuple[int, float]]] = {}
        self._open: list[str] = []
        self._last = 0
        self._own_cost = self._outer_cost = 0.0

    def wrap(self, section: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, charged to `section`."""
        calls, inner_calls, spent = self._calls, self._inner_calls, self._nanoseconds
        for table in (calls, inner_calls, spent):
            table.setdefault(section, 0)
        sections = self._open
        now = time.perf_counter_ns

        def timed(*args: Any, **kwargs: Any) -> Any:
            if sections:
                around = sections[-1]
                inner_calls[around] += 1
                spent[around] += now() - self._last
            calls[section] += 1
            sections.append(section)
            self._last = now()
            try:
                return function(*args, **kwargs)
            finally:
                spent[section] += now() - self._last
                sections.pop()
                self._last = now()

        return timed

    def end_step(self) -> None:
        """Keep what the sections took since the last call."""
        for section, spent in self._nanoseconds.items():
            cost = self._calls[section] * self._own_cost
            cost += self._inner_calls[section] * self._outer_cost
            self._steps.setdefault(section, []).append((self._calls[section], spent - cost))
        for table in (self._calls, self._inner_calls, self._nanoseconds):
            table.update(dict.fromkeys(table, 0))

    def calibrate(self) -> None:
        """Measure what the measurement itself costs a section and the one around it."""
        costs = [_cost_of_a_section() for _ in range(9)]
        self._own_cost, self._outer_cost = (median(column) for column in zip(*costs, strict=True))

    def rows(self) -> list[tuple[str, float, float]]:
        """(section, calls a step, own nanoseconds), the longest first: medians of all steps.

        Medians, because another process that takes the core for a moment is not our time.
        """
        rows = []
        for section, steps in self._steps.items():
            calls, spent = (median(column) for column in zip(*steps, strict=True))
            if calls:
                rows.append((section, calls, max(0.0, spent)))
        return sorted(rows, key=lambda row: -row[2])


def _cost_of_a_section(repeats: int = 2000) -> tuple[float, float]:
    """Nanoseconds charged to an empty section, and added to the section around it."""

    def loop(function: Callable[[], None]) -> None:
        for _ in range(repeats):
            function()

    without, within = Clock(), Clock()
    without.wrap("outer", loop)(lambda: None)
    within.wrap("outer", loop)(within.wrap("inner", lambda: None))
    spent = within._nanoseconds
    outer = max(0, spent["outer"] - without._nanoseconds["outer"])
    return spent["inner"] / repeats, outer / repeats


def profile(job: Job, seconds: float) -> str:
    """Two tables: ops and phases of a step, and the Python functions in which the time goes.

    Each part of the measurement takes about as long as asked for.
    """
    plain = _seconds_a_step(job.step, seconds)
    steps = max(5, round(seconds / plain))
    clock = Clock()
    clock.calibrate()
    with _instrumented(clock):
        step = clock.wrap("forward: modules and graph", job.step)
        for _ in range(steps):
            step()
            clock.end_step()
    return f"{_parts_table(clock, plain)}\n\n{_functions_table(job.step, steps)}"


def _seconds_a_step(step: Callable[[], Any], seconds: float) -> float:
    for _ in range(3):
        step()
    samples = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    return median(samples)


@contextmanager
def _instrumented(clock: Clock) -> Iterator[None]:
    """Charges every op's `compute` and `gradient`, `backward` and the optimizers' `step`."""
    targets = [(ndl.Tensor, "backward", "backward: walk of the graph")]
    for op in dict.fromkeys(_subclasses(ndl.Op)):  # each once, whatever it inherits from
        targets += [
            (op, "compute", f"{op.__name__}.compute"),
            (op, "gradient", f"{op.__name__}.gradient"),
        ]
    for optimizer in _subclasses(ndl.optim.Optimizer):
        targets.append((optimizer, "step", f"{optimizer.__name__}.step"))
    missing = object()
    replaced = []
    for owner, name, section in targets:
        function = inspect.getattr_static(owner, name, None)
        if function is not None:
            replaced.append((owner, name, vars(owner).get(name, missing), function, section))
    for owner, name, _, function, section in replaced:
        is_method = inspect.isfunction(function)
        timed = clock.wrap(section, function if is_method else getattr(owner, name))
        setattr(owner, name, timed if is_method else staticmethod(timed))
    try:
        yield
    finally:
        for owner, name, original, _, _ in replaced:
            if original is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def _subclasses(base: type) -> list[type]:
    found = []
    for subclass in base.__subclasses__():
        found += [subclass, *_subclasses(subclass)]
    return found


def _parts_table(clock: Clock, plain: float) -> str:
    rows = clock.rows()
    total = sum(spent for _, _, spent in rows)
    lines = [
        f"{'part of a step':32}{'calls':>8}{'own time':>12}{'share':>9}",
        *(
            f"{section:32}{calls:8.4g}{spent / 1e3:9.1f} µs{spent / total:9.1%}"
            for section, calls, spent in rows
        ),
        f"All parts: {total / 1e3:.1f} µs a step; without clocks {plain * 1e6:.1f} µs.",
    ]
    return "\n".join(lines)


def _functions_table(step: Callable[[], Any], steps: int) -> str:
    runs = [_functions(step, max(1, steps // RUNS)) for _ in range(RUNS)]
    functions = min(runs, key=lambda run: sum(own for _, _, own in run))  # the least disturbed
    total = sum(own for _, _, own in functions)
    lines = [
        "The same steps under cProfile, which makes small functions look slower than they are:",
        f"{'function':60}{'calls':>8}{'own time':>12}{'share':>9}",
        *(
            f"{name[:58]:60}{calls:8.4g}{own * 1e6:9.1f} µs{own / total:9.1%}"
            for name, calls, own in functions[:FUNCTIONS]
        ),
    ]
    return "\n".join(lines)


def _functions(step: Callable[[], Any], steps: int) -> list[tuple[str, float, float]]:
    """(function, calls a step, own seconds a step), the longest first."""
    profiler = cProfile.Profile()
    with profiler:
        for _ in range(steps):
            step()
    rows = []
    for (file, line, name), entry in pstats.Stats(profiler).stats.items():
        _, calls, own, *_ = entry
        where = name if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"
        rows.append((where, calls / steps, own / steps))
    return sorted(rows, key=lambda row: -row[2])
