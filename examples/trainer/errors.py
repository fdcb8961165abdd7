"""The error that a user sees as one line instead of a traceback."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user can put right; the text says what was wrong and what to do."""
