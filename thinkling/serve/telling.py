"""A chat's news as the chunks of its stream.

A strategy whose answers are its samples is told as they are drawn. Of budget forcing, what is certain is told: its
thinking, and its answer once that cannot be taken back. The others are told when they have an answer; on the way,
with `strategy_events`, their candidates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from thinkling.core.types import Sampled, Usage
from thinkling.serve.asking import Asked, streams
from thinkling.serve.assemble import Assembler, Kind, Piece, runs, spoken
from thinkling.serve.choices import FINISH, Facts, Json, Told, View, drawn, reassembled, told, trace_body
from thinkling.serve.envelope import Envelope
from thinkling.serve.schemas.shared import usage_body
from thinkling.serve.source import Answered, Completed, News, Started, Tokens
from thinkling.serve.sse import DONE

Sample = tuple[int, int]  # effect, sample


class Listener:
    """Follows the samples of a job: an assembler and the facts of each."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._started: dict[int, Started] = {}
        self._assemblers: dict[Sample, Assembler] = {}
        self.facts: defaultdict[Sample, Facts] = defaultdict(Facts)
        self._choices: dict[int, int] = {}  # effect -> the choice that its first sample is, if samples are choices

    def started(self, news: Started) -> None:
        self._choices[news.effect] = sum(begun.n for begun in self._started.values())
        self._started[news.effect] = news

    def tokens(self, news: Tokens) -> list[Piece]:
        key = (news.effect, news.sample)
        self.facts[key].add(news)
        return self._assembler(key).push(news.ids)

    def finish(self, key: Sample) -> list[Piece]:
        return self._assembler(key).finish()

    def choice(self, key: Sample) -> int:
        return self._choices[key[0]] + key[1]

    def sample(self, choice: int) -> Sample | None:
        """The sample that a choice is; None where its effect has not begun."""
        for effect, first in self._choices.items():
            if first <= choice < first + self._started[effect].n:
                return effect, choice - first
        return None

    def facts_of(self, sampled: Sampled) -> Facts:
        """The facts of the sample that drew the same ids."""
        ids = list(drawn(sampled))
        return next((facts for facts in self.facts.values() if facts.ids == ids), Facts())

    def _assembler(self, key: Sample) -> Assembler:
        if key not in self._assemblers:
            tokenizer, begun = self._asked.source.tokenizer, self._started[key[0]]
            assert tokenizer is not None, "a source that draws tokens elsewhere tells none"
            stop = self._asked.job.sample.sampling.stop
            self._assemblers[key] = Assembler(tokenizer, stop, given=begun.given, thinking=begun.thinking)
        return self._assemblers[key]


class Budgeted:
    """What of a budget-forced answer is certain.

    Its samples continue one another: each begins with all that was thought (and said) so far. Below ``least``
    tokens of thinking it may be made to go on, and then neither the space at its end nor what it said after
    it stays.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._told: dict[Kind, list[str]] = {"think": [], "text": []}
        self._space = ""
        self._effect = 0
        self._last = False  # whether the sample that is being drawn only adds to the answer

    def started(self, news: Started) -> list[Piece]:
        self._space, self._effect, self._last = "", news.effect, news.thought is not None
        if news.thought is not None:
            return self._up_to("think", news.thought) + self._up_to("text", news.prefix)
        return self._up_to("think", news.prefix)

    def pieces(self, effect: int, pieces: Iterable[Piece]) -> list[Piece]:
        """What is certain of the pieces that a sample has drawn; those of an earlier one stand in the next's prefix."""
        out: list[Piece] = []
        for piece in pieces if effect == self._effect else ():
            if piece.kind == "text" and (self._last or not self._least):
                out += self._tell("text", piece.text)
            elif piece.kind == "think" and not self._last:
                text = self._space + piece.text
                certain = text.rstrip() if self._least else text
                self._space = text[len(certain) :]
                out += self._tell("think", certain)
        return out

    def answered(self, sampled: Sampled) -> list[Piece]:
        return self._up_to("think", sampled.message.thinking or "") + self._up_to("text", sampled.message.text)

    def _up_to(self, kind: Kind, whole: str) -> list[Piece]:
        """What is left of ``whole``. It begins with what was told, but for a tokenizer that normalizes what it is
        given back: then that stands as it is."""
        before = "".join(self._told[kind])
        return self._tell(kind, whole[len(before) :]) if whole.startswith(before) else []

    def _tell(self, kind: Kind, text: str) -> list[Piece]:
        self._told[kind].append(text)
        return [Piece(kind, text)] if text else []


