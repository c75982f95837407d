"""What a reply cost in tokens: as the endpoint states it, or estimated and marked so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thinkling.core.types import Usage

BYTES_PER_TOKEN = 4  # of English text under the usual vocabularies: the estimate where an endpoint counts nothing


@dataclass(frozen=True, slots=True)
class Bill:
    """Tokens of one reply; the flags say which of them the endpoint did not give, so that they are estimates."""

    usage: Usage
    estimated: bool = False
    thinking_estimated: bool = False


class Malformed(Exception):
    """JSON that is not the reply it should be.

    ``bill`` is what it cost all the same, where it says so; ``lasting``: the next one would be no better.
    """

    def __init__(self, reason: str, payload: Any, lasting: bool = False) -> None:
        super().__init__(reason)
        stated = stated_usage(payload)
        self.bill = None if stated is None else Bill(stated)
        self.lasting = lasting


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has; 0 only for no text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def stated_usage(payload: Any) -> Usage | None:
    """The usage that a reply states, or None."""
    usage = payload.get("usage") if isinstance(payload, dict) else None
    if not isinstance(usage, dict):
        return None
    prompt, completion, total = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if isinstance(total, int):  # some endpoints leave reasoning out of completion_tokens, but none out of the total
        completion = max(completion, total - prompt)
    return Usage(prompt, completion, reasoning if isinstance(reasoning, int) else 0, 1)


def bill_for(payload: Any, prompt: int, said: str, thought: int = 0) -> Bill:
    """The bill of a reply that says ``said``, ``thought`` characters of which are thinking.

    ``prompt`` estimates the prompt's tokens. Thinking that is told but not counted gets its share of the tokens.
    """
    stated = stated_usage(payload)
    usage = stated or Usage(prompt, estimate_tokens(said), 0, 1)
    if usage.thinking or thought <= 0:
        return Bill(usage, stated is None)
    share = round(usage.completion * min(1.0, thought / len(said)))
    return Bill(Usage(usage.prompt, usage.completion, share, usage.calls), stated is None, True)
