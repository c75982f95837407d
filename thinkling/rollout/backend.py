"""What a rollout may ask of a model, wherever it runs: in this process, over HTTP, or from a script.

A backend is anything with these four members. It is asynchronous in the plainest way: ``submit``
takes an effect and hands out a ticket, ``poll`` moves the work on and returns what has finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from thinkling.core.types import Capabilities, Completion, Request, RunTool, Sample, Sampled, Score, Scored

Ask = Sample | Score | Request
Effect = Ask | RunTool
Result = list[Sampled] | Scored | Completion | Exception


class Backend(Protocol):
    """A source of samples and scores."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def submit(self, effect: Ask) -> int:
        """Take on an effect; returns its ticket, never used before. Raises on an effect it cannot serve
        (a prompt that is too long, a capability it lacks): the driver hands that to the generator. A
        ``Request``, whose prompt is ids, is for an engine in this process."""
        ...

    def poll(self) -> Sequence[tuple[int, Result]]:
        """Do some work; return the effects that finished, each ticket once, in any order.

        A ``Sample`` yields ``n`` ``Sampled``; a ``Score`` a ``Scored``; a ``Request`` its ``Completion``; one
        that failed, its exception.
        An exception *raised* here means that the backend itself is broken, and ends the whole drive.
        """
        ...

    def cancel(self, ticket: int) -> None:
        """Forget a ticket: it will not be polled. A ticket that is unknown or done is ignored."""
        ...
