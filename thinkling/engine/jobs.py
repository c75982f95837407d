"""What the scheduler moves around: a request on its way to a completion, and a prompt being computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from thinkling.core.types import Completion, Finish, Origin, Request

Top = tuple[tuple[int, float], ...]
Key = tuple[tuple[int, ...], int, int]  # tokens, how many of them are the prompt proper, top_logprobs


@dataclass(frozen=True, slots=True)
class Event:
    """News of one request: a token (None for an end without one), and with the last, the completion.

    ``value`` is the scalar head's output at the last prompt or forced token, given with the
    completion where the weights have such a head.
    """

    handle: int
    token_id: int | None
    logprob: float
    top: Top = ()
    completion: Completion | None = None
    value: float | None = None


class TokenText(Protocol):
    """The part of a tokenizer that finds stop strings."""

    @property
    def special(self) -> Mapping[str, int]: ...

    def token_bytes(self, token: int, /) -> bytes: ...


@dataclass(eq=False, slots=True)
class Prompt:
    """Tokens to compute once for all requests that begin with them.

    Tokens from ``start`` on (forced, or generated before a fork) count as generated, and get a
    plain logprob each. ``hidden`` is the last position's final state.
    """

    key: Key
    blocks: list[int]
    row: int
    done: int = 0
    members: list[Job] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)
    hidden: np.ndarray | None = None
    value: float | None = None

    @property
    def ready(self) -> bool:
        return self.done == len(self.tokens)

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.key[0]

    @property
    def start(self) -> int:
        return self.key[1]


@dataclass(eq=False, slots=True)
class Job:
    """A submitted request. ``given`` starts the completion without being sampled.

    ``logprobs`` and ``top`` of given tokens are those of the fork's origin, or empty for the
    prompt's computation to fill in. The first ``forced`` tokens of the completion are forced.
    """

    handle: int
    request: Request
    given: tuple[int, ...]
    forced: int
    stream: bool
    logprobs: tuple[float, ...] = ()
    top: list[Top] = field(default_factory=list)
    slot: int = -1
    blocks: list[int] = field(default_factory=list)
    prompt: Prompt | None = None
    running: bool = False
    tail: bytes = b""
    value: float | None = None

    @property
    def key(self) -> Key:
        """Requests with the same key share a Prompt."""
        return self.request.tokens + self.given, len(self.request.tokens), self.request.top_logprobs

    @property
    def watched(self) -> bool:
        """Whether each of its tokens needs a look in Python."""
        request = self.request
        return bool(self.stream or request.sampling.stop or request.mask or request.top_logprobs)

    def take_over(self, prompt: Prompt, limit: int) -> None:
        """Learn what the prompt's computation found about the given tokens, of which ``limit`` fit."""
        self.value, self.prompt = prompt.value, None
        if not self.logprobs:
            self.logprobs = tuple(prompt.logprobs)
            self.top = list(prompt.top) if self.request.top_logprobs else []
        self.given, self.logprobs, self.top = self.given[:limit], self.logprobs[:limit], self.top[:limit]

    def stops(self, token: int, text: TokenText) -> bool:
        """Whether the text, with this token, contains a stop string; special tokens interrupt text."""
        if token in text.special.values():
            self.tail = b""
            return False
        longest = max(len(stop.encode()) for stop in self.request.sampling.stop)
        piece = text.token_bytes(token)
        self.tail = (self.tail + piece)[-(longest - 1 + len(piece)) :]
        return any(stop.encode() in self.tail for stop in self.request.sampling.stop)

    def complete(self, tokens: list[int], logprobs: list[float], finish: Finish, weights_id: str) -> Completion:
        forced = min(self.forced, len(tokens))
        origins: tuple[Origin, ...] = tuple("forced" if i < forced else "sampled" for i in range(len(tokens)))
        return Completion(tuple(tokens), tuple(logprobs), origins, finish, weights_id, tuple(self.top[: len(tokens)]))
