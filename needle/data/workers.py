"""Workers that prepare the batches of a DataLoader ahead: threads, or processes.

Each worker is a thread. That of a worker process sends it one task after the other and waits for
the answers, so that batches arrive, and a process that dies is noticed, while a model trains.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .streams import read, streams_of, write

__all__ = [
    "ProcessWorker", "Result", "Task", "ThreadWorker", "end_workers", "make_workers",
    "release_workers", "stop_workers",
]  # fmt: skip


class Task(NamedTuple):
    """A batch to prepare."""

    number: int
    indices: Any
    drawn: Any = None
    """The random numbers that were drawn for it."""
    start: list[Any] | None = None
    """States of the dataset's streams to begin with, where it draws by itself."""
    version: int = 0
    ends: list[Any] | None = None
    """States of the streams after drawing."""
    error: BaseException | None = None
    """Raised by drawing."""


class Result(NamedTuple):
    """What a worker made of a task."""

    value: Any = None
    error: BaseException | None = None
    ends: list[Any] | None = None
    """States of the streams afterwards, if numbers were drawn."""


class ThreadWorker:
    """Runs tasks in the thread that calls it."""

    process = None

    def __init__(self, number: int, fetch: Callable[..., Any], init: Any) -> None:
        self.number, self.fetch, self.init = number, fetch, init

    def __call__(self, task: Task) -> Result:
        try:
            if self.init:
                init, self.init = self.init, None
                init(self.number)
            return Result(self.fetch(task.indices, task.drawn))
        except BaseException as error:
            error.add_note(f"in worker {self.number} of a DataLoader, a thread")
            return Result(error=error)

    def is_alive(self) -> bool:
        return True

    def ask_to_stop(self) -> None:
        pass

    end = release = ask_to_stop


class ProcessWorker:
    """Has a process of its own run tasks."""

    def __init__(self, number: int, fetch: Callable[..., Any], init: Any, context: Any) -> None:
        self.number = number
        self.pipe, other = context.Pipe()
        inherited = self.pipe if context.get_start_method() == "fork" else None
        arguments = (other, inherited, number, fetch, init)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        with warnings.catch_warnings():  # of Python 3.12: the child runs only the dataset's code
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            try:
                self.process.start()
            except BaseException as error:
                self.pipe.close()
                error.add_note(
                    "a worker process could not be started; what it is given must be picklable "
                    f"where processes are started by {context.get_start_method()!r}. "
                    'worker="thread" needs no pickling.'
                )
                raise
            finally:
                other.close()
        self.pid = self.process.pid

    def __call__(self, task: Task) -> Result:
        try:
            self.pipe.send(task)
            return self.pipe.recv()
        except (EOFError, OSError):
            return Result(error=self._death(task))
        except BaseException as error:  # an answer that cannot be unpickled
            error.add_note(f"in worker {self.number} of a DataLoader, process {self.pid}")
            return Result(error=error)

    def _death(self, task: Task) -> RuntimeError:
        self.process.join(1)
        code = self.process.exitcode
        how = f"exited with code {code}"
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            how = f"was killed by signal {name}"
            if name == "SIGKILL":
                how += " (the system does this when memory runs out)"
        return RuntimeError(
            f"DataLoader worker {self.number} (process {self.pid}) {how} while it prepared batch "
            f"{task.number}"
        )

    def is_alive(self) -> bool:
        return self.process.is_alive()

    def ask_to_stop(self) -> None:
        with suppress(OSError):  # it is gone
            self.pipe.send(None)

    def end(self) -> None:
        self.process.join(0.2)
        for stop in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                stop()
                self.process.join(2)

    def release(self) -> None:
        self.pipe.close()


def make_workers(kind: str, count: int, fetch: Any, init: Any, context: Any) -> list[Any]:
    """So many workers, numbered from 0, of the kind "thread" or "process"."""
    if kind == "thread":
        return [ThreadWorker(number, fetch, init) for number in range(count)]
    import multiprocessing  # here, because `import needle` need not wait for it

    if context is None:  # a child that is forked need not be sent the dataset
        context = "fork" if sys.platform == "linux" else None
    if context is None or isinstance(context, str):
        context = multiprocessing.get_context(context)
    workers: list[Any] = []
    try:
        for number in range(count):
            workers.append(ProcessWorker(number, fetch, init, context))
    except BaseException:
        end_workers(workers)
        raise
    return workers


def stop_workers(workers: Sequence[Any]) -> None:
    """End the processes of workers, by force if they take long."""
    for worker in workers:
        worker.ask_to_stop()
    for worker in workers:
        worker.end()


def release_workers(workers: Sequence[Any]) -> None:
    """Close what a thread may read from until it has ended itself."""
    for worker in workers:
        worker.release()


def end_workers(workers: Sequence[Any]) -> None:
    """Stop and release workers that are idle."""
    stop_workers(workers)
    release_workers(workers)


def _serve(pipe: Any, inherited: Any, number: int, fetch: Any, init: Any) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if inherited is not None:
        inherited.close()  # or this process would not notice that its parent is gone
    streams = streams_of(fetch.dataset)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        for stream, state in zip(streams, task.start or (), strict=False):
            write(stream, state)
        value = error = None
        try:
            if init:
                init, call = None, init
                call(number)
            value = fetch(task.indices, task.drawn)
        except BaseException as caught:
            error = _portable(caught, number)
        ends = None
        if task.start is not None:
            ends = [read(stream) for stream in streams]
            ends = None if ends == task.start else ends
        try:
            pipe.send(Result(value, error, ends))
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as caught:  # what cannot be pickled
            pipe.send(Result(error=_portable(caught, number)))
        sys.stdout.flush()


def _portable(error: BaseException, number: int) -> BaseException:
    """An error that can be sent, with its traceback as a note."""
    import pickle

    text = "".join(traceback.format_exception(error)).rstrip()
    try:
        error.__cause__ = error.__context__ = None
        error = pickle.loads(pickle.dumps(error.with_traceback(None)))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in worker {number} of a DataLoader, process {os.getpid()}:\n\n{text}")
    return error
