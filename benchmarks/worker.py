"""The process in which one contender does one workload, on orders from the harness."""

import importlib
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from functools import cached_property, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS, limit_threads
from .workload import Job, Workload

__all__ = ["serve"]

LEAST_WARM_UP_STEPS = 3


def serve(
    connection: Connection,
    workload: str,
    contender: str,
    problems: Path,
    threads: int,
    folder: Path | None = None,
) -> None:
    """Set the contender up, then answer orders (a command and its argument) until None comes.

    With a `folder`, the contender's library is imported from there.
    Every answer is (True, result) or (False, (the error in a line, its traceback)).
    """
    worker = None
    while (order := connection.recv()) is not None:
        command, argument = order
        try:
            if worker is None:
                worker = _Worker(workload, contender, problems, threads, folder)
            answer = True, getattr(worker, command)(argument)
        except Exception as error:  # of any library: the harness says what failed
            line = f"{type(error).__name__}: {error}".partition("\n")[0]
            answer = False, (line, traceback.format_exc())
        connection.send(answer)


def set_up_of(workload: Workload, contender: str) -> Callable[[Any], Job]:
    """What sets a problem up for a contender."""
    variant = CONTENDERS[contender]
    if variant.transform is None:
        return workload.contenders[contender]
    return partial(workload.contenders[variant.variant_of], transform=variant.transform())


class _Worker:
    def __init__(
        self, workload: str, contender: str, problems: Path, threads: int, folder: Path | None
    ) -> None:
        name = CONTENDERS[contender].module
        limit_threads(name, threads)
        if folder:
            sys.path.insert(0, str(folder))
        module = importlib.import_module(name)
        if folder and not Path(module.__file__).is_relative_to(folder):
            raise ImportError(f"{name} was imported from {module.__file__}, not from {folder}")
        self.memory_after_import = _peak_memory()
        definition = importlib.import_module(f"benchmarks.workloads.{workload}").WORKLOAD
        self.set_up: Callable[[Any], Any] = set_up_of(definition, contender)
        self.trains = definition.trains
        self.problems = problems

    def start(self, _: None) -> None:
        """Nothing beyond what every first order does: import the library."""

    @cached_property
    def job(self) -> Job:
        return self.set_up(self._problem("measured"))

    def _problem(self, name: str) -> Any:
        with (self.problems / name).open("rb") as file:
            return pickle.load(file)

    def warm_up(self, seconds: float) -> dict[str, float]:
        """Steps for that long: the first loss, seconds a step after it, and memory in bytes.

        `step_memory` is how far the steps raised the peak above what was there before them.
        """
        highest = _peak_memory()
        _reset_peak_memory()
        before = _peak_memory()
        loss = _number(self.job.step())
        start = time.perf_counter()
        steps, elapsed = 0, 0.0
        while steps < LEAST_WARM_UP_STEPS or elapsed < seconds:
            self.job.step()
            steps += 1
            elapsed = time.perf_counter() - start
        after = _peak_memory()
        return {
            "loss": loss,
            "step_seconds": elapsed / steps,
            "import_memory": self.memory_after_import,
            "step_memory": after - before,
            "peak_memory": max(highest, after),
        }

    def check(self, steps: int) -> dict[str, Any]:
        """The losses of so many steps on the problem of the check, and the weights around them."""
        job = self.set_up(self._problem("checked"))
        before = [array.copy() for array in job.weights()] if self.trains else None
        losses = [_number(job.step()) for _ in range(steps)]
        return {"losses": losses, "before": before, "weights": job.weights()}

    def measure(self, steps: int) -> tuple[float, float]:
        """Seconds a step and seconds of processor time a step, the means over `steps` of them."""
        step = self.job.step
        for _ in range(steps // 10):  # caches and thread pools were another process's until now
            step()
        start, processor_start = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        elapsed = time.perf_counter() - start
        return elapsed / steps, (time.process_time() - processor_start) / steps

    def profile(self, seconds: float) -> str:
        """Where the time of the steps goes, from that many seconds of them."""
        from .profiling import profile  # imports needle, which other contenders do not

        return profile(self.job, seconds)


def _number(loss: Any) -> float:
    return float(loss.item() if hasattr(loss, "item") else loss)


def _peak_memory() -> int:
    """The most memory that this process has held, in bytes.

    Linux states it for the process alone; elsewhere getrusage does. On Linux getrusage would
    include what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _reset_peak_memory() -> None:
    """Lower the peak to what is held now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
