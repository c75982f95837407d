"""Graded solutions that a policy gave to problems, and how its steps turn out when continued from.

All of it is a function of seed and problem, and is kept in a stage's scratch folder family by family, so
that a run that was cut off neither samples twice nor differently.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from thinkling.core.artifact import write_atomically
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.stage import StageContext
from thinkling.core.types import Episode, Message, Part, Problem, Sample, Sampled, Sampling
from thinkling.engine.backend import LocalBackend
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.rollout.driver import Failure, Rollout, drive
from thinkling.rollout.episodes import ask_user, episodes
from thinkling.tasks.family import Family
from thinkling.tasks.sets import problems
from thinkling.tasks.steps import step_marks
from thinkling.tokenizer.bpe import Tokenizer

SLOTS = 256  # sequences that the policy samples at once


@dataclass(frozen=True, slots=True)
class Solution:
    """A policy's turn, its score, and its canonical answer (None: not parsed).

    ``marks`` are the ends of its steps; ``shares``, where it was continued from each of them, how many of the
    continuations came out right.
    """

    turn: Message
    score: float
    answer: str | None
    marks: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempts:
    """One problem's solutions."""

    problem: Problem
    solutions: tuple[Solution, ...]


class Sampler:
    """A policy that solves problems, and continues its own solutions.

    ``think`` as in ``Sample``; ``max_len``: most tokens of problem and solution, cut to what the model holds.
    """

    def __init__(
        self, ctx: StageContext, policy: Path, sampling: Sampling, *,
        seed: int, think: bool | None, max_len: int, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        config, weights = load_checkpoint(policy)
        tokenizer = Tokenizer.load(policy)
        length = min(max_len, config.max_position_embeddings)
        engine = Engine(weights, config, slots=SLOTS, max_len=length, dtype=dtype, tokenizer=tokenizer)
        self.backend = LocalBackend(engine, tokenizer, policy.name)
        self.ctx, self.sampling, self.seed, self.think = ctx, sampling, seed, think

    def attempts(
        self, families: Sequence[Family], split: str, per_family: int, samples: int, continuations: int = 0
    ) -> list[Attempts]:
        """``samples`` graded solutions to each of up to ``per_family`` problems of every family.

        With ``continuations``, each step's end is continued from that often (Math-Shepherd, arXiv:2312.08935,
        section 3.3). An attempt without a score, or that says nothing, is left out.
        """
        made: list[Attempts] = []
        with self.ctx.progress(len(families), f"{split} solutions") as progress:
            for place, family in enumerate(families):
                posed = problems(family, split, per_family, self.seed, at_most=True)
                kept = self.ctx.scratch / f"{split}-{place}.json"
                if not kept.exists():
                    solved = self._solve(family, posed, samples)
                    if continuations:
                        solved = self._continue(family, solved, continuations)
                    write_atomically(kept, json.dumps([[asdict(s) for s in one.solutions] for one in solved]))
                rows: list[list[dict[str, Any]]] = json.loads(kept.read_text(encoding="utf-8"))
                made += [Attempts(p, tuple(_read(**s) for s in row)) for p, row in zip(posed, rows, strict=True)]
                progress.update(place + 1, solutions=sum(len(one.solutions) for one in made))
        return made

    def _solve(self, family: Family, posed: Sequence[Problem], samples: int) -> list[Attempts]:
        groups = episodes(
            posed, self.backend, family_of=lambda problem: family, sampling=self.sampling,
            seed=derive(self.seed, "solve"), n=samples, think=self.think, keep_tokens=False,
        )  # fmt: skip
        made = [tuple(solution for solution in map(_solution, group) if solution) for group in groups]
        return [Attempts(problem, solutions) for problem, solutions in zip(posed, made, strict=True)]

    def _continue(self, family: Family, solved: Sequence[Attempts], count: int) -> list[Attempts]:
        """The same attempts with ``shares``; a beginning that several solutions have is continued once."""
        begun = {
            (one.problem.key, effect): one.problem
            for one in solved
            for solution in one.solutions
            for effect in (self._continuation(one.problem, solution.turn, mark, count) for mark in solution.marks)
        }
        outcomes = drive((_graded(family, problem, effect) for (_, effect), problem in begun.items()), self.backend)
        share = {key: _share(outcome) for key, outcome in zip(begun, outcomes, strict=True)}
        made = []
        for one in solved:
            solutions = []
            for solution in one.solutions:
                effects = [self._continuation(one.problem, solution.turn, mark, count) for mark in solution.marks]
                shares = [share[one.problem.key, effect] for effect in effects]
                known = [(mark, s) for mark, s in zip(solution.marks, shares, strict=True) if s is not None]
                marks, found = zip(*known, strict=True) if known else ((), ())
                solutions.append(replace(solution, marks=marks, shares=found))
            made.append(Attempts(one.problem, tuple(solutions)))
        return made

    def _continuation(self, problem: Problem, turn: Message, mark: int, count: int) -> Sample:
        """The effect that goes on from the first ``mark`` characters of a turn."""
        thought = turn.thinking or ""
        begun = (thought + turn.text)[:mark]
        seed = derive(self.seed, "continue", problem.key, begun)
        if thought and mark <= len(thought):
            return Sample(ask_user(problem), self.sampling, seed, count, begun, think=True)
        said = begun[len(thought) :]
        return Sample(ask_user(problem), self.sampling, seed, count, said, think=False, thought=turn.thinking)


def _solution(episode: Episode) -> Solution | None:
    turn, verdict = episode.messages[-1], episode.verdict
    if episode.error or verdict.score is None or not (turn.thinking or turn.text):
        return None
    return Solution(turn, verdict.score, verdict.extracted, step_marks(turn))


def _read(turn: dict[str, Any], score: float, answer: str | None, marks: list[int], shares: list[float]) -> Solution:
    """A solution from its JSON."""
    message = Message(turn["role"], tuple(Part(**part) for part in turn["parts"]))
    return Solution(message, score, answer, tuple(marks), tuple(shares))


def _graded(family: Family, problem: Problem, effect: Sample) -> Rollout[list[float]]:
    samples: list[Sampled] = yield effect
    scores = [family.grade(problem, sampled.message.text).score for sampled in samples]
    return [score for score in scores if score is not None]


def _share(outcome: list[float] | Failure) -> float | None:
    """The mean score of the continuations; None where there was no room for any, or none could be graded."""
    if isinstance(outcome, Failure):
        if not isinstance(outcome.exception, UserError):
            raise outcome.exception
        return None
    return sum(outcome) / len(outcome) if outcome else None
