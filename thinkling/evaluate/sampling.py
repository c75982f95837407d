"""Filling the pool: what an evaluation's plans need and the pool does not have yet is sampled and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thinkling.core.progress import Progress
from thinkling.core.seeds import content_key, derive
from thinkling.core.types import Message, Problem, Sample, Sampled, Sampling, TokenSeq, Usage
from thinkling.evaluate.attempts import Attempt, Judgement, Pool, attempt_key, shown, tied_texts
from thinkling.evaluate.named_files import content_of, fingerprint
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.tasks import Task
from thinkling.reasoning.best_of_n import Judge, judged
from thinkling.reasoning.prompting import ask_for
from thinkling.reasoning.spec import strategy
from thinkling.reasoning.strategy import Setting, Strategy, as_policy, check
from thinkling.rollout.backend import Backend
from thinkling.rollout.driver import Failure, Rollout, drive

_NOTHING = Usage()
FILELESS = ("", "likelihood", "judge")  # what weighs samples without a verifier's folder


@dataclass(frozen=True, slots=True)
class Asking:
    """How every question of a run is put. ``text``: as plain text to continue, for a base model."""

    model: str
    sampling: Sampling
    seed: int = 0
    think: bool | None = None
    text: bool = False
    limit: int = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """One attempt that some plan needs."""

    key: str
    task: Task
    problem: Problem
    leaf: str
    strategy: Strategy
    index: int
    ask: Sample


def wanted(tasks: Sequence[Task], plans: Sequence[Plan], asking: Asking) -> Iterator[Wanted]:
    """Every attempt that the plans need, once, problem by problem, so that equal prompts come together.

    A problem that its task holds twice is asked once.
    """
    most: dict[tuple[str, float], Plan] = {}
    for made in plans:
        known = most.get((made.leaf, made.temperature))
        if known is None or made.n > known.n:
            most[made.leaf, made.temperature] = made
    files = {leaf: fingerprint(leaf) for leaf, _ in most}
    for task in tasks:
        examples = content_key(repr(task.exemplars))
        for problem in {problem.key: problem for problem in task.problems}.values():
            for (leaf, temperature), made in most.items():
                for index in range(made.n):
                    ask = question(problem, asking, temperature, index)
                    extra = (examples if uses_exemplars(leaf) else "") + files[leaf]
                    key = attempt_key(asking.model, leaf, ask, extra)
                    yield Wanted(key, task, problem, leaf, made.strategy, index, ask)


def question(problem: Problem, asking: Asking, temperature: float, index: int) -> Sample:
    """Attempt ``index`` at a problem as an effect. Its seed depends on nothing else in the run."""
    seed = derive(asking.seed, "attempt", problem.key, temperature, index)
    ask = Sample((), replace(asking.sampling, temperature=temperature), seed, think=asking.think)
    return ask_for(problem.prompt, ask, asking.text)


def uses_exemplars(leaf: str) -> bool:
    """Whether a strategy shows worked examples, which then are part of what it asked."""
    return leaf.startswith(("few-shot", "cot:", "cot(")) or leaf == "cot" or ".py:" in leaf or "(" in leaf


def unjudged(tasks: Sequence[Task], plans: Sequence[Plan], asking: Asking, pool: Pool) -> list[tuple[Wanted, str, str]]:
    """What is to be judged, once: the attempt, by which judge, and what identifies the judge's content."""
    found: dict[tuple[str, str], tuple[Wanted, str, str]] = {}
    versions = {made.judge: "" if made.judge in FILELESS else content_of(Path(made.judge)) for made in plans}
    for made in plans:
        for one in wanted(tasks, [made], asking) if made.judge else ():
            if not pool.has_judgement(one.key, made.judge, versions[made.judge]):
                found[one.key, made.judge] = (one, made.judge, versions[made.judge])
    return list(found.values())


def setting_of(task: Task, problem: Problem, backend: Backend) -> Setting:
    return Setting(task.kind(problem), backend.capabilities, task.exemplars)


def check_plans(tasks: Sequence[Task], plans: Sequence[Plan], backend: Backend, text: bool) -> None:
    """Refuse, before a token is spent, what the backend cannot do: for the samples, and for what judges them."""
    for task in tasks:
        for made in plans:
            setting = setting_of(task, task.problems[0], backend)
            check(strategy(made.spec), made.spec, setting, text, f"model {backend.name!r}")


def fill(pool: Pool, tasks: Sequence[Task], plans: Sequence[Plan], asking: Asking, backend: Backend) -> int:
    """Sample what is missing in the pool; returns how many attempts were made."""
    missing = [one for one in wanted(tasks, plans, asking) if one.key not in pool.attempts]
    with Progress(len(missing), "answers") as progress:
        done = failed = 0

        def keep(index: int, outcome: Sampled | Failure, usage: Usage) -> None:
            nonlocal done, failed
            pool.add(_attempt(missing[index], outcome, usage))
            done, failed = done + 1, failed + isinstance(outcome, Failure)
            progress.update(done, **({"failed": failed} if failed else {}))

        drive((_answer(one, backend) for one in missing), backend, limit=asking.limit, on_done=keep)
    return len(missing)


def judge(pool: Pool, tasks: Sequence[Task], plans: Sequence[Plan], asking: Asking, backend: Backend) -> int:
    """Have every attempt of a judged plan judged that is not yet; returns how many were."""
    found = unjudged(tasks, plans, asking, pool)
    rows = [row for row in found if row[0].key in pool.attempts and not pool.attempts[row[0].key].error]
    with Progress(len(rows), "judgements") as progress:
        done = 0

        def keep(index: int, outcome: list[float] | Failure, usage: Usage) -> None:
            nonlocal done
            done += 1
            if isinstance(outcome, Failure):
                raise outcome.exception
            one, by, version = rows[index]
            pool.judge(Judgement(one.key, by, outcome[0], usage, version))
            progress.update(done)

        drive((_judged(one, by, pool, backend) for one, by, _ in rows), backend, limit=asking.limit, on_done=keep)
    return len(rows)


def _answer(one: Wanted, backend: Backend) -> Rollout[Sampled]:
    policy = as_policy(one.strategy, one.leaf, setting_of(one.task, one.problem, backend))
    samples: list[Sampled] = yield from policy.respond(one.ask)
    return samples[0]


def _judged(one: Wanted, by: str, pool: Pool, backend: Backend) -> Rollout[list[float]]:
    made = pool.attempts[one.key]
    sampled = Sampled(Message.assistant(made.text, made.thinking), TokenSeq((), (), ()), made.finish, made.usage)
    how: Judge = by if by in FILELESS else "verifier"  # type: ignore[assignment]
    return judged(one.ask, [sampled], how, by if how == "verifier" else "", backend.capabilities)


def failed(one: Wanted, error: str, usage: Usage = _NOTHING) -> Attempt:
    """The attempt that gave no answer."""
    return Attempt(**_about(one), usage=usage, text="", thinking=None, finish="abort", error=error)


def _attempt(one: Wanted, outcome: Sampled | Failure, usage: Usage) -> Attempt:
    if isinstance(outcome, Failure):
        return failed(one, outcome.error, usage)
    message = outcome.message
    return Attempt(
        **_about(one),
        usage=usage,
        text=message.text,
        thinking=message.thinking,
        finish=outcome.finish,
        tied=tied_texts(outcome),
        trace=shown(outcome.trace),
    )


def _about(one: Wanted) -> dict[str, Any]:
    return {
        "key": one.key,
        "task": one.task.name,
        "problem": one.problem.key,
        "strategy": one.leaf,
        "temperature": one.ask.sampling.temperature,
        "index": one.index,
    }
