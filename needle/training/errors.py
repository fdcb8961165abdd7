"""The error that is shown to the user as one line, without a traceback."""

import reprlib
from typing import Any

__all__ = ["REFUSALS", "TrainingError", "join", "reason", "refused", "short"]

# what a layer, an optimizer or a schedule raises for arguments that are impossible
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, MemoryError)


class TrainingError(Exception):
    """An error that the user of a program can fix: its text says what is wrong and what to do.

    Example:
        >>> import needle as ndl
        >>> try:
        ...     ndl.training.config.parse("seed: [")
        ... except ndl.training.TrainingError as error:
        ...     print(str(error)[:14])
        malformed YAML
    """


def reason(error: BaseException) -> str:
    """The text of another error, in one line."""
    is_numbered = len(error.args) == 2 and isinstance(error.args[0], int)  # such as errno, text
    text = str(error.args[1] if is_numbered else error) or type(error).__name__
    return " ".join(", ".join([text, *getattr(error, "__notes__", [])]).split())


def refused(key: str, found: Any, allowed: str) -> TrainingError:
    """The error for a value that is not allowed."""
    return TrainingError(f"{key}: found {short(found)}, allowed: {allowed}")


def join(key: str, name: str | int) -> str:
    """The dotted path of `name` below `key`, as `--set` takes it."""
    return f"{key}.{name}" if key else str(name)


def short(value: Any) -> str:
    """A value for an error text, shortened."""
    if value is None:
        return "nothing"
    try:
        return reprlib.repr(value)
    except ValueError:  # Python does not print integers of thousands of digits
        return "an enormous number"
