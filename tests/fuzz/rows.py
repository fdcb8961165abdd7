"""The rows of the table of ops, some at a time compiled as one function, against eager ones.

All rows come in turn, and then again in another order.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from tests.compiler.comparison import agree_on_rows
from tests.ops import table

from . import checked

CASES = [case for case in table.CASES if case.name != "getitem by a mask"]
PARTS = len(CASES) // 8
_seeds = itertools.count()


def case(rng: np.random.Generator) -> dict[str, int]:
    """One part of the rows, which the seed numbers."""
    number = rng.bit_generator.seed_seq.entropy
    order = np.random.default_rng(number // PARTS).permutation(len(CASES))
    rows = [CASES[position] for position in order[number % PARTS :: PARTS]]
    executor, dtype = str(rng.choice(["numba", "numpy"])), str(rng.choice(["float32", "float64"]))
    agree_on_rows(rows, dtype, executor)
    return {"rows": len(rows), f"{executor}, {dtype}": 1}


def run(rng: np.random.Generator, stop: Callable[[], bool]) -> Mapping[str, int]:
    """Part after part, until `stop()`."""
    counts: Counter[str] = Counter()
    for seed in _seeds:
        counts.update(checked(case, seed))
        if stop():
            break
    return counts
