"""A source that answers from a script: the protocol's tests meet the same interface as in front of a model.

It keeps what the process with an engine promises (news in order, one end per job, cancelled when its iterator
is closed, think tags and stop strings honoured, usage counted), draws nothing and computes nothing, so that what
fails in front of it is a fault of the protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from thinkling.core.types import (
    Candidate,
    Capabilities,
    Completion,
    Finish,
    Origin,
    Request,
    Sample,
    Sampled,
    TokenSeq,
    Trace,
    Usage,
)
from thinkling.serve.source import (
    Answered,
    Ask,
    Card,
    Complete,
    Completed,
    Failed,
    Job,
    Look,
    News,
    Seen,
    Started,
    State,
    Tokens,
)
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, opening_ids, parse, prompt_ids, stop_ids

# What sample i of a job says: text in which <think> and </think> are tags; or how the job fails.
Reply = Callable[[Job, int], "str | Failed"]
ABLE = Capabilities(
    prefix=True, logprobs=True, scoring=True, mask=True, fork=True, value=False, think=True, until=True
)  # fmt: skip
LOGPROB = -0.5  # of every scripted token


@dataclass(eq=False)
class Script:
    """Answers with ``reply``, ``chunk`` ids at a time, ``pause`` seconds before each.

    ``asked`` and ``cancelled`` keep the jobs, for assertions; ``state`` may be set.
    """

    tokenizer: Tokenizer | None
    reply: Reply
    card: Card = Card("scripted", 1_700_000_000, 512, ABLE, "script-1")
    chunk: int = 1
    pause: float = 0.0
    state: State = "ready"
    asked: list[Job] = field(default_factory=list)
    cancelled: list[Job] = field(default_factory=list)
    running: int = 0
    drawn: int = 0

    @property
    def load(self) -> dict[str, int]:
        return {"running": self.running, "waiting": 0, "slots": 64, "tokens": self.drawn}

    async def ask(self, job: Job) -> AsyncIterator[News]:
        self.asked.append(job)
        self.running += 1
        ended = False
        try:
            async for news in self._answer(job):
                ended = isinstance(news, Answered | Completed | Seen | Failed)
                yield news
        finally:
            self.running -= 1
            if not ended:
                self.cancelled.append(job)

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        if isinstance(job, Look):
            yield Seen({"what": job.what, "arguments": job.arguments})
            return
        count = job.sample.n if isinstance(job, Ask) else len(job.requests)
        texts = [self.reply(job, i) for i in range(count)]
        failed = next((text for text in texts if isinstance(text, Failed)), None)
        if failed is not None:
            yield failed
            return
        assert self.tokenizer is not None
        lines = [_Line(self.tokenizer, job, i, str(text)) for i, text in enumerate(texts)]
        if self.card.context and len(lines[0].prompt) >= self.card.context:
            yield Failed("context", f"the prompt has {len(lines[0].prompt)} tokens, it holds {self.card.context}")
            return
        if job.watch and isinstance(job, Ask):
            yield Started(0, count, thinking=bool(job.sample.think), given=lines[0].given)
        for start in range(0, max(len(line.said) for line in lines), self.chunk):
            await asyncio.sleep(self.pause)
            for index, line in enumerate(lines):
                ids = line.said[start : start + self.chunk]
                self.drawn += len(ids)
                if job.watch and ids:
                    yield line.news(index, start, ids)
        if isinstance(job, Ask):
            samples = [line.sampled(job.strategy) for line in lines]
            yield Answered(tuple(samples), sum((sampled.usage for sampled in samples), Usage()))
        else:
            yield Completed(tuple(line.completion() for line in lines))


class _Line:
    """One sample: its prompt, the ids given to it, and the ids it says."""

    def __init__(self, tokenizer: Tokenizer, job: Ask | Complete, index: int, text: str) -> None:
        self.tokenizer = tokenizer
        self.request = job.requests[index] if isinstance(job, Complete) else self._request(job.sample)
        self.prompt, self.given = self.request.tokens, self.request.forced
        limit = self.request.sampling.max_tokens - len(self.given)
        said, stops = _ids(tokenizer, text), self.request.sampling.stop
        whole = tuple(said)
        for length in range(1, len(whole) + 1):  # as an engine would have stopped
            if any(stop.encode() in tokenizer.decode_bytes(whole[:length]) for stop in stops):
                said = list(whole[:length])
                break
        else:
            said.append(stop_ids(tokenizer)[0])
        self.finish: Finish = "stop" if len(said) <= limit else "length"
        self.said = tuple(said[:limit])
        self.ask = job.sample if isinstance(job, Ask) else None

    def _request(self, sample: Sample) -> Request:
        tokenizer = self.tokenizer
        if sample.messages:
            whole = prompt_ids(tokenizer, sample.messages, sample.prefix, sample.think, sample.thought)
            prompt = prompt_ids(tokenizer, sample.messages)
        else:
            whole = prompt = [*opening_ids(tokenizer), *tokenizer.encode(sample.prefix)]
        forced = (*whole[len(prompt) :], *sample.forced)
        sampling = replace(sample.sampling, max_tokens=sample.sampling.max_tokens + len(forced))
        return Request(tuple(prompt), sampling, sample.seed, stop_ids(tokenizer), sample.top_logprobs, tuple(forced))

    def _top(self, ids: Sequence[int]) -> tuple[tuple[tuple[int, float], ...], ...]:
        count = self.request.top_logprobs
        return tuple(((at, LOGPROB), *((rival, -2.0) for rival in range(count - 1))) for at in ids) if count else ()

    def news(self, index: int, start: int, ids: tuple[int, ...]) -> Tokens:
        top = self._top(ids)
        return Tokens(0, index, ids, (LOGPROB,) * len(ids) if top else (), top)

    def completion(self) -> Completion:
        ids = self.given + self.said
        origins: list[Origin] = ["forced"] * len(self.given)
        origins += ["sampled"] * len(self.said)
        return Completion(ids, (LOGPROB,) * len(ids), tuple(origins), self.finish, "script-1", self._top(ids))

    def sampled(self, strategy: str) -> Sampled:
        made = self.completion()
        message = parse(self.tokenizer, made.tokens)
        thought = len(self.tokenizer.encode(message.thinking or ""))
        usage = Usage(len(self.prompt) + len(self.given), len(self.said), thought, 1)
        origins: list[Origin] = ["prompt"] * len(self.prompt)
        logprobs = (0.0,) * len(self.prompt) + made.logprobs
        ids = TokenSeq(self.prompt + made.tokens, (*origins, *made.origins), logprobs)
        trace = Trace(strategy, (Candidate(message, message.text.strip() or None, 1.0, usage, self.finish),), tied=(0,))
        return Sampled(message, ids, self.finish, usage, "script-1", trace=trace)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a scripted text: think tags are special tokens, all else is text."""
    ids: list[int] = []
    opened, closed = TAGS["think"]
    for n, piece in enumerate(text.split(opened)):
        ids += [tokenizer.special_id(opened)] if n else []
        for m, part in enumerate(piece.split(closed)):
            ids += [tokenizer.special_id(closed)] if m else []
            ids += tokenizer.encode(part)
    return ids
