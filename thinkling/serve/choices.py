"""Answers as JSON: what is thought and said, token by token, and how a strategy came to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinkling.core.types import Candidate, Finish, Message, Sampled, Trace, Usage
from thinkling.serve.assemble import Assembler, Piece
from thinkling.serve.schemas.shared import usage_body
from thinkling.serve.source import Tokens
from thinkling.tokenizer.bpe import Tokenizer

Json = dict[str, Any]
Top = tuple[tuple[int, float], ...]
LEAST_LOGPROB = -9999.0  # for a probability of 0, as OpenAI's API has it
# What cut an answer off, if not the model itself, was a limit: the client must not take it for the whole.
FINISH: dict[Finish, str] = {"stop": "stop", "length": "length", "tool": "stop", "abort": "length"}


@dataclass(slots=True)
class Facts:
    """What is known of a sample's ids beyond their text, place by place; empty where nobody asked."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)

    def add(self, news: Tokens) -> None:
        self.ids += news.ids
        self.logprobs += news.logprobs
        self.top += news.top


@dataclass(frozen=True, slots=True)
class View:
    """What a client is shown. ``rivals`` likely tokens at each place; ``tokens`` and ``logprobs``: token by token,
    as this API and as OpenAI's have them."""

    tokenizer: Tokenizer | None
    thinking: bool = True
    tokens: bool = False
    logprobs: bool = False
    rivals: int = 0

    def visible(self, pieces: Iterable[Piece]) -> list[Piece]:
        return [piece for piece in pieces if self.thinking or piece.kind != "think"]

    def records(self, pieces: Iterable[Piece], facts: Facts) -> list[Json]:
        """A record for each id (see `schemas.chat.TokenRecord`). Text that no id adds goes to the last one."""
        found: list[Json] = []
        for piece in pieces:
            if piece.id is None:
                if found:
                    found[-1]["text"] += piece.text
                continue
            record: Json = {
                "id": piece.id,
                "kind": piece.kind,
                "text": piece.text,
                "logprob": _finite(facts.logprobs[piece.index]) if facts.logprobs else None,
                "top": self._rivals(facts, piece.index),
            }
            if piece.kind == "mark":
                record["mark"] = self._text(piece.id)
            found.append(record)
        return found

    def openai_logprobs(self, pieces: Iterable[Piece], facts: Facts) -> Json:
        """OpenAI's ``logprobs`` of the tokens that the content consists of, with each one's true bytes."""
        content = []
        for piece in pieces:
            if piece.kind == "text" and piece.id is not None and not piece.stopped:
                rivals = facts.top[piece.index][: self.rivals]
                entry = self._entry(piece.id, facts.logprobs[piece.index])
                content.append({**entry, "top_logprobs": [self._entry(token, value) for token, value in rivals]})
        return {"content": content, "refusal": None}

    def _rivals(self, facts: Facts, index: int) -> list[Json]:
        if not facts.top:
            return []
        return [
            {"id": token, "text": self._text(token), "logprob": _finite(value)}
            for token, value in facts.top[index][: self.rivals]
        ]

    def _entry(self, token: int, logprob: float) -> Json:
        assert self.tokenizer is not None
        data = self.tokenizer.token_bytes(token)
        return {"token": data.decode("utf-8", "replace"), "logprob": _finite(logprob), "bytes": list(data)}

    def _text(self, token: int) -> str:
        assert self.tokenizer is not None
        return self.tokenizer.decode([token])


@dataclass(frozen=True, slots=True)
class Told:
    """A finished answer: what was thought (None: nothing), what is said, and its pieces where it has any."""

    thinking: str | None
    text: str
    pieces: list[Piece]


def told(message: Message) -> Told:
    """An answer of which only the message is known."""
    thought = message.thinking
    pieces = [Piece("think", thought)] if thought else []
    return Told(thought, message.text, [*pieces, *([Piece("text", message.text)] if message.text else [])])


def reassembled(tokenizer: Tokenizer, sampled: Sampled, stop: Sequence[str]) -> Told:
    """An answer from its own ids, without what was given to it."""
    ids, origins = sampled.tokens.ids, sampled.tokens.origins
    start = origins.count("prompt")
    given = origins.count("forced")
    made = Assembler(tokenizer, stop, given=ids[start : start + given])
    pieces = [*made.push(ids[start + given :]), *made.finish()]
    text = {kind: "".join(piece.text for piece in pieces if piece.kind == kind) for kind in ("think", "text")}
    return Told(text["think"] if made.thought else None, text["text"], pieces)


def drawn(sampled: Sampled) -> tuple[int, ...]:
    """The ids that a sample drew itself."""
    return sampled.tokens.ids[len(sampled.tokens.ids) - sampled.tokens.origins.count("sampled") :]


def trace_body(sampled: Sampled, spec: str, index: int, usage: Usage, thinking: bool) -> Json:
    """How choice ``index`` was come to; without ``thinking``, none of it is told."""
    trace = sampled.trace or Trace(
        spec, (Candidate(sampled.message, usage=sampled.usage, finish=sampled.finish),), tied=(0,)
    )
    alike = [place for place in trace.tied if trace.candidates[place].message == sampled.message]
    chosen = next(iter([*alike, *trace.tied]), -1)
    return {
        "type": "trace",
        "index": index,
        "strategy": trace.strategy or spec,
        "candidates": [_candidate(made, place == chosen, thinking) for place, made in enumerate(trace.candidates)],
        "tally": [list(pair) for pair in trace.tally],
        "tied": list(trace.tied),
        "note": trace.note,
        "usage": usage_body(usage),
    }


def _candidate(made: Candidate, chosen: bool, thinking: bool) -> Json:
    hidden = not thinking and made.message.thinking is not None
    return {
        "text": made.message.text,
        "thinking": None if hidden else made.message.thinking,
        "answer": made.answer,
        "weight": _finite(made.weight),
        "tokens": made.usage.completion,
        "finish": made.finish,
        "role": made.role,
        "parent": made.parent,
        "kept": made.kept,
        "chosen": chosen,
        # They spell the whole turn, and so the thinking.
        "margins": [] if hidden else [list(pair) for pair in made.margins],
    }


def _finite(value: float) -> float:
    return max(value, LEAST_LOGPROB)
