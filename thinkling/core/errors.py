"""The one kind of error that is shown to a person without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The message says what was expected, what came, and what to do."""
