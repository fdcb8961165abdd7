"""The error that is shown to the user as one line, without a traceback."""

__all__ = ["UserError"]


class UserError(Exception):
    """An error that the user can fix; the text says what is wrong and what to do."""
