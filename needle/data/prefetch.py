"""A pass over a DataLoader whose batches workers prepare ahead."""

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from heapq import heappop, heappush
from threading import Condition, Lock, Thread, current_thread
from typing import Any

from ..device import global_stream
from .streams import fork, read, streams_of, write
from .workers import (
    ProcessWorker,
    Result,
    Task,
    ThreadWorker,
    end_workers,
    release_workers,
    stop_workers,
)

__all__ = ["Prefetched"]

Worker = ThreadWorker | ProcessWorker


class Prefetched:
    """An iterator over batches that workers prepare ahead, and hands over in order.

    The random numbers are those that the batches draw one after the other from the dataset's
    streams, which are copied as the pass begins. As a batch is handed over, its draws are made up
    for in the streams themselves, unless something else has drawn from them since.

    Args:
        batches: the indices of each batch; read here, never in a worker.
        declared: the generators that the dataset draws from (None: NumPy's global state), or None
            where this is not known.
        workers: what runs the tasks.
        ahead: how many batches are in preparation at once.
        finish: makes the batch for the user, of a worker's value and the number of items.
        timeout: seconds to wait for a batch; 0 is for ever.
        idle: a list that gets the workers when the pass is over; None ends them.
    """

    def __init__(
        self,
        dataset: Any,
        declared: set[Any] | None,
        batches: Iterator[Any],
        workers: Sequence[Worker],
        ahead: int,
        finish: Callable[[Any, int], Any],
        timeout: float,
        idle: list[Any] | None,
    ) -> None:
        self._batches, self._finish, self._timeout = batches, finish, timeout
        self._counts: dict[int, int] = {}  # items of each batch in preparation
        self._handed_over = self._submitted = 0
        self._failure: Exception | None = None  # of the sampler, after what is submitted
        end: Callable[[], None] = partial(end_workers, workers)
        try:
            self._schedule = _Schedule(dataset, declared, workers, idle)
            end = self._schedule.close
            for _ in range(ahead):
                self._submit()
            self._schedule.start()
        except BaseException:
            end()
            raise
        # its threads must not keep this iterator alive, whose end is theirs
        self._close = weakref.finalize(self, self._schedule.close)

    def _submit(self) -> None:
        if self._failure is None:
            try:
                indices = next(self._batches)
                self._counts[self._submitted] = len(indices)
            except StopIteration:
                return
            except Exception as error:  # of the user's sampler: raised when its turn comes
                self._failure = error
                return
            self._schedule.submit(self._submitted, indices)
            self._submitted += 1

    def __iter__(self) -> "Prefetched":
        return self

    def __next__(self) -> Any:
        if self._handed_over == self._submitted or not self._close.alive:
            self._close()
            error, self._failure = self._failure or StopIteration(), None
            raise error
        try:
            result = self._schedule.get(self._handed_over, self._timeout)
            if isinstance(result.error, StopIteration):
                raise RuntimeError("a dataset raised StopIteration") from result.error
            if result.error is not None:
                raise result.error
            count = self._counts.pop(self._handed_over)
            self._handed_over += 1
            self._submit()
            return self._finish(result.value, count)
        except BaseException:
            self._close()
            raise


