"""Logprobs as endpoints tell them: token by token as text, without ids.

A turn's texts and its tokens are told apart from each other, and differ: tags and special tokens are in one
and not in the other, white space around the thinking gets lost. Here they are brought together again.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from thinkling.core.types import Message, TopToken
from thinkling.remote.bills import Malformed, stated_usage
from thinkling.tokenizer.chat import END, START, TAGS

NO_ID = -1
_TAGS = tuple(tag for tags in TAGS.values() for tag in tags)
TORN = "\N{REPLACEMENT CHARACTER}"  # in the text of a token that ends inside a character


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was sampled, token by token: text, logprob, and the likeliest tokens at its place, best first."""

    pieces: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    top: tuple[tuple[TopToken, ...], ...] = ()


def tokens_of_chat(choice: dict[str, Any], payload: Any) -> Tokens:
    """The chat route's ``logprobs.content``. Raises Malformed where it is missing or of another shape."""
    pieces, logprobs, top = [], [], []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        for token in choice["logprobs"]["content"]:
            # A character may be spelt by several tokens: the one that completes it has it.
            pieces.append(decoder.decode(bytes(token["bytes"])) if token.get("bytes") else str(token["token"]))
            logprobs.append(float(token["logprob"]))
            top.append(_ranked((other["token"], other["logprob"]) for other in token["top_logprobs"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("it has no logprobs with the likeliest tokens", payload, lasting=True) from None
    return Tokens(tuple(pieces), tuple(logprobs), tuple(top))


def tokens_of_text(choice: dict[str, Any], payload: Any) -> Tokens:
    """The completions route's parallel lists. Raises Malformed where they are missing or of another shape."""
    try:
        listed = choice["logprobs"]
        if "content" in listed:  # llama.cpp's server answers in the chat route's shape
            return tokens_of_chat(choice, payload)
        pieces = tuple(str(token) for token in listed["tokens"])
        logprobs = tuple(float(logprob) for logprob in listed["token_logprobs"])
        top = tuple(_ranked(place.items()) for place in listed["top_logprobs"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("it has no logprobs with the likeliest tokens", payload, lasting=True) from None
    if not len(pieces) == len(logprobs) == len(top):
        raise Malformed("its logprobs are lists of different lengths", payload, lasting=True)
    return Tokens(pieces, logprobs, top)


def echoed(choice: dict[str, Any], before: str, text: str, payload: Any) -> tuple[float, ...]:
    """Logprobs of the tokens of ``text``, in an echo of ``before`` and ``text`` (and of what was sampled after).

    A token across the border between the two counts as the text's. Raises Malformed where it cannot be told
    which tokens are the text's.
    """
    stated = stated_usage(payload)
    try:
        pieces = [str(token) for token in choice["logprobs"]["tokens"]][: None if stated is None else stated.prompt]
        logprobs = choice["logprobs"]["token_logprobs"][: len(pieces)]
        spans = _place(pieces, before + text, 0)
        if spans is None:
            raise Malformed("the tokens that it echoes do not spell the text", payload, lasting=True)
        border, kept = len(before), []
        for piece, logprob, (start, end) in zip(pieces, logprobs, spans, strict=True):
            if start < border < end and _unseen(piece):
                raise Malformed("the text begins in a token that it does not spell out", payload, lasting=True)
            if start < end and end > border:
                kept.append(float(logprob))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("it does not echo the text with logprobs", payload, lasting=True) from None
    return tuple(kept)


def aligned(message: Message, opening: str, tokens: Tokens, payload: Any) -> Tokens:
    """The tokens with their pieces cut so that they spell the turn's parts, one after the other.

    Tags and special tokens become "". What the turn said already (``opening``) becomes one piece without
    alternatives in front, and so does a thought that the endpoint tells but gives no logprobs of.
    """
    spoken = "".join(part.text for part in message.parts)
    lead = len(opening) - sum(len(tag) * opening.count(tag) for tag in _TAGS)
    for start in dict.fromkeys((lead, lead + len(message.thinking or ""))):
        spans = _place(tokens.pieces, spoken, start)
        if spans is not None:
            # Where several tokens spell one character, the last has it.
            shared = [span == after for span, after in pairwise([*spans, (0, 0)])]
            spelt = ["" if same else spoken[a:b] for (a, b), same in zip(spans, shared, strict=True)]
            front = ((spoken[:start],), ((),)) if start else ((), ())
            return Tokens((*front[0], *spelt), tokens.logprobs, (*front[1], *tokens.top))
    raise Malformed("the tokens of its logprobs do not spell its text", payload, lasting=True)


def _place(pieces: Sequence[str], text: str, start: int) -> list[tuple[int, int]] | None:
    """Where each token stands in ``text`` from ``start`` on, as (from, to); None where they do not spell it.

    A token that is not in the text at all (a special one, the white space around a thought) stands nowhere: from
    equals to. Tokens whose text the server does not tell (parts of a character, tags) share what lies between
    their neighbours, if that is nothing but characters and tags of this kind.
    """
    spans: list[tuple[int, int]] = []
    unseen: list[int] = []
    at = start
    for index, piece in enumerate((*pieces, None)):
        begin, fit = at, _fitting(piece, text, at)
        while fit is None and unseen and (skipped := _untold(text, begin)):
            begin += skipped
            fit = _fitting(piece, text, begin)
        if fit is not None:
            for other in unseen:
                spans[other] = (at, begin)
            unseen.clear()
            at = begin + fit
            spans.append((begin, at))
        else:
            spans.append((at, at))
            if piece is not None and _unseen(piece):
                unseen.append(index)
    return spans[:-1] if at == len(text) else None


def _fitting(piece: str | None, text: str, at: int) -> int | None:
    """How many characters of ``text`` at ``at`` a token spells; None: it does not stand there.

    A server drops white space between thinking and answer, and what belongs to a stop string. The token None is
    the end of the text.
    """
    if piece is None:
        return 0 if at == len(text) else None
    if _unseen(piece):
        return None
    for shape in (piece, piece.rstrip(), piece.lstrip(), piece.strip()):
        if shape and text.startswith(shape, at):
            return len(shape)
    rest = len(text) - at
    return rest if rest and piece.startswith(text[at:]) else None


def _unseen(piece: str) -> bool:
    return not piece or TORN in piece


def _untold(text: str, at: int) -> int:
    """Length of what stands at ``at``, if it is of the kind whose tokens some servers do not spell out."""
    for tag in (START, END, *_TAGS):
        if text.startswith(tag, at):
            return len(tag)
    return int(at < len(text) and not text[at].isascii())


def _ranked(tokens: Iterable[tuple[Any, Any]]) -> tuple[TopToken, ...]:
    found = [TopToken(NO_ID, float(logprob), str(text)) for text, logprob in tokens]
    return tuple(sorted(found, key=lambda token: -token.logprob))
