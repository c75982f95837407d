"""What the scheduler moves around: a request on its way to a completion, and a prompt being computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from thinkling.core.types import Completion, Finish, Origin, Request

Top = tuple[tuple[int, float], ...]
# tokens, how many of them are the prompt proper, top_logprobs, places of which the head's value is wanted
Key = tuple[tuple[int, ...], int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Event:
    """News of one request: a token (None for an end without one), and with the last, the completion.

    ``value`` is the scalar head's output at the last prompt or forced token, ``values`` are those at the
    request's places, given with the completion where the weights have such a head.
    """

    handle: int
    token_id: int | None
    logprob: float
    top: Top = ()
    completion: Completion | None = None
    value: float | None = None
    values: tuple[float, ...] = ()


class TokenText(Protocol):
    """The part of a tokenizer that finds stop strings."""

    @property
    def special(self) -> Mapping[str, int]: ...

    def token_bytes(self, token: int, /) -> bytes: ...


@dataclass(eq=False, slots=True)
class Prompt:
    """Tokens to compute once for all requests that begin with them.

    Tokens from ``start`` on (forced, or generated before a fork) count as generated, and get a
    plain logprob each. ``hidden`` is the last position's final state, ``values`` the scalar head's
    outputs by position: at the last one and at the key's places.
    """

    key: Key
    blocks: list[int]
    row: int
    done: int = 0
    members: list[Job] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)
    hidden: np.ndarray | None = None
    values: dict[int, float] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.done == len(self.tokens)

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.key[0]

    @property
    def start(self) -> int:
        return self.key[1]

    @property
    def places(self) -> set[int]:
        return {len(self.tokens) - 1, *self.key[3]}


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
    said: bytes = b""
    places: tuple[int, ...] = ()
    value: float | None = None
    values: tuple[float, ...] = ()

    @property
    def key(self) -> Key:
        """Requests with the same key share a Prompt."""
        request = self.request
        return request.tokens + self.given, len(request.tokens), request.top_logprobs, self.places

    @property
    def watched(self) -> bool:
        """Whether each of its tokens needs a look in Python."""
        request = self.request
        return bool(self.stream or request.sampling.stop or request.mask or request.until or request.top_logprobs)

    def take_over(self, prompt: Prompt, limit: int) -> None:
        """Learn what the prompt's computation found about the given tokens, of which ``limit`` fit."""
        self.prompt = None
        if prompt.values and self.value is None:  # a fork that had to queue keeps what its origin learned
            self.value = prompt.values[len(prompt.tokens) - 1]
            self.values = tuple(prompt.values[place] for place in self.places)
        if not self.logprobs:
            self.logprobs = tuple(prompt.logprobs)
            self.top = list(prompt.top) if self.request.top_logprobs else []
        self.given, self.logprobs, self.top = self.given[:limit], self.logprobs[:limit], self.top[:limit]

    def stops(self, token: int, text: TokenText) -> bool:
        """Whether the text, with this token, has come to its end; special tokens interrupt text."""
        if token in text.special.values():
            self.tail = self.said = b""
            return False
        piece = text.token_bytes(token)
        if self.request.until is not None:
            self.said += piece
            if self.request.until(self.said.decode("utf-8", "replace")):
                return True
        longest = max((len(stop.encode()) for stop in self.request.sampling.stop), default=1)
        self.tail = (self.tail + piece)[-(longest - 1 + len(piece)) :]
        return any(stop.encode() in self.tail for stop in self.request.sampling.stop)

    def complete(self, tokens: list[int], logprobs: list[float], finish: Finish, weights_id: str) -> Completion:
        forced = min(self.forced, len(tokens))
        origins: tuple[Origin, ...] = tuple("forced" if i < forced else "sampled" for i in range(len(tokens)))
        return Completion(tuple(tokens), tuple(logprobs), origins, finish, weights_id, tuple(self.top[: len(tokens)]))