class ChatTeller:
    """The chunks of a stream: ``opening``, then ``news`` batch by batch, of which the last ends it."""

    def __init__(self, asked: Asked, view: View, envelope: Envelope, *, events: bool) -> None:
        self.asked, self.view, self.envelope = asked, view, envelope
        self._count = asked.job.sample.n
        budget = asked.chosen.budget
        local = asked.source.tokenizer is not None
        live = local and asked.job.watch and streams(asked.chosen, self._count)
        self._budgeted = Budgeted(budget.min) if live and budget else None
        self._live = live and not budget
        self._events = events
        self._shows_candidates = events and not asked.chosen.plain
        self._listener = Listener(asked)
        self._pieces: dict[int, list[Piece]] = {}  # of each choice, not sent yet
        self._grown: dict[Sample, list[Piece]] = {}
        self._records = [0] * self._count  # told so far

    def opening(self) -> bytes:
        first = {"role": "assistant", "content": ""}
        return b"".join(self._choice(index, first) for index in range(self._count))

    def news(self, batch: Sequence[News]) -> bytes:
        """The chunks of a batch; each choice has one, or one for what it thought and one for what it said."""
        out: list[bytes] = []
        for item in batch:
            if isinstance(item, Started):
                out += self._candidates()
                out += self._started(item)
            elif isinstance(item, Tokens):
                self._tokens(item)
            elif isinstance(item, Answered):
                out += self._candidates()
                out += self._answered(item)
        return b"".join([*out, *self._candidates(), *self._deltas()])

    def bill(self, end: Answered | Completed) -> Usage:
        assert isinstance(end, Answered)
        return end.usage

    def _started(self, item: Started) -> Iterator[bytes]:
        self._listener.started(item)
        if self._budgeted is not None:
            self._add(0, self._budgeted.started(item))
        if self._shows_candidates:
            hidden = item.thinking and not self.view.thinking
            begun = {"type": "effect", "effect": item.effect, "n": item.n, "prefix": "" if hidden else item.prefix}
            yield self.envelope.aside(begun)

    def _tokens(self, item: Tokens) -> None:
        key = (item.effect, item.sample)
        pieces = self._listener.tokens(item)
        if self._live:
            self._add(self._listener.choice(key), pieces)
        elif self._budgeted is not None:
            self._add(0, self._budgeted.pieces(item.effect, pieces))
        if self._shows_candidates:
            self._grown.setdefault(key, []).extend(pieces)

    def _add(self, choice: int, pieces: Iterable[Piece]) -> None:
        self._pieces.setdefault(choice, []).extend(pieces)

    def _candidates(self) -> Iterator[bytes]:
        """Events of the candidates that have grown."""
        grown, self._grown = self._grown, {}
        for (effect, sample), pieces in grown.items():
            for kind, run in runs(self.view.visible(pieces)):
                text = spoken(run, kind)
                if text:
                    yield self.envelope.aside(
                        {"type": "candidate", "effect": effect, "sample": sample, "kind": kind, "text": text}
                    )

    def _deltas(self) -> Iterator[bytes]:
        waiting, self._pieces = self._pieces, {}
        for choice, pieces in sorted(waiting.items()):
            key = self._listener.sample(choice) if self._live else None
            yield from self._said(choice, pieces, self._listener.facts[key] if key is not None else Facts())

    def _said(self, choice: int, pieces: Sequence[Piece], facts: Facts) -> Iterator[bytes]:
        """Chunks of one choice."""
        for kind, run in runs(self.view.visible(pieces)):
            text = spoken(run, kind)
            delta: Json = {}
            if text:
                delta = {"content": text} if kind == "text" else {"reasoning_content": text, "reasoning": text}
            if self.view.tokens:
                made, before = self.view.records(run, facts), self._records[choice]
                delta["tokens"] = [{"index": before + place, **record} for place, record in enumerate(made)]
                self._records[choice] += len(made)
            logprobs = self.view.openai_logprobs(run, facts) if self.view.logprobs else None
            if text or delta.get("tokens") or (logprobs and logprobs["content"]):
                yield self._choice(choice, delta, logprobs)

    def _answered(self, end: Answered) -> Iterator[bytes]:
        for index, sampled in enumerate(end.samples):
            yield from self._rest(index, sampled)
        for index, sampled in enumerate(end.samples):
            yield self._choice(index, {}, finish=FINISH[sampled.finish])
        if self._events:
            for index, sampled in enumerate(end.samples):
                yield self.envelope.aside(
                    trace_body(sampled, self.asked.chosen.spec, index, end.usage, self.view.thinking)
                )
        if self.envelope.usage_follows:
            yield self.envelope.usage(usage_body(end.usage))
        yield DONE

    def _rest(self, index: int, sampled: Sampled) -> Iterator[bytes]:
        """What of an answer was not told yet."""
        if self._live:
            key = self._listener.sample(index)
            if key is not None:
                self._add(index, self._listener.finish(key))
            yield from self._deltas()
        elif self._budgeted is not None:
            self._add(index, self._budgeted.answered(sampled))
            yield from self._deltas()
        else:
            answer = finished(self.asked, sampled)
            yield from self._said(index, answer.pieces, self._listener.facts_of(sampled))

    def _choice(self, index: int, delta: Json, logprobs: Json | None = None, finish: str | None = None) -> bytes:
        return self.envelope.choice({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish})


def finished(asked: Asked, sampled: Sampled) -> Told:
    """A finished answer, from its ids where they are known and are all of it."""
    tokenizer = asked.source.tokenizer
    if tokenizer is None or not asked.chosen.tells_tokens or not sampled.tokens.ids:
        return told(sampled.message)
    return reassembled(tokenizer, sampled, asked.job.sample.sampling.stop)


def completed(asked: Asked, view: View, news: Sequence[News], end: Answered, *, events: bool) -> list[Json]:
    """The choices of a response in one piece. ``news`` are the job's, where tokens were wanted."""
    listener = Listener(asked)
    for item in news:
        if isinstance(item, Tokens):
            listener.facts[item.effect, item.sample].add(item)
    made: list[Json] = []
    for index, sampled in enumerate(end.samples):
        answer, facts = finished(asked, sampled), listener.facts_of(sampled)
        message: Json = {"role": "assistant", "content": answer.text, "refusal": None}
        if view.thinking and answer.thinking is not None:
            message |= {"reasoning_content": answer.thinking, "reasoning": answer.thinking}
        logprobs = view.openai_logprobs(answer.pieces, facts) if view.logprobs else None
        choice: Json = {
            "index": index, "message": message, "logprobs": logprobs, "finish_reason": FINISH[sampled.finish]
        }  # fmt: skip
        if view.tokens:
            choice["tokens"] = view.records(view.visible(answer.pieces), facts)
        if events:
            choice["thinkling"] = trace_body(sampled, asked.chosen.spec, index, end.usage, view.thinking)
        made.append(choice)
    return made
