"""Chain-of-thought decoding (Wang and Zhou 2024, arXiv:2402.10200, section 2).

No prompt asks for steps. The decoding branches on the ``k`` likeliest *first* tokens alone and goes on
greedily on each branch. A path that reasons before it answers is surer of its answer, so each path is weighed by

    Delta = mean over the tokens of the answer span of  p(top 1) - p(top 2),

probabilities from the raw logits. ``pick = "sum"`` adds Delta over the paths of one answer and takes the
answer with the most, ``"max"`` takes the single best path (section 2.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thinkling.core.types import Candidate, Sample, Sampled
from thinkling.reasoning.strategy import Setting, candidate, elect
from thinkling.rollout.driver import Rollout
from thinkling.tasks.answers import AnswerKind
from thinkling.tokenizer.chat import TAGS


@dataclass(frozen=True)
class CotDecoding:
    """``k`` branches at the first token, greedy after it; ``pick`` "sum" or "max"."""

    k: int = 10
    pick: Literal["sum", "max"] = "sum"

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ("logprobs", "fork")

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        greedy = replace(ask, sampling=replace(ask.sampling, temperature=0.0), top_logprobs=2)
        first = replace(
            greedy, sampling=replace(greedy.sampling, max_tokens=1, stop=()), top_logprobs=self.k + (ask.think is False)
        )
        (looked,) = yield first
        begun = len(looked.top) - 1  # tokens that were given come before the one that was drawn
        # The likeliest tokens are told from the raw logits: among them may be the one that opens the thinking.
        refused = TAGS["think"][0] if ask.think is False else None
        likely = [token for token in looked.top[begun] if token.text != refused][: self.k]
        branches = [replace(greedy, forced=(*ask.forced, token.id)) for token in likely]
        replies: tuple[list[Sampled], ...] = yield tuple(branches)
        samples = [reply[0] for reply in replies]
        candidates = [weighed(sampled, setting.kind) for sampled in samples]
        return elect(samples, candidates, ask.seed, sum if self.pick == "sum" else max)


def weighed(sampled: Sampled, kind: AnswerKind) -> Candidate:
    """A path with its Delta as weight, and the margin of every token; without an answer it has no Delta."""
    reading = kind.read(sampled.message.text)
    gaps = tuple(zip(sampled.pieces, margins(sampled), strict=True))
    if reading.answer is None:
        return candidate(sampled, None, 0.0, margins=gaps)
    before = len(sampled.message.thinking or "")
    inside = span_tokens(sampled.pieces, before + reading.start, before + reading.end)
    delta = sum(gaps[i][1] for i in inside) / len(inside)
    return candidate(sampled, reading.answer, delta, margins=gaps)


def margins(sampled: Sampled) -> list[float]:
    """p(top 1) - p(top 2) at each token of the turn."""
    return [math.exp(top[0].logprob) - (math.exp(top[1].logprob) if len(top) > 1 else 0.0) for top in sampled.top]


def span_tokens(pieces: Sequence[str], start: int, end: int) -> list[int]:
    """The tokens that spell any of the characters from ``start`` up to ``end``."""
    inside, at = [], 0
    for index, piece in enumerate(pieces):
        if piece and at < end and at + len(piece) > start:
            inside.append(index)
        at += len(piece)
    return inside
