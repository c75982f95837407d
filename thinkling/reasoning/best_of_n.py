"""Best-of-N and the weighted vote: sample many answers, judge each, and take the best, or the best supported.

``bon`` takes the answer whose best candidate is judged highest: by an outcome verifier (Cobbe et al. 2021,
arXiv:2110.14168), by the model's own mean log-probability per token, or by the model as a judge (Zheng et al.
2023, arXiv:2306.05685). ``vote`` adds up the verifier's probabilities of each answer's candidates (Li et al.
2022, arXiv:2206.02336): a weighted self-consistency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from thinkling.core.errors import UserError
from thinkling.core.types import Candidate, Capabilities, Message, Sample, Sampled, Sampling, Score, Scored
from thinkling.reasoning.strategy import Plain, Setting, Strategy, candidate, elect, many
from thinkling.rollout.driver import Rollout
from thinkling.tasks.answers import YES_NO
from thinkling.tasks.grading import read_choice

Judge = Literal["verifier", "likelihood", "judge"]
VERDICT = "Is this answer correct? Check it, and reply with Yes or No alone."


@dataclass(frozen=True)
class BestOfN:
    """The best of ``n`` samples, judged ``by`` a verifier, the likelihood, or the model as a judge."""

    n: int = 16
    temperature: float = 1.0
    by: Judge = "verifier"
    verifier: str = ""
    inner: Strategy = field(default_factory=Plain)

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        self.check_judge()
        own = {"verifier": ("value",), "likelihood": ("scoring",), "judge": ()}[self.by]
        return (*own, *self.inner.needs(setting, text))

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        samples = yield from many(ask, self.n, self.temperature, self.inner, setting)
        weights = yield from judged(ask, samples, self.by, self.verifier, setting.capabilities)
        made = [_weighed(s, w, setting) for s, w in zip(samples, weights, strict=True)]
        return elect(samples, made, ask.seed, max)

    def check_judge(self) -> None:
        """Raises UserError where a verifier judges and none is named."""
        if self.by == "verifier" and not self.verifier:
            raise UserError("this strategy judges by a verifier: name its folder, verifier=PATH, or another judge, by=")


@dataclass(frozen=True)
class WeightedVote:
    """``n`` samples vote with the probability that a verifier gives each of being right."""

    n: int = 16
    temperature: float = 1.0
    verifier: str = ""
    inner: Strategy = field(default_factory=Plain)

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        self.check_judge()
        return ("value", *self.inner.needs(setting, text))

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        samples = yield from many(ask, self.n, self.temperature, self.inner, setting)
        weights = yield from judged(ask, samples, "verifier", self.verifier, setting.capabilities)
        made = [_weighed(s, w, setting) for s, w in zip(samples, weights, strict=True)]
        return elect(samples, made, ask.seed, sum)

    def check_judge(self) -> None:
        """Raises UserError where no verifier is named."""
        if not self.verifier:
            raise UserError("a weighted vote needs a verifier: name its folder, verifier=PATH")


def judged(
    ask: Sample, samples: Sequence[Sampled], by: Judge, verifier: str, capabilities: Capabilities
) -> Rollout[list[float]]:
    """A number per sample, higher for better: a probability, or for "likelihood" that of its average token.

    A turn in which nothing was said is worth 0, and nobody is asked about it.
    """
    said = [sampled for sampled in samples if any(part.text for part in sampled.message.parts)]
    if by == "judge":
        replies: tuple[list[Sampled], ...] = yield tuple(_question(ask, one, capabilities) for one in said)
        found = [_verdict(reply[0]) for reply in replies]
    else:
        scores: tuple[Scored, ...] = yield tuple(
            Score(ask.messages, one.message, verifier, (), ask.prefix) for one in said
        )
        found = [_likelihood(score) if by == "likelihood" else value_of(score) for score in scores]
    values = iter(found)
    return [next(values) if any(part.text for part in one.message.parts) else 0.0 for one in samples]


def _likelihood(score: Scored) -> float:
    return math.exp(sum(score.logprobs) / len(score.logprobs))


def value_of(score: Scored) -> float:
    """A verifier's probability that what it read is right."""
    assert score.value is not None, "a score that names a verifier comes with a value"
    return score.value


def _weighed(sampled: Sampled, weight: float, setting: Setting) -> Candidate:
    return candidate(sampled, setting.kind.answer(sampled.message.text), weight)


def _question(ask: Sample, sampled: Sampled, capabilities: Capabilities) -> Sample:
    """What the judge is asked, without thinking where it could: the question, the answer, and whether it is correct."""
    said = "\n".join(filter(None, (sampled.message.thinking, sampled.message.text))).strip()
    sampling = Sampling(temperature=0.0, max_tokens=8)
    if not ask.messages:
        text = f"{ask.prefix} {said}\n\nQ: {VERDICT}\nA:"
        return Sample((), sampling, ask.seed, prefix=text)
    messages = (*ask.messages, Message.assistant(said), Message.user(VERDICT))
    return Sample(messages, sampling, ask.seed, think=False if capabilities.think else None)


def _verdict(judgement: Sampled) -> float:
    """1 for yes, 0 for no, 0.5 where the judge said neither."""
    answer = read_choice(judgement.message.text, YES_NO).answer
    return {"yes": 1.0, "no": 0.0}.get(answer or "", 0.5)
