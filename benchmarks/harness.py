"""Runs the contenders of a workload side by side: a process each, checked, then timed in turns."""

import multiprocessing
import pickle
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from .contenders import CONTENDERS
from .revisions import Revision, compare
from .worker import serve
from .workload import BenchmarkError, Workload

__all__ = ["BenchmarkError", "Worker", "check_agreement", "profile_workload", "run_workload"]

CHECKED_STEPS = 10
TOLERANCE = 1e-4
WARM_UP_SECONDS = 0.5
TURN_SECONDS = 0.1
PROFILE_SECONDS = 2.0
PAUSE_SECONDS = 0.05  # idle thread pools spin for some milliseconds after their last task


class ContenderError(BenchmarkError):
    """A contender failed; `reason` is its error in a line."""

    def __init__(self, contender: str, reason: str, details: str) -> None:
        super().__init__(f"{contender} failed:\n{details}")
        self.reason = reason


class Worker:
    """The process of one contender; a context manager that ends it.

    With a `revision`, the contender is that state of needle.
    """

    def __init__(
        self,
        workload: str,
        contender: str,
        problems: Path,
        threads: int,
        revision: Revision | None = None,
    ) -> None:
        self.contender = revision.name if revision else contender
        self.is_revision = revision is not None
        self.is_checked = CONTENDERS[contender].checked
        # spawned, not forked: it must import its library itself, in its own environment
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        folder = revision.folder if revision else None
        arguments = (remote, workload, contender, problems, threads, folder)
        self._process: SpawnProcess = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        remote.close()

    def ask(self, command: str, argument: Any) -> Any:
        """What the worker answers to an order.

        Raises:
            ContenderError: it raised an error.
            BenchmarkError: its process died.
        """
        try:
            self._connection.send((command, argument))
            succeeded, result = self._connection.recv()
        except (EOFError, BrokenPipeError):
            raise BenchmarkError(f"the process of {self.contender} died") from None
        if not succeeded:
            raise ContenderError(self.contender, *result)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def run_workload(
    name: str,
    workload: Workload,
    contenders: Sequence[str],
    rounds: int,
    threads: int,
    revisions: Sequence[Revision] = (),
) -> dict[str, Any]:
    """Check the contenders against each other, time them, and return what `results.json` holds.

    Other revisions of needle run the code that the workload has for `needle`. One that cannot,
    because it lacks a layer, say, is skipped.

    Raises:
        BenchmarkError: a contender failed or disagreed with the others.
    """
    skipped = {key: reason for key in contenders if (reason := _why_skipped(key, workload))}
    present = [key for key in contenders if key not in skipped]
    with (
        _problems(workload) as problems,
        _workers(name, present, problems, threads, revisions) as workers,
    ):
        starts, checks, unable = _prepare(workers)
        for contender, check in () if workload.draws else checks.items():
            check["losses"].insert(0, starts[contender]["loss"])
        agreement = check_agreement(checks)
        able = [worker for worker in workers if worker.contender in starts]
        samples, processor_samples = _measure(able, starts, rounds)
    rows = {key: _summary(samples[key], start) for key, start in starts.items()}
    # one thread's processor time leaves out what other processes take; idle threads spin
    compared = processor_samples if threads == 1 else samples
    if "needle" in rows:
        unit = rows["needle"]["median_seconds"]
        for row in rows.values():
            row["ratio_to_needle"] = row["median_seconds"] / unit
    return {
        "title": workload.title + (f" ({workload.note()})" if workload.note else ""),
        "agreement": agreement,
        "contenders": rows,
        "revisions": {
            revision.name: compare(compared["needle"], compared[revision.name])
            for revision in revisions
            if revision.name in rows
        },
        "skipped": skipped | unable,
    }


def profile_workload(
    name: str, workload: Workload, threads: int, revision: Revision | None = None
) -> str:
    """Where needle's time goes in a workload, as text (see `profiling.py`)."""
    with (
        _problems(workload) as problems,
        Worker(name, "needle", problems, threads, revision) as worker,
    ):
        return worker.ask("profile", PROFILE_SECONDS)


def _why_skipped(contender: str, workload: Workload) -> str | None:
    if (CONTENDERS[contender].variant_of or contender) not in workload.contenders:
        return "this workload is not written for it"
    if not CONTENDERS[contender].is_installed():
        return f"not installed: pip install '{CONTENDERS[contender].requirement}'"
    return None


@contextmanager
def _problems(workload: Workload) -> Iterator[Path]:
    """A folder with the numbers that all contenders start from."""
    with tempfile.TemporaryDirectory() as folder:
        for name, checking in (("measured", False), ("checked", True)):
            with Path(folder, name).open("wb") as file:
                pickle.dump(workload.problem(checking), file, protocol=5)
        yield Path(folder)


