"""The server for the page's tests: the real application in a thread, in front of a model that plays a part.

What the model says depends on the question (`PARTS`); its probabilities vary from token to token, and repeat from
run to run. A strategy's samples grow side by side, and end in a vote.

    python -m tests.browser.serving 8000     # the page on http://127.0.0.1:8000, read from disk each time
"""

from __future__ import annotations

import asyncio
import math
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import uvicorn

from thinkling.core.locate import PACKAGED
from thinkling.core.types import Candidate, Completion, Message, Origin, Part, Sampled, TokenSeq, Trace, Usage
from thinkling.serve.app import build_app, make_state
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Answered, Ask, Complete, Completed, Failed, Job, News, Started, Tokens
from thinkling.tokenizer.bpe import Tokenizer

THOUGHT = (
    "The coin starts heads up. Ada flips it, so it shows tails. Ben leaves it alone, so it still shows tails. "
    "Cleo flips it, so it shows heads."
)
MARKDOWN = """# A heading

Some **bold** text, *slanted* text and `code`, with a [link](https://example.org/) and [a bad one](javascript:alert(1)).

- one
- two
  1. nested
  2. again

| name | count |
| --- | ---: |
| apples | 3 |
| pears | 12 |

```python
def flips(names):
    return sum(name.flips for name in names) % 2 == 0
```

> A quoted line.

The sum is $\\frac{a}{b} + \\sqrt{2}$, and

$$\\sum_{i=1}^{n} i = \\frac{n(n+1)}{2}$$

<b onclick="alert(1)">raw</b> <script>alert(2)</script> ![a picture](http://example.org/spy.png)
"""
PARTS: dict[str, str] = {
    "markdown": MARKDOWN,
    "coin": f"<think>{THOUGHT}</think>The coin was flipped twice, so it is heads up again. The answer is **yes**.",
    "long": "".join(f"Line {i} of a very long answer, which goes on and on.\n\n" for i in range(900)),
    "slow": "".join(f"word{i} " for i in range(400)),
}
PLAIN = "This is an answer to what you asked. It is short, and the answer is 7."


def reply(job: Job, index: int) -> str | Failed:
    """What the model says: the part that the question names."""
    if not isinstance(job, Ask):
        return PLAIN
    question = job.sample.messages[-1].text.lower()
    if "too long" in question:
        return Failed("context", "the prompt has 900 tokens, the model reads and writes 512 together")
    said = next((said for word, said in PARTS.items() if word in question), PLAIN)
    if job.sample.think is False:
        said = said.rpartition("</think>")[2]
    return said


