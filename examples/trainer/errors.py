"""The error that is shown to the user as one line, without a traceback."""

__all__ = ["REFUSALS", "UserError", "reason"]

# what a layer, an optimizer or a schedule raises for arguments that are impossible
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, MemoryError)


class UserError(Exception):
    """An error that the user can fix; the text says what is wrong and what to do."""


def reason(error: BaseException) -> str:
    """The text of another error, in one line."""
    is_numbered = len(error.args) == 2 and isinstance(error.args[0], int)  # such as errno, text
    text = str(error.args[1] if is_numbered else error) or type(error).__name__
    return " ".join(", ".join([text, *getattr(error, "__notes__", [])]).split())
