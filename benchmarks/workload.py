"""The interface between workloads and the harness.

A workload is a file in `benchmarks/workloads/` that defines `WORKLOAD`. Its contenders are
functions, each of which imports its own library only when called: a worker process loads one.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BenchmarkError", "Job", "Transform", "Workload", "as_it_is", "find_workloads"]


class BenchmarkError(Exception):
    """There is nothing to report: a contender failed, or computed something else."""


Transform = Callable[[Any], Any]


def as_it_is(function: Any) -> Any:
    """No transform."""
    return function


@dataclass(frozen=True)
class Job:
    """A workload, set up in one library.

    Attributes:
        step: does one step to the end and returns its loss, a number or what has `.item()`.
        weights: what the steps have made so far, in the order and layout of all contenders;
            None where there is nothing to check.
    """

    step: Callable[[], Any]
    weights: Callable[[], list[np.ndarray]] | None = None


@dataclass(frozen=True)
class Workload:
    """What is measured.

    Attributes:
        title: what one step does.
        problem: makes the numbers it starts from, the same for all contenders. Called with
            True, for the check, it has a learning rate that moves the weights visibly; with
            False, for the measurement, one so small that thousands of steps on one batch do
            not overfit it, because gradients that vanish become slow denormal numbers.
        contenders: by name (see `contenders.py`), what sets up a problem in that library. Those
            that have variants take a `transform` of the function of a step, a compiler.
        trains: whether the steps change the weights.
        draws: whether the measured steps draw random numbers, so that their losses differ.
        note: what the report adds to the title, known only when it runs.
    """

    title: str
    problem: Callable[[bool], Any]
    contenders: Mapping[str, Callable[..., Job]]
    trains: bool = True
    draws: bool = False
    note: Callable[[], str] | None = None


def find_workloads() -> dict[str, Workload]:
    """All workloads by name, which is the name of their file."""
    package = importlib.import_module("benchmarks.workloads")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {
        name: importlib.import_module(f"benchmarks.workloads.{name}").WORKLOAD for name in names
    }
