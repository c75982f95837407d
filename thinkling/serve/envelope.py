"""The frame around a response's choices: made once, so that a chunk costs the JSON of its delta alone."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from thinkling.serve.sse import dumps


def new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"


@dataclass(slots=True)
class Envelope:
    """``object`` is OpenAI's name for the kind of response. ``usage_follows``: the chunks before the last say that
    there is none yet, as OpenAI's do where it was asked for."""

    object: str
    model: str
    fingerprint: str | None
    id: str
    usage_follows: bool = False
    created: int = field(default_factory=lambda: int(time.time()))
    _head: bytes = field(init=False)
    _tail: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._head = b"data: " + dumps(self.fields()).encode()[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self.usage_follows else b"]}\n\n"

    def fields(self) -> dict[str, Any]:
        """All but choices and usage."""
        return {
            "id": self.id,
            "object": self.object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def choice(self, value: dict[str, Any]) -> bytes:
        """A chunk with one choice."""
        return self._head + dumps(value).encode() + self._tail

    def aside(self, value: dict[str, Any]) -> bytes:
        """A chunk without choices that tells of a strategy's work."""
        return self._head + b'],"thinkling":' + dumps(value).encode() + self._tail[1:]

    def usage(self, value: dict[str, Any]) -> bytes:
        """The chunk with the bill, after all others."""
        return self._head + b'],"usage":' + dumps(value).encode() + b"}\n\n"