class _Schedule:
    """Gives tasks to workers, and puts their results in order."""

    def __init__(
        self,
        dataset: Any,
        declared: set[Any] | None,
        workers: Sequence[Worker],
        idle: list[Any] | None,
    ) -> None:
        self.dataset, self.workers, self.idle = dataset, workers, idle
        self.process = os.getpid()
        self.turn = Condition()  # guards what follows
        self.waiting: list[tuple[int, Any]] = []  # a heap of numbers and indices
        self.done: dict[int, tuple[Task, Result]] = {}
        self.results: dict[int, Result] = {}  # of the batches before `settled`
        self.settled = 0
        self.stopped = False
        # Where it is known what the dataset draws from, the numbers of a batch are drawn here, in
        # order. Else worker processes begin a batch with the states that the batch before ended
        # with, and so prepare one at a time; but until a batch has drawn, states do not matter.
        self.drawing = Lock()
        self.declared = declared is not None
        self.chained = not self.declared and isinstance(workers[0], ProcessWorker)
        generators = sorted(declared or (), key=id)
        self.streams = [global_stream() if each is None else each for each in generators]
        self.forks = dict(zip(generators, map(fork, generators), strict=True))
        if self.chained:
            self.streams = streams_of(dataset)
        self.states: list[Any] = [read(stream) for stream in self.streams]
        self.version = 0
        self.expected = list(self.states)  # what the streams hold if nothing else has drawn
        context = copy_context()  # modes such as `no_grad` hold for workers, too
        self.threads = [
            Thread(target=context.copy().run, args=(self._serve, worker), daemon=True)
            for worker in workers
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def submit(self, number: int, indices: Any) -> None:
        with self.turn:
            heappush(self.waiting, (number, indices))
            self.turn.notify_all()

    def get(self, number: int, timeout: float) -> Result:
        """The result of a batch; what it drew is made up for."""
        with self.turn:
            if not self.turn.wait_for(lambda: number in self.results, timeout or None):
                raise RuntimeError(
                    f"DataLoader: batch {number} was not ready within timeout={timeout} seconds"
                )
            result = self.results.pop(number)
        if result.ends is not None:
            for position, (stream, end) in enumerate(zip(self.streams, result.ends, strict=True)):
                state = self.expected[position]
                if state is not None and end != state:
                    is_ours = read(stream) == state
                    self.expected[position] = end if is_ours else None
                    if is_ours:
                        write(stream, end)
        return result

    # in the threads of the workers

    def _serve(self, worker: Worker) -> None:
        while (task := self._take()) is not None:
            self._settle(task, worker(task) if task.error is None else Result(error=task.error))

    def _take(self) -> Task | None:
        """The next task, as soon as it can begin; None when the pass is over."""
        with self.drawing:
            with self.turn:
                self.turn.wait_for(self._can_begin)
                if self.stopped:
                    return None
                number, indices = heappop(self.waiting)
                if self.chained:
                    return Task(number, indices, start=self.states, version=self.version)
            try:
                if not self.forks:
                    return Task(number, indices)
                drawn = self.dataset._draw(len(indices), self.forks)
                return Task(number, indices, drawn, ends=list(map(read, self.forks.values())))
            except BaseException as error:
                return Task(number, indices, error=error)

    def _can_begin(self) -> bool:
        if self.stopped or not self.waiting:
            return self.stopped
        return not self.version or self.waiting[0][0] == self.settled

    def _settle(self, task: Task, result: Result) -> None:
        if task.ends is not None:
            result = result._replace(ends=task.ends)
        with self.turn:
            self.done[task.number] = task, result
            while entry := self.done.pop(self.settled, None):
                task, result = entry
                if self.chained and result.ends is not None:
                    if task.version != self.version:  # it drew what batches before it drew, too
                        heappush(self.waiting, (task.number, task.indices))
                        break
                    self.states, self.version = result.ends, self.version + 1
                self.results[self.settled] = result
                self.settled += 1
            self.turn.notify_all()

    # from wherever the iterator ends

    def close(self) -> None:
        if os.getpid() != self.process:  # a forked copy, whose workers are not its own
            return
        with self.turn:
            self.stopped = True
            self.turn.notify_all()
        is_inside = current_thread() in self.threads  # garbage is collected anywhere
        if self.idle is None or is_inside:
            stop_workers(self.workers)
        if is_inside:
            return
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()
        if self.idle is None:
            release_workers(self.workers)
        elif all(worker.is_alive() for worker in self.workers):
            self.idle.extend(self.workers)
        else:
            end_workers(self.workers)
