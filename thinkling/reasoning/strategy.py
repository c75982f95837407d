"""What a strategy is: a generator of effects that answers one question, over whatever model it is given.

A strategy is a frozen dataclass whose fields are its options (``sc:n=16`` sets ``n``) and whose ``answer``
is a generator: it yields `Sample` and `Score` effects, receives their results, and returns one `Sampled`
with a `Trace` of how it got there. Strategies compose: those that ask many times have an ``inner`` one.

Nothing here sees a gold answer. What is spent is counted by the driver, pruned branches, judges and
verifiers included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Candidate, Capabilities, Message, Sample, Sampled, TokenSeq, Trace, Usage
from thinkling.rollout.driver import Rollout
from thinkling.rollout.episodes import Policy
from thinkling.rollout.gather import gather
from thinkling.tasks.answers import AnswerKind, answer_kind
from thinkling.tasks.exemplars import Exemplar


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known around a question: how its answer is read, what the backend can do, worked examples."""

    kind: AnswerKind = field(default_factory=lambda: answer_kind("text"))
    capabilities: Capabilities = Capabilities()
    exemplars: tuple[Exemplar, ...] = ()


class Strategy(Protocol):
    """A way to answer one question."""

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        """Names of the capabilities that it cannot do without; ``text``: the question is plain text, not a chat."""
        ...

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        """One answer to ``ask`` (whose ``n`` is 1)."""
        ...


@dataclass(frozen=True)
class Plain:
    """The question as it is: the model thinks first if that is its way."""

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        samples: list[Sampled] = yield ask
        return samples[0]


def check(strategy: Strategy, spec: str, setting: Setting, text: bool, backend: str) -> None:
    """Raise UserError where ``strategy`` needs what the backend cannot do: before a token is spent."""
    missing = [name for name in strategy.needs(setting, text) if not getattr(setting.capabilities, name, False)]
    if missing:
        raise UserError(
            f"strategy {spec!r} needs {', '.join(sorted(set(missing)))}, which {backend} does not offer; "
            "choose another strategy, or a local model"
        )


def as_policy(strategy: Strategy, spec: str, setting: Setting) -> Policy:
    """The policy that answers by ``strategy``: several attempts run side by side, each with its own seed."""

    def respond(ask: Sample) -> Rollout[list[Sampled]]:
        single = [replace(ask, n=1, seed=derive(ask.seed, i)) for i in range(ask.n)] if ask.n > 1 else [ask]
        samples = yield from gather([strategy.answer(one, setting) for one in single])
        return [_named(sampled, spec) for sampled in samples]

    return Policy(spec, respond)


def _named(sampled: Sampled, spec: str) -> Sampled:
    trace = sampled.trace or Trace(spec, (candidate(sampled),), tied=(0,))
    return replace(sampled, trace=replace(trace, strategy=spec))


def many(ask: Sample, n: int, temperature: float | None, inner: Strategy, setting: Setting) -> Rollout[list[Sampled]]:
    """``n`` answers to one question by ``inner``; the plain strategy's share their prompt's computation."""
    if temperature is not None:
        ask = replace(ask, sampling=replace(ask.sampling, temperature=temperature))
    if isinstance(inner, Plain):
        samples: list[Sampled] = yield replace(ask, n=n)
        return samples
    seeds = [derive(ask.seed, i) for i in range(n)] if n > 1 else [ask.seed]
    return (yield from gather([inner.answer(replace(ask, seed=seed), setting) for seed in seeds]))


def candidate(sampled: Sampled, answer: str | None = None, weight: float = 1.0, **details: object) -> Candidate:
    """A sample as a strategy's candidate."""
    made = Candidate(sampled.message, answer, weight, sampled.usage, sampled.finish)
    return replace(made, **details)  # type: ignore[arg-type]


def elect(
    samples: Sequence[Sampled],
    candidates: Sequence[Candidate],
    seed: int,
    combine: Callable[[Sequence[float]], float] = sum,
    note: str = "",
) -> Sampled:
    """The answer with the highest combined weight, as the sample of one candidate that gave it.

    ``candidates[i]`` belongs to ``samples[i]``; further candidates are kept for the record. What was not
    parsed never wins, unless nothing was. Of several answers that share the highest weight one is drawn by
    the seed, and all are named in ``Trace.tied``; of one answer's candidates, the one with the highest weight.
    """
    weights: dict[str, list[float]] = {}
    for made in candidates[: len(samples)]:
        if made.answer is not None:
            weights.setdefault(made.answer, []).append(made.weight)
    tally = sorted(((name, combine(parts)) for name, parts in weights.items()), key=lambda pair: -pair[1])
    if not tally:
        best = stream(seed, "elect").randrange(len(samples))
        return replace(samples[best], trace=Trace("", tuple(candidates), (), (best,), note or "no answer was parsed"))
    tied = tuple(
        max((i for i in range(len(samples)) if candidates[i].answer == name), key=lambda i: candidates[i].weight)
        for name, weight in tally
        if weight >= tally[0][1] - 1e-9 * abs(tally[0][1])
    )
    best = stream(seed, "elect").choice(tied)
    return replace(samples[best], trace=Trace("", tuple(candidates), tuple(tally), tied, note))


def composed(message: Message, parts: Sequence[Sampled], trace: Trace) -> Sampled:
    """A sample whose turn was put together from several; its finish is the last one's."""
    usage = sum((part.usage for part in parts), Usage())
    return Sampled(message, TokenSeq((), (), ()), parts[-1].finish, usage, parts[-1].weights_id, trace=trace)
