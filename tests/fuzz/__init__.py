"""Programs that search for defects with random input, as long as one likes.

    python -m tests.fuzz --minutes 30

A program is a module of this package with a function `run(rng, stop)`: it tries cases until
`stop()` is true, returns how many of which kind it tried, and raises an AssertionError that names
the seed of the case where needle is wrong. `repeated` makes one of a function that tries one case.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np

__all__ = ["programs", "repeated"]

Run = Callable[[np.random.Generator, Callable[[], bool]], Mapping[str, int]]


def programs() -> dict[str, ModuleType]:
    """The programs by their names."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {
        name: importlib.import_module(f"{__name__}.{name}")
        for name in sorted(names)
        if not name.startswith(("_", "test_"))
    }


def repeated(case: Callable[[np.random.Generator], Mapping[str, int]]) -> Run:
    """A `run` that calls `case(rng)` with a seed of its own each time, and adds up the counts."""

    def run(rng: np.random.Generator, stop: Callable[[], bool]) -> Counter[str]:
        counts: Counter[str] = Counter()
        while True:
            seed = int(rng.integers(2**32))
            counts.update(checked(case, seed))
            if stop():
                return counts

    return run


def checked(case: Callable[[np.random.Generator], Mapping[str, int]], seed: int) -> Counter[str]:
    """The counts of one case, and one more for the case; what it raises names the seed."""
    np.random.seed(seed)
    try:
        counts = case(np.random.default_rng(seed))
    except Exception as error:
        name = case.__module__.rpartition(".")[2]
        raise AssertionError(
            f"{type(error).__name__}: {error}\nagain: python -m tests.fuzz --only {name} "
            f"--case {seed}"
        ) from error
    return Counter(counts) + Counter(cases=1)
