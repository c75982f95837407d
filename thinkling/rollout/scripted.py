"""A backend that answers from a script: the test's twin of a model.

It keeps what real backends promise (tickets, n samples per ``Sample``, prefix and ``<think>`` honoured,
stop strings and ``max_tokens`` applied, usage counted), so that a strategy tested on it has met the
same interface. One token is one UTF-8 byte; 256 ends a turn, 257 and 258 are the think tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from thinkling.core.errors import UserError
from thinkling.core.types import (
    Capabilities,
    Finish,
    Message,
    Origin,
    Part,
    Request,
    Sample,
    Sampled,
    Score,
    Scored,
    TokenSeq,
    Usage,
)
from thinkling.rollout.backend import Ask, Result

END, THINK, UNTHINK = 256, 257, 258
_TAGS = {"<think>": THINK, "</think>": UNTHINK}

Reply = Callable[[Sample, int], "str | Exception"]


def queue(replies: Iterable[str | Exception]) -> Reply:
    """A rule that gives the replies one by one, in the order in which samples are submitted."""
    left = iter(replies)

    def reply(_effect: Sample, _index: int) -> str | Exception:
        try:
            return next(left)
        except StopIteration:
            return IndexError("the script has no more replies")

    return reply


def encode(text: str) -> tuple[int, ...]:
    """Bytes of the text, with ``<think>`` and ``</think>`` as one token each."""
    ids: list[int] = []
    while text:
        found = [(text.find(tag), tag) for tag in _TAGS if tag in text]
        at, tag = min(found) if found else (len(text), "")
        ids += text[:at].encode()
        ids += [_TAGS[tag]] if tag else []
        text = text[at + len(tag) :]
    return tuple(ids)


def decode(ids: Iterable[int]) -> str:
    """The inverse of ``encode``; the end token is dropped, a torn character becomes U+FFFD."""
    out = bytearray()
    names = {THINK: b"<think>", UNTHINK: b"</think>", END: b""}
    for token in ids:
        out += names[token] if token in names else bytes([token])
    return out.decode("utf-8", "replace")


def read_turn(text: str) -> Message:
    """An assistant turn from its text; a think part that is never closed is all thinking."""
    if not text.startswith("<think>"):
        return Message("assistant", (Part("text", text),))
    thought, closed, said = text.removeprefix("<think>").partition("</think>")
    return Message("assistant", (Part("think", thought), *((Part("text", said),) if closed else ())))


class Scripted:
    """Answers sample ``i`` of an effect with ``reply(effect, i)``; an exception given back is its failure.

    ``patience(ticket)`` says after how many polls a ticket is done (default: the next one), so that
    effects can be made to finish out of order. ``score``, if given, answers ``Score`` effects, those that
    name a verifier too.
    ``submitted`` and ``cancelled`` keep what was asked, for assertions.
    """

    def __init__(
        self,
        reply: Reply | Sequence[str | Exception],
        *,
        score: Callable[[Score], Scored] | None = None,
        patience: Callable[[int], int] = lambda ticket: 1,
        name: str = "scripted",
    ) -> None:
        self.reply: Reply = reply if callable(reply) else queue(reply)
        self.score, self.patience, self.name = score, patience, name
        judges = score is not None
        self.capabilities = Capabilities(prefix=True, logprobs=True, scoring=judges, value=judges)
        self.submitted: list[Sample | Score] = []
        self.cancelled: list[int] = []
        self.polls = 0
        self._due: dict[int, tuple[int, Result]] = {}

    def submit(self, effect: Ask) -> int:
        if isinstance(effect, Request):
            raise UserError(f"backend {self.name!r} has no engine that continues ids")
        if isinstance(effect, Score) and self.score is None:
            raise UserError(f"backend {self.name!r} does not score turns; give it a rule as score")
        ticket = len(self.submitted)
        self.submitted.append(effect)
        self._due[ticket] = (
            self.polls + max(1, self.patience(ticket)),
            self._answer(effect),
        )
        return ticket

    def poll(self) -> list[tuple[int, Result]]:
        self.polls += 1
        done = [(ticket, result) for ticket, (due, result) in self._due.items() if due <= self.polls]
        for ticket, _ in done:
            del self._due[ticket]
        return done

    def cancel(self, ticket: int) -> None:
        if self._due.pop(ticket, None) is not None:
            self.cancelled.append(ticket)

    def _answer(self, effect: Sample | Score) -> Result:
        if isinstance(effect, Score):
            assert self.score is not None
            return self.score(effect)
        samples: list[Sampled] = []
        for index in range(effect.n):
            text = self.reply(effect, index)
            if isinstance(text, Exception):
                return text
            samples.append(_sampled(effect, text))
        return samples


def _sampled(effect: Sample, text: str) -> Sampled:
    """Cut a scripted text as a model would have stopped, and count it."""
    sampling = effect.sampling
    if effect.think is False:
        text = text.replace("<think>", "").replace("</think>", "")
    stops = [at for at in (text.find(stop) for stop in sampling.stop) if at >= 0]
    said = encode(text[: min(stops)] if stops else text)
    finish: Finish = "stop"
    if len(said) + (not stops) > sampling.max_tokens:
        said, finish = said[: sampling.max_tokens], "length"
    elif not stops:
        said = (*said, END)

    prompt = encode("".join(f"{message.role}: {message.text}\n" for message in effect.messages))
    thought = "" if effect.thought is None else f"<think>{effect.thought}</think>"
    opening = encode(thought + ("<think>" if effect.think else "")) + encode(effect.prefix)
    # Without messages the prefix is a text to continue, not the beginning of a turn.
    turn = decode(opening + said) if effect.messages else decode(said)
    head: Origin = "forced" if effect.messages else "prompt"
    message = read_turn(turn) if effect.messages else Message.assistant(turn)
    length = len(prompt), len(opening), len(said)
    origins: list[Origin] = ["prompt"] * length[0]
    origins += [head] * length[1]
    origins += ["sampled"] * length[2]
    tokens = TokenSeq(prompt + opening + said, tuple(origins), (0.0,) * sum(length))
    usage = Usage(len(prompt) + len(opening), len(said), len(encode(message.thinking or "")), 1)
    return Sampled(message, tokens, finish, usage, weights_id="script")
