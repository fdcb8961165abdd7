"""A program from its start to its exit code."""

import sys
from collections.abc import Callable

import numpy as np

from ..distributed import DistributedError, agree, output_of_rank_0, rank
from .errors import TrainingError

__all__ = ["run_program"]

_INTERRUPTED = 130  # the exit code of programs ended by Ctrl-C


def run_program(name: str, main: Callable[[], int | None]) -> int:
    """Run main() on every rank, with the output of rank 0; returns the exit code of the program.

    A `TrainingError`, an `OSError` and Ctrl-C are one line on standard error. NumPy does not warn
    of overflow: it shows in the loss, which a `Trainer` checks after every batch.

    Args:
        name: what that line begins with.
        main: the program; returns its exit code, or None for 0.

    Example:
        >>> import needle as ndl
        >>> ndl.training.run_program("hello", lambda: print("Hello"))
        Hello
        0
    """
    try:
        rank()
    except DistributedError as error:  # without mpi4py: not several runs at once
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    try:
        with output_of_rank_0(), np.errstate(all="ignore"):
            return main() or 0
    except (TrainingError, OSError) as error:
        agree(f"the error {error}")
        if rank() == 0:
            print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return _INTERRUPTED