def chances(token: int, place: int, rivals: list[int]) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The log-probability of a token, and of its rivals with it: anything between sure and a guess."""
    own = 0.08 + 0.9 * abs(math.sin(1.7 * place + 0.3 * token))
    left, top = 1 - own, [(token, math.log(own))]
    for rival in rivals:
        left *= 0.5
        top.append((rival, math.log(max(left, 1e-9))))
    return math.log(own), tuple(sorted(top, key=lambda one: -one[1]))


@dataclass(eq=False)
class Player(Script):
    """A `Script` whose probabilities differ, and whose strategies have candidates."""

    said: list[int] = field(default_factory=list)  # the ids of the last plain answer

    async def _answer(self, job: Job) -> AsyncIterator[News]:
        if isinstance(job, Ask) and not job.strategy.startswith("plain"):
            async for news in self._strategy(job):
                yield news
            return
        if isinstance(job, Ask):
            self.said = []
        async for news in super()._answer(job):
            if isinstance(news, Tokens) and news.logprobs and isinstance(job, Ask):
                news = self._varied(news, job.sample.top_logprobs)
            elif isinstance(news, Completed) and isinstance(job, Complete) and job.requests[0].top_logprobs:
                asks = zip(news.completions, job.requests, strict=True)
                news = Completed(tuple(self._next(made, r.tokens + r.forced, r.top_logprobs) for made, r in asks))
            yield news

    def _rivals(self, token: int, count: int) -> list[int]:
        """Ids of words: neither special nor a piece of one."""
        made = ((token * 31 + 97 * k) % 1500 + 300 for k in range(1, 2 * count))
        return list(dict.fromkeys(rival for rival in made if rival != token))[: max(0, count - 1)]

    def _varied(self, news: Tokens, count: int) -> Tokens:
        place = len(self.said)
        made = [chances(token, place + i, self._rivals(token, count)) for i, token in enumerate(news.ids)]
        self.said += news.ids
        return replace(news, logprobs=tuple(own for own, _ in made), top=tuple(top for _, top in made))

    def _next(self, made: Completion, prompt: tuple[int, ...], count: int) -> Completion:
        """What `/api/next` reads: the distribution at a place of what was said last, as it was told then."""
        said = tuple(self.said)
        place = next(k for k in range(len(said), -1, -1) if k == 0 or prompt[-k:] == said[:k])
        token = said[place] if place < len(said) else made.tokens[0]
        own, top = chances(token, place, self._rivals(token, min(count, 60)))
        return replace(made, tokens=(token,), logprobs=(own,), origins=("sampled",), top=(top,))

    async def _strategy(self, job: Ask) -> AsyncIterator[News]:
        """Four samples, which grow in turn, and vote: three for yes."""
        tokenizer = self.tokenizer
        assert tokenizer is not None
        n, answers = 4, ("yes", "no", "yes", "yes")
        texts = [f"{THOUGHT} So, as I count it, the answer is {answer}." for answer in answers]
        ids = [tokenizer.encode(text) for text in texts]
        yield Started(0, n)
        longest = max(map(len, ids))
        for start in range(0, longest, 4):
            await asyncio.sleep(self.pause)
            for sample, line in enumerate(ids):
                if line[start : start + 4]:
                    yield Tokens(0, sample, tuple(line[start : start + 4]))
        turns = [Message("assistant", (Part("text", text),)) for text in texts]
        costs = [Usage(40, len(line), 0, 1) for line in ids]
        candidates = [
            Candidate(turn, answer, 1.0, cost, margins=margins(text) if "cot-decoding" in job.strategy else ())
            for turn, answer, cost, text in zip(turns, answers, costs, texts, strict=True)
        ]
        votes = Counter(made.answer for made in candidates if made.answer)
        trace = Trace(job.strategy, tuple(candidates), tuple((a, float(c)) for a, c in votes.most_common()), tied=(0,))
        plain = [news async for news in super()._answer(replace(job, strategy="plain", watch=False))]
        whole = plain[-1]
        assert isinstance(whole, Answered)
        asked = whole.samples[0].tokens
        prompt = asked.ids[: asked.origins.count("prompt")]
        said = tuple(ids[0])
        origins: list[Origin] = ["prompt"] * len(prompt)
        origins += ["sampled"] * len(said)
        whole_turn = TokenSeq(prompt + said, tuple(origins), (0.0,) * len(origins))
        answered = Sampled(turns[0], whole_turn, "stop", costs[0], "script-1", trace=trace)
        yield Answered((answered,), sum(costs, Usage()))


def margins(text: str) -> tuple[tuple[str, float], ...]:
    return tuple((word + " ", abs(math.sin(i))) for i, word in enumerate(text.split()))


def player(**changes: Any) -> Player:
    """The model: the packaged one's tokenizer, and none of its weights."""
    made = Player(Tokenizer.load(PACKAGED), reply, **changes)
    made.card = replace(made.card, id="nano", context=100_000)
    return made


class Serving:
    """The application on a free port, in a thread; a context manager."""

    def __init__(self, source: Player, port: int = 0, **settings: Any) -> None:
        self.source = source
        self._folder = TemporaryDirectory()
        kept = {"history": Path(self._folder.name) / "history.db", **settings}
        self.state = make_state(Settings(development=True, access_log=False, **kept), {source.card.id: source})
        config = uvicorn.Config(
            build_app(self.state), log_level="warning", server_header=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Serving:
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        self._folder.cleanup()

    def crash(self) -> None:
        """End it without a word: connections break off."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)


if __name__ == "__main__":
    with Serving(player(pause=0.02), int(sys.argv[1]) if len(sys.argv) > 1 else 8000) as serving:
        print(serving.address, flush=True)
        threading.Event().wait()
