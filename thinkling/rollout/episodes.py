"""Episodes: a policy's attempts at problems, graded. Exactly one per attempt, failures included."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from thinkling.core.seeds import derive
from thinkling.core.types import (
    Episode,
    Message,
    Problem,
    Sample,
    Sampled,
    Sampling,
    TokenSeq,
    Usage,
    Verdict,
)
from thinkling.rollout.backend import Backend, Effect
from thinkling.rollout.driver import Failure, Rollout, Tool, drive


class Grader(Protocol):
    """The part of a problem family that an episode needs."""

    def grade(self, problem: Problem, text: str) -> Verdict: ...


Respond = Callable[[Sample], Generator["Effect | tuple[Effect, ...]", Any, list[Sampled]]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A way to answer: given what is asked as a ``Sample``, it returns that effect's ``n`` samples.

    A strategy maps a policy to a policy: it receives the same ``Sample``, yields what effects it
    likes, and returns as many samples as were asked for. ``grouped`` policies take all attempts at a
    problem in one ``Sample``, whose prompt the backend then computes once, and spend nothing beyond
    the samples they return; the others get one ``Sample`` with ``n=1`` per attempt.
    """

    name: str
    respond: Respond
    grouped: bool = False


def _plain(ask: Sample) -> Generator[Effect, Any, list[Sampled]]:
    samples: list[Sampled] = yield ask
    return samples


PLAIN = Policy("plain", _plain, grouped=True)


_NO_TOKENS = TokenSeq((), (), ())


def ask_user(problem: Problem) -> tuple[Message, ...]:
    """The default way to pose a problem: its prompt as the user's turn."""
    return (Message.user(problem.prompt),)


def episodes(
    problems: Sequence[Problem],
    backend: Backend,
    *,
    family_of: Callable[[Problem], Grader],
    sampling: Sampling,
    seed: int,
    n: int = 1,
    policy: Policy = PLAIN,
    think: bool | None = None,
    pose: Callable[[Problem], tuple[Message, ...]] = ask_user,
    prefix: Callable[[Problem], str] = lambda problem: "",
    tools: Mapping[str, Tool] | None = None,
    limit: int = 4096,
    keep_tokens: bool = True,
    progress: Callable[[Episode], None] | None = None,
) -> list[list[Episode]]:
    """``n`` graded attempts at each problem, in the order of ``problems``.

    Every attempt gives one Episode. One that could not be sampled has ``error`` set, finish "abort"
    and a verdict with status "error"; a grader that raises gives a verdict with status "error"; neither
    has a score. A group that fails as a whole books what it cost on its first episode.

    Seeds are derived from ``(seed, problem.key)``: an attempt's tokens do not depend on which other
    problems are in the list, and a problem listed twice is answered twice alike.
    ``keep_tokens`` False leaves ``sequences`` empty, which saves most of the memory.
    ``pose`` returning no messages makes ``prefix`` a plain text to continue, with no chat markup: how
    a base model is asked.
    """

    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    size = n if policy.grouped else 1
    jobs: list[tuple[Problem, Sample]] = []
    for problem in problems:
        start = derive(seed, "episode", problem.key)
        for first in range(0, n, size):
            own = start if policy.grouped else derive(start, first)
            jobs.append((problem, Sample(pose(problem), sampling, own, size, prefix(problem), think)))

    made: list[list[Episode]] = [[] for _ in jobs]

    def on_done(index: int, outcome: list[Sampled] | Failure, usage: Usage) -> None:
        problem, ask = jobs[index]
        if isinstance(outcome, Failure):
            made[index] = _failed(problem, policy, ask, outcome)
        else:
            bills = [sampled.usage for sampled in outcome] if policy.grouped else [usage]
            made[index] = [
                _graded(problem, policy, ask, i, outcome[i], bills[i], family_of(problem)) for i in range(ask.n)
            ]
        if progress is not None:
            for episode in made[index]:
                progress(episode)

    answers = (_answer(policy, ask, keep_tokens) for _, ask in jobs)
    drive(answers, backend, tools=tools, limit=limit, on_done=on_done)
    per = n // size
    return [[episode for job in made[at : at + per] for episode in job] for at in range(0, len(made), per)]


def _answer(policy: Policy, ask: Sample, keep_tokens: bool) -> Rollout[list[Sampled]]:
    samples: list[Sampled] = yield from policy.respond(ask)
    if len(samples) != ask.n:
        raise ValueError(f"policy {policy.name!r} was asked for {ask.n} samples and gave {len(samples)}")
    return samples if keep_tokens else [replace(sampled, tokens=_NO_TOKENS, top=()) for sampled in samples]


def _attempt_seed(ask: Sample, index: int) -> int:
    """The seed that belongs to attempt ``index`` of an effect: sample i of a group draws from (seed, i)."""
    return derive(ask.seed, index) if ask.n > 1 else ask.seed


def _graded(
    problem: Problem,
    policy: Policy,
    ask: Sample,
    index: int,
    sampled: Sampled,
    bill: Usage,
    grader: Grader,
) -> Episode:
    try:
        verdict = grader.grade(problem, sampled.message.text)
    except Exception as error:
        verdict = Verdict(None, "error", reason=f"grader raised {type(error).__name__}: {error}")
    return Episode(
        problem=problem,
        policy=policy.name,
        messages=(*ask.messages, sampled.message),
        sequences=(sampled.tokens,) if sampled.tokens.ids else (),
        verdict=verdict,
        finish=sampled.finish,
        usage=bill,
        seed=_attempt_seed(ask, index),
        weights_id=sampled.weights_id,
    )


def _failed(problem: Problem, policy: Policy, ask: Sample, failure: Failure) -> list[Episode]:
    return [
        Episode(
            problem=problem,
            policy=policy.name,
            messages=ask.messages,
            sequences=(),
            verdict=Verdict(None, "error", reason=failure.error),
            finish="abort",
            usage=failure.usage if index == 0 else Usage(),
            seed=_attempt_seed(ask, index),
            error=failure.error,
        )
        for index in range(ask.n)
    ]
