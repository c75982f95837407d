"""How a game may end, and how a player says that it is over for him.

A statement counts only where it is plain: in the first person, among the last three sentences of a turn, no
question, and without "if", "perhaps", "not" and the like before it in its clause. Wanting to give up is not
giving up, and reasoning about a win is no claim of one.
"""

from __future__ import annotations

import re
from typing import Literal

Outcome = Literal["solved", "round_limit", "gave_up", "claimed_victory", "illegal", "context_full", "error"]
Says = Literal["gave_up", "claimed_victory"]

OUTCOMES: dict[Outcome, str] = {
    "solved": "named the secret",
    "round_limit": "used up its rounds",
    "gave_up": "said that it gives up, and made no guess",
    "claimed_victory": "said that the game is won or over without having named the secret, and made no guess",
    "illegal": "made no legal guess several turns in a row",
    "context_full": "the conversation outgrew the model's context",
    "error": "could not be played to its end for a reason outside the model; counts for nothing",
}

_LAST_SENTENCES = 3
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_CLAUSE = re.compile(r"[,;:]|\b(?:as|because|since|and|but|so|that)\b", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:if|unless|until|once|when|before|would|could|might|may|maybe|perhaps|should|not|never|almost|nearly)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)

_I = r"\bI(?:['\u2019](?:ve|ll|m))?"
_CANNOT = r"(?:cannot|can\s+not|can['\u2019]t|could\s+not|couldn['\u2019]t)"
_SECRET = (
    r"(?:it\b|(?:the|your|this)\s+(?:(?:secret|correct|hidden|right|particular|\w+-digit)\s+)*"
    r"(?:secret|number|code|combination|answer|solution|puzzle|game)\b(?!\s+of\b))"
)
_FIND = rf"(?:\w+ly\s+)?(?:solve|guess|find|determine|deduce|identify)\s+{_SECRET}"
_GO_ON = r"(?:\w+ly\s+)?(?:proceed|continue|go\s+on|(?:make|provide|give)\s+an?(?:other)?\s+(?:\w+\s+)?guess)\b"

_PHRASES: tuple[tuple[Says, tuple[str, ...]], ...] = (
    (
        "claimed_victory",
        (
            r"\bgame\s+(?:(?:is|has)\s+)?(?:now\s+)?(?:over|ended|finished)\b",
            r"\b(?:puzzle|game|code|secret)\s+(?:is|has\s+been)\s+(?:now\s+)?(?:solved|cracked)\b",
            rf"{_I}(?:\s+(?:have|already|now|finally|just))*\s+w[oi]n\b(?!['\u2019]t)",
            rf"{_I}(?:\s+(?:have|already|now|finally|just|correctly|successfully))*\s+(?:solved|cracked|found)\s+{_SECRET}",
            rf"{_I}(?:\s+have)?\s+(?:already\s+)?(?:correctly|successfully)\s+guessed\s+{_SECRET}",
        ),
    ),
    (
        "gave_up",
        (
            rf"{_I}(?:\s+(?:think|I|have|need|must|will|am|to|just|now|officially|hereby))*"
            r"\s+(?:(?:giv(?:e|en|ing)\s+up(?!\s+on\b))|surrender|concede|resign|quit|forfeit)\b",
            rf"{_I}(?:\s+am)?(?:\s+\w+ly)?\s+unable\s+to\s+(?:{_FIND}|{_GO_ON})",
            rf"(?:{_I}|\band)\s+{_CANNOT}\s+(?:{_FIND}|{_GO_ON})",
            r"\b(?:reveal|tell\s+me|ask\s+for)\s+(?:the|your)\s+(?:answer|solution|secret|number|code)\b",
        ),
    ),
)
_SAYS = [(kind, re.compile("|".join(phrases), re.IGNORECASE)) for kind, phrases in _PHRASES]


def declared(text: str) -> Says | None:
    """What a turn's text ends on saying: that the player gives up, that the game is won, or neither."""
    sentences = [sentence for sentence in _SENTENCE.findall(text) if re.search(r"\w", sentence)]
    for sentence in reversed(sentences[-_LAST_SENTENCES:]):
        if sentence.endswith("?"):
            continue
        for kind, pattern in _SAYS:
            for match in pattern.finditer(sentence):
                clause = _CLAUSE.split(sentence[: match.start()])[-1]
                if not _HEDGE.search(clause):
                    return kind
    return None