@contextmanager
def _workers(
    workload: str,
    contenders: Sequence[str],
    problems: Path,
    threads: int,
    revisions: Sequence[Revision],
) -> Iterator[list[Worker]]:
    chosen = [(contender, None) for contender in contenders]
    chosen += [("needle", revision) for revision in revisions]
    with ExitStack() as stack:
        yield [
            stack.enter_context(Worker(workload, contender, problems, threads, revision))
            for contender, revision in chosen
        ]


def _prepare(
    workers: Sequence[Worker],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """What each worker answers to "warm_up" and "check", and the revisions that cannot, and why.

    Raises:
        BenchmarkError: a contender of today failed, or a revision cannot even be imported.
    """
    starts, checks, unable = {}, {}, {}
    for worker in workers:
        name = worker.contender
        worker.ask("start", None)
        try:
            start = worker.ask("warm_up", WARM_UP_SECONDS)
            check = worker.ask("check", CHECKED_STEPS) if worker.is_checked else None
        except ContenderError as error:
            if not worker.is_revision:
                raise
            unable[name] = error.reason
            continue
        starts[name] = start
        if check:
            checks[name] = check
    return starts, checks, unable


def check_agreement(checks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Raise unless all contenders computed the same losses and, by their steps, the same weights.

    Weights may differ by the tolerance times what they are, and times how far they moved.

    Args:
        checks: for each contender `losses` (numbers), `before` and `weights` (lists of arrays);
            `before` is None where the steps change nothing.

    Returns:
        What was compared and the largest difference found, relative to what is allowed.

    Raises:
        BenchmarkError: contenders disagree, or the weights moved too little for a comparison.
    """
    if not checks:
        return {"contenders": []}
    reference, *others = checks
    expected = checks[reference]
    allowed = [_allowed_difference(reference, expected, i) for i in range(len(expected["weights"]))]
    largest = 0.0
    for other in others:
        pairs = [("losses", expected["losses"], checks[other]["losses"], TOLERANCE)]
        if len(checks[other]["weights"]) != len(allowed):
            raise BenchmarkError(f"{other} and {reference} have different numbers of weights")
        for i, limit in enumerate(allowed):
            pairs.append(
                (f"weights {i}", expected["weights"][i], checks[other]["weights"][i], limit)
            )
        for what, wanted, got, limit in pairs:
            largest = max(
                largest, _excess(f"{what} of {other} and {reference}", wanted, got, limit)
            )
    return {"contenders": list(checks), "steps": CHECKED_STEPS, "largest_difference": largest}


def _allowed_difference(contender: str, check: Mapping[str, Any], index: int) -> float:
    """The absolute part of the tolerance of one array of weights."""
    weights = check["weights"][index]
    if check["before"] is None:
        return TOLERANCE * float(np.abs(weights).max())
    before = check["before"][index]
    moved = float(np.abs(weights - before).max())
    if not moved > TOLERANCE * np.abs(before).max():
        raise BenchmarkError(
            f"weights {index} of {contender} moved by {moved:.2g} only in {CHECKED_STEPS} steps: "
            "the check of this workload needs a larger learning rate"
        )
    return TOLERANCE * moved


def _excess(what: str, wanted: Any, got: Any, limit: float) -> float:
    """The largest difference, 1 being what is allowed; raises above it."""
    wanted, got = np.asarray(wanted, np.float64), np.asarray(got, np.float64)
    if wanted.shape != got.shape:
        raise BenchmarkError(f"{what} have different shapes: {got.shape} and {wanted.shape}")
    excess = float((np.abs(got - wanted) / (limit + TOLERANCE * np.abs(wanted))).max())
    if not excess <= 1:  # nor nan
        raise BenchmarkError(
            f"{what} differ by {excess:.3g} times what is allowed: there is nothing to compare"
        )
    return excess


def _measure(
    workers: Sequence[Worker], starts: Mapping[str, Mapping[str, float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds and processor seconds a step of every contender, a sample a round.

    Each round is in another order.
    """
    latest = {contender: start["step_seconds"] for contender, start in starts.items()}
    samples: dict[str, list[float]] = {contender: [] for contender in starts}
    processor_samples: dict[str, list[float]] = {contender: [] for contender in starts}
    order = random.Random(0)
    for _ in range(rounds):
        for worker in order.sample(workers, len(workers)):
            time.sleep(PAUSE_SECONDS)
            steps = max(1, round(TURN_SECONDS / latest[worker.contender]))
            seconds, processor_seconds = worker.ask("measure", steps)
            latest[worker.contender] = seconds
            samples[worker.contender].append(seconds)
            processor_samples[worker.contender].append(processor_seconds)
    return samples, processor_samples


def _summary(samples: Sequence[float], start: Mapping[str, float]) -> dict[str, Any]:
    low, median, high = np.quantile(samples, [0.25, 0.5, 0.75])
    return {
        "median_seconds": float(median),
        "quartiles_seconds": [float(low), float(high)],
        "samples_seconds": list(samples),
        "peak_memory_bytes": start["peak_memory"],
        "import_memory_bytes": start["import_memory"],
        "step_memory_bytes": start["step_memory"],
    }
