"""Where needle's own time goes in a workload, operation by operation."""

import cProfile
import inspect
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import needle as ndl

from .workload import Job

__all__ = ["Clock", "profile"]

SECONDS = 2.0
FUNCTIONS = 15


class Clock:
    """Splits time among nested sections: each is charged what no section inside it is.

    Reading the clock takes time too. `calibrate` measures on empty sections how much of it is
    charged to the section itself and how much to the one around it; `rows` subtracts both.
    """

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.nanoseconds: dict[str, float] = {}
        self.inner_calls: dict[str, int] = {}
        self._open: list[str] = []
        self._last = 0
        self._own_cost = self._outer_cost = 0.0

    def wrap(self, section: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, charged to `section`."""
        calls, spent, inner, sections = (
            self.calls,
            self.nanoseconds,
            self.inner_calls,
            self._open,
        )
        for table in (calls, spent, inner):
            table.setdefault(section, 0)
        now = time.perf_counter_ns

        def timed(*args: Any, **kwargs: Any) -> Any:
            if sections:
                around = sections[-1]
                inner[around] += 1
                spent[around] += now() - self._last
            calls[section] += 1
            sections.append(section)
            self._last = now()
            try:
                return function(*args, **kwargs)
            finally:
                moment = now()
                spent[section] += moment - self._last
                sections.pop()
                self._last = now()

        return timed

    def calibrate(self, repeats: int = 20_000) -> None:
        """Measure what the measurement itself costs a section and the one around it."""
        trial = Clock()
        empty = trial.wrap("inner", lambda: None)

        def loop(function: Callable[[], None]) -> None:
            for _ in range(repeats):
                function()

        plain = Clock()
        plain.wrap("outer", loop)(lambda: None)
        trial.wrap("outer", loop)(empty)
        bare = plain.nanoseconds["outer"] / repeats
        self._own_cost = trial.nanoseconds["inner"] / repeats
        self._outer_cost = max(0.0, trial.nanoseconds["outer"] / repeats - bare)

    def rows(self) -> list[tuple[str, int, float]]:
        """(section, calls, own nanoseconds), the longest first."""
        rows = []
        for section, spent in self.nanoseconds.items():
            calls = self.calls[section]
            spent -= calls * self._own_cost + self.inner_calls[section] * self._outer_cost
            if calls:
                rows.append((section, calls, max(0.0, spent)))
        return sorted(rows, key=lambda row: -row[2])


def profile(job: Job) -> str:
    """Two tables: ops and phases of a step, and the Python functions in which the time goes."""
    plain = _seconds_a_step(job.step)
    steps = max(3, round(SECONDS / plain))
    clock = Clock()
    clock.calibrate()
    with _instrumented(clock):
        step = clock.wrap("forward: modules and graph", job.step)
        for _ in range(steps):
            step()
    parts = _parts_table(clock, steps, plain)
    return f"{parts}\n\n{_functions_table(job.step, steps)}"


def _seconds_a_step(step: Callable[[], Any]) -> float:
    for _ in range(3):
        step()
    samples = []
    end = time.perf_counter() + SECONDS
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    return sorted(samples)[len(samples) // 2]


@contextmanager
def _instrumented(clock: Clock) -> Iterator[None]:
    """Charges every op's `compute` and `gradient`, `backward` and the optimizers' `step`."""
    targets = [(ndl.Tensor, "backward", "backward: walk of the graph")]
    for op in _subclasses(ndl.Op):
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


def _parts_table(clock: Clock, steps: int, plain: float) -> str:
    rows = clock.rows()
    total = sum(spent for _, _, spent in rows)
    lines = [
        f"{'part of a step':32}{'calls':>8}{'own time':>12}{'share':>9}",
        *(
            f"{section:32}{calls / steps:8.4g}{spent / steps / 1e3:9.1f} µs{spent / total:9.1%}"
            for section, calls, spent in rows
        ),
        f"All parts: {total / steps / 1e3:.1f} µs a step; without clocks {plain * 1e6:.1f} µs.",
    ]
    return "\n".join(lines)


def _functions_table(step: Callable[[], Any], steps: int) -> str:
    profiler = cProfile.Profile()
    with profiler:
        for _ in range(steps):
            step()
    entries = pstats.Stats(profiler).stats.items()
    total = sum(entry[2] for _, entry in entries)
    lines = [
        "The same steps under cProfile, which makes small functions look slower than they are:",
        f"{'function':60}{'calls':>8}{'own time':>12}{'share':>9}",
    ]
    for (file, line, name), entry in sorted(entries, key=lambda item: -item[1][2])[:FUNCTIONS]:
        _, calls, own, *_ = entry
        where = name if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"
        lines.append(
            f"{where[:58]:60}{calls / steps:8.4g}{own / steps * 1e6:9.1f} µs{own / total:9.1%}"
        )
    return "\n".join(lines)
