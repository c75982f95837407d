"""Games: a policy plays environments of many turns, many side by side. Exactly one record per game.

Each turn asks the policy to continue what the environment shows, gives the turn to the environment, and goes on
until that has a verdict. A game that cannot go on is data too: its partial transcript is kept. If the conversation
outgrew the model's context, that is the model's failure and scores 0; any other error scores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import (
    Episode,
    Finish,
    Message,
    Problem,
    Sample,
    Sampled,
    Sampling,
    TokenSeq,
    Usage,
    Verdict,
)
from thinkling.rollout.backend import Backend
from thinkling.rollout.driver import Failure, Rollout, Tool, drive
from thinkling.rollout.episodes import PLAIN, Policy
from thinkling.tasks.env import Env

Stop = Literal["done", "context_full", "error"]

# How a backend says that a prompt is too long: the engine here, OpenAI's code, vLLM, llama.cpp and TGI.
_TOO_LONG = re.compile(
    r"prompt has \d+ tokens, but the engine holds|context_length_exceeded|maximum (?:context|model) length"
    r"|exceeds? the (?:available |model's )?context|inputs tokens \+ max_new_tokens must be",
    re.IGNORECASE,
)


class GameEnv(Env, Protocol):
    """An environment that knows which problem it poses: its key decides the game's seed."""

    @property
    def problem(self) -> Problem: ...


E = TypeVar("E", bound=GameEnv)


@dataclass(frozen=True, slots=True)
class Played(Generic[E]):
    """A game that is over: the environment as it was left, the record, and why it stopped.

    The episode's ``messages`` hold the whole conversation with all thinking, ``sequences`` one per turn.
    """

    env: E
    episode: Episode
    stop: Stop


@dataclass(slots=True)
class _Course(Generic[E]):
    """A game under way, kept outside its generator so that nothing is lost when that fails."""

    env: E
    seed: int
    messages: tuple[Message, ...] = ()
    sequences: tuple[TokenSeq, ...] = ()
    finish: Finish = "abort"
    weights_id: str = ""
    verdict: Verdict | None = None
    stop: Stop = "done"
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Manner:
    """How all games of one call are played."""

    policy: Policy
    sampling: Sampling
    think: bool | None
    keep_thinking: bool
    keep_tokens: bool


def play(
    envs: Sequence[E],
    backend: Backend,
    *,
    sampling: Sampling,
    seed: int,
    policy: Policy = PLAIN,
    think: bool | None = None,
    keep_thinking: bool = False,
    tools: Mapping[str, Tool] | None = None,
    limit: int = 4096,
    keep_tokens: bool = True,
    on_turn: Callable[[int, E], None] | None = None,
    on_game: Callable[[int, Played[E]], None] | None = None,
) -> list[Played[E]]:
    """Play every environment to its end; returns one record per game, in the order of ``envs``.

    ``sampling`` is each turn's; its ``max_tokens`` bounds one turn. A game's seed comes from its problem's key (and
    its place among games of the same problem), a turn's from that and the turn's number, so that a game does not
    depend on its company. Earlier turns are shown to the policy without their thinking, as the chat templates of
    R1-style models do; ``keep_thinking`` shows it. ``on_turn(index, env)`` follows each turn that the environment
    took, ``on_game`` each end. Usage counts every token that a game cost, abandoned branches of a strategy included.
    """
    manner = _Manner(policy, sampling, think, keep_thinking, keep_tokens)
    courses: list[_Course[E]] = []
    met: dict[str, int] = {}
    for env in envs:
        again = met.setdefault(env.problem.key, 0)
        met[env.problem.key] += 1
        courses.append(_Course(env, derive(seed, "game", env.problem.key, again)))
    played: dict[int, Played[E]] = {}

    def on_done(index: int, outcome: None | Failure, usage: Usage) -> None:
        course = courses[index]
        if isinstance(outcome, Failure):
            course.error = outcome.error
            course.stop = "context_full" if too_long(outcome.exception) else "error"
        played[index] = Played(course.env, _episode(course, policy, usage), course.stop)
        if on_game is not None:
            on_game(index, played[index])

    games = (_game(index, course, manner, on_turn) for index, course in enumerate(courses))
    drive(games, backend, tools=tools, limit=limit, on_done=on_done)
    return [played[index] for index in range(len(courses))]


def too_long(error: Exception) -> bool:
    """Whether an error says that a prompt does not fit the model's context."""
    return _TOO_LONG.search(str(error)) is not None


def _game(index: int, course: _Course[E], manner: _Manner, on_turn: Callable[[int, E], None] | None) -> Rollout[None]:
    turn = 0
    while course.verdict is None:
        course.messages = tuple(course.env.observe())
        shown = course.messages if manner.keep_thinking else tuple(map(_without_thinking, course.messages))
        ask = Sample(shown, manner.sampling, derive(course.seed, turn), think=manner.think)
        samples: list[Sampled] = yield from manner.policy.respond(ask)
        if len(samples) != 1:
            raise ValueError(f"policy {manner.policy.name!r} was asked for 1 sample and gave {len(samples)}")
        (sampled,) = samples
        _book(course, sampled, manner.keep_tokens)
        if sampled.finish == "length" and sampled.usage.completion < manner.sampling.max_tokens:
            # Cut off before its own limit: there was no room left, and half a turn is nobody's move.
            course.stop, course.error = "context_full", f"no room for the rest of turn {turn + 1}"
            return
        step = course.env.step(sampled.message)
        course.verdict = step.verdict if step.done else None
        if step.observation is not None:
            course.messages += (step.observation,)
        if on_turn is not None:
            on_turn(index, course.env)
        if step.done and step.verdict is None:
            raise UserError(f"{type(course.env).__name__}: its last step came without a verdict")
        turn += 1


def _book(course: _Course[E], sampled: Sampled, keep_tokens: bool) -> None:
    course.messages += (sampled.message,)
    course.finish, course.weights_id = sampled.finish, sampled.weights_id
    if keep_tokens and sampled.tokens.ids:
        course.sequences += (sampled.tokens,)


def _without_thinking(message: Message) -> Message:
    if message.role != "assistant":
        return message
    return Message(message.role, tuple(part for part in message.parts if part.kind != "think"))


def _episode(course: _Course[E], policy: Policy, usage: Usage) -> Episode:
    verdict = course.verdict
    if course.stop == "context_full":
        verdict = Verdict(0.0, "graded", None, f"context_full: {course.error}")
    elif course.stop == "error" or verdict is None:
        verdict = Verdict(None, "error", None, course.error)
    return Episode(
        problem=course.env.problem,
        policy=policy.name,
        messages=course.messages,
        sequences=course.sequences,
        verdict=verdict,
        finish="abort" if course.stop == "error" else "length" if course.stop == "context_full" else course.finish,
        usage=usage,
        seed=course.seed,
        weights_id=course.weights_id,
        error="" if course.stop == "done" else course.error,
    )
