"""The kind of error that is shown to a person without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The message says what was expected, what came, and what to do."""


class ContextFull(UserError):
    """A prompt that leaves no room for an answer. ``length``: its tokens; ``room``: what prompt and answer may have."""

    def __init__(self, message: str, length: int, room: int) -> None:
        super().__init__(message)
        self.length, self.room = length, room
