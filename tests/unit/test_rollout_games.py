"""Games under a policy: exactly one record per game, whatever happens, with its transcript and its whole bill."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Problem, Sample, Sampled, Sampling, Step, Usage, Verdict
from thinkling.rollout.episodes import Policy
from thinkling.rollout.games import Played, play, too_long
from thinkling.rollout.scripted import Scripted
from thinkling.tasks.bulls_and_cows.env import BullsAndCows

SAMPLING = Sampling(max_tokens=60)
FULL = UserError("engine: the prompt has 70 tokens, but the engine holds 64 with the completion; shorten it")


def run(replies: Any, *secrets: str, rounds: int = 5, **options: Any) -> list[Played[BullsAndCows]]:
    envs = [BullsAndCows(secret, rounds=rounds) for secret in secrets]
    backend = replies if isinstance(replies, Scripted) else Scripted(replies)
    return play(envs, backend, **{"sampling": SAMPLING, "seed": 3, **options})


def asked(backend: Scripted) -> list[Sample]:
    return [effect for effect in backend.submitted if isinstance(effect, Sample)]


@pytest.mark.parametrize(
    ("replies", "outcome", "turns"),
    [
        (["guess: 1234", "guess: 4723"], "solved", 2),
        (["guess: 1234"] * 5, "round_limit", 5),
        (["guess: 1234", "I give up."], "gave_up", 2),
        (["guess: 1234", "I have won. Game over!"], "claimed_victory", 2),
        (["guess: 1234", "hm", "guess: 1123", "1234 or 5678"], "illegal", 4),
    ],
)
def test_every_ending_of_a_game(replies: list[str], outcome: str, turns: int) -> None:
    (game,) = run(replies, "4723")
    assert (game.stop, game.env.outcome, len(game.env.turns)) == ("done", outcome, turns)
    episode = game.episode
    assert episode.problem.key == game.env.problem.key and episode.error == "" and episode.finish == "stop"
    assert episode.verdict.score == float(outcome == "solved") and outcome in episode.verdict.reason
    said = [message.text for message in episode.messages if message.role == "assistant"]
    assert said == replies and len(episode.sequences) == episode.usage.calls == turns
    assert (episode.messages[-1].role == "user") == (outcome in ("solved", "round_limit"))


@pytest.mark.parametrize(
    ("error", "stop", "score"),
    [(FULL, "context_full", 0.0), (ConnectionError("gone"), "error", None), (UserError("no such id"), "error", None)],
)
def test_a_game_that_cannot_go_on_keeps_its_partial_transcript(
    error: Exception, stop: str, score: float | None
) -> None:
    (game,) = run(["guess: 1234", error], "4723")
    assert (game.stop, game.env.outcome, len(game.env.turns)) == (stop, None, 1)
    episode = game.episode
    assert [message.text for message in episode.messages[1:]] == ["guess: 1234", "bulls:0 cows:3"]
    assert episode.verdict.score == score and str(error) in episode.error and str(error) in episode.verdict.reason
    assert episode.verdict.status == ("graded" if stop == "context_full" else "error")
    assert episode.finish == ("length" if stop == "context_full" else "abort")
    assert episode.usage.calls == 1 and len(episode.sequences) == 1


def test_a_turn_cut_off_by_the_context_is_not_played_but_one_cut_off_by_its_own_limit_is() -> None:
    def no_room(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        samples: list[Sampled] = yield ask
        return [replace(sampled, finish="length") for sampled in samples]

    (game,) = run(["guess: 47"], "4723", policy=Policy("no room", no_room))
    assert game.stop == "context_full" and game.env.turns == []
    assert game.episode.messages[-1].text == "guess: 47" and "turn 1" in game.episode.error
    assert game.episode.verdict.score == 0.0 and game.episode.usage.calls == 1

    (game,) = run(["guess: 4723 is what I say"], "4723", sampling=Sampling(max_tokens=11))
    assert game.episode.finish == "length" and game.stop == "done" and game.env.outcome == "solved"


@pytest.mark.parametrize(
    ("message", "long"),
    [
        ("Error code: 400 - {'code': 'context_length_exceeded'}", True),
        ("This model's maximum context length is 4096 tokens. However, you requested 4097 tokens", True),
        ("the request exceeds the available context size, try increasing it", True),
        ("engine: the prompt is empty; expected at least one token", False),
        ("400: temperature is out of range", False),
    ],
)
def test_servers_say_in_their_own_words_that_the_context_is_full(message: str, long: bool) -> None:
    assert too_long(RuntimeError(message)) is long


def test_thinking_is_kept_in_the_record_but_shown_to_the_model_only_on_request() -> None:
    replies = ["<think>one two</think>guess: 1234", "guess: 4723"]
    for keep, thinking in ((False, None), (True, "one two")):
        backend = Scripted(replies)
        (game,) = run(backend, "4723", keep_thinking=keep, think=None)
        assert [message.thinking for message in asked(backend)[1].messages] == [None, thinking, None]
        assert [message.text for message in asked(backend)[1].messages][1:] == ["guess: 1234", "bulls:0 cows:3"]
        assert game.episode.messages[1].thinking == "one two"


def test_each_turn_is_asked_with_the_settings_of_the_call_and_its_own_seed() -> None:
    backend = Scripted(lambda ask, i: "hm</think>guess: 1234")
    run(backend, "4723", "0861", think=True)
    assert {(ask.n, ask.think, ask.sampling) for ask in asked(backend)} == {(1, True, SAMPLING)}
    assert len({ask.seed for ask in asked(backend)}) == len(asked(backend)) == 10


def test_a_game_does_not_depend_on_its_company() -> None:
    def seeds(*secrets: str, seed: int = 3) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for game in run(lambda ask, i: "guess: 1234", *secrets, seed=seed):
            found.setdefault(game.env.secret, []).append(game.episode.seed)
        return found

    many = seeds("4723", "0861", "4723")
    assert seeds("0861")["0861"] == many["0861"] and seeds("4723")["4723"] == many["4723"][:1]
    assert len({*many["4723"], *many["0861"]}) == 3, "the same secret twice is two different games"
    assert seeds("4723", seed=4) != seeds("4723")


def test_a_strategy_pays_for_all_it_sampled_in_all_turns() -> None:
    def two_of_three(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        samples = yield (ask, replace(ask, seed=1), replace(ask, seed=2))
        return samples[-1]

    replies = ["a", "b", "guess: 1234", "a", "b", "guess: 4723"]
    (game,) = run(replies, "4723", policy=Policy("third", two_of_three))
    assert game.env.outcome == "solved" and game.episode.policy == "third"
    assert game.episode.usage.calls == 6
    assert game.episode.usage.completion == sum(len(reply) + 1 for reply in replies)


def test_what_a_failed_turn_cost_is_on_the_bill() -> None:
    def fails_late(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        yield ask
        raise RuntimeError("lost")

    (game,) = run(["abc"], "4723", policy=Policy("late", fails_late))
    assert game.stop == "error" and "lost" in game.episode.error
    assert game.episode.usage == Usage(game.episode.usage.prompt, 4, 0, 1)


def test_a_policy_that_gives_more_than_one_turn_is_an_error() -> None:
    def twice(ask: Sample) -> Generator[Any, Any, list[Sampled]]:
        samples = yield ask
        return [*samples, *samples]

    (game,) = run(["guess: 4723"], "4723", policy=Policy("twice", twice))
    assert game.stop == "error" and "asked for 1 sample and gave 2" in game.episode.error


class Broken:
    """An environment that fails in its ``step``, or ends without a verdict."""

    def __init__(self, step: Callable[[], Step]) -> None:
        self.problem = Problem("key", "test", "broken", "?", "!")
        self._step = step

    def observe(self) -> list[Message]:
        return [Message.user("?")]

    def step(self, message: Message) -> Step:
        return self._step()


def test_an_environment_that_breaks_is_data_and_the_others_go_on() -> None:
    def crash() -> Step:
        raise ZeroDivisionError("oh")

    good = Broken(lambda: Step(None, True, Verdict(1.0, "graded")))
    envs = [Broken(crash), good, Broken(lambda: Step(None, True))]
    games = play(envs, Scripted(lambda ask, i: "hm"), sampling=SAMPLING, seed=0)
    assert [game.stop for game in games] == ["error", "done", "error"]
    assert "ZeroDivisionError: oh" in games[0].episode.error and games[0].episode.messages[-1].text == "hm"
    assert games[1].episode.verdict.score == 1.0 and "without a verdict" in games[2].episode.error


class Tagged(BullsAndCows):
    """A game whose conversation tells the script which one it is."""

    def observe(self) -> list[Message]:
        return [Message.system(self.secret), *super().observe()]


REPLIES: dict[str, str | Exception] = {
    "right": "guess: {}",
    "wrong": "guess: 1234",
    "words": "no idea",
    "quits": "I give up.",
    "full": FULL,
    "dead": ConnectionError("gone"),
}


@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(st.lists(st.sampled_from(sorted(REPLIES)), min_size=4, max_size=4), max_size=5),
    limit=st.integers(1, 4),
    patience=st.lists(st.integers(1, 4), min_size=1, max_size=5),
)
def test_exactly_one_record_per_game(plan: list[list[str]], limit: int, patience: list[int]) -> None:
    secrets = ["4723", "0861", "9150", "2394", "7086"][: len(plan)]
    left = {secret: list(kinds) for secret, kinds in zip(secrets, plan, strict=True)}

    def rule(ask: Sample, index: int) -> str | Exception:
        secret = ask.messages[0].text
        reply = REPLIES[left[secret].pop(0)]
        return reply.format(secret) if isinstance(reply, str) else reply

    turns: list[int] = []
    ended: list[int] = []
    games = play(
        [Tagged(secret, rounds=4) for secret in secrets],
        Scripted(rule, patience=lambda ticket: patience[ticket % len(patience)]),
        sampling=SAMPLING,
        seed=0,
        limit=limit,
        on_turn=lambda index, env: turns.append(index),
        on_game=lambda index, game: ended.append(index),
    )
    assert [game.env.secret for game in games] == secrets and sorted(ended) == list(range(len(secrets)))
    assert len(turns) == sum(len(game.env.turns) for game in games)
    for game, kinds in zip(games, plan, strict=True):
        done = next((at for at, kind in enumerate(kinds) if kind in ("right", "quits", "full", "dead")), 4)
        if kinds[:done][:3] == ["words"] * 3:
            expected: tuple[str, str | None] = ("done", "illegal")
        elif done == 4:
            expected = ("done", "illegal" if kinds[1:] == ["words"] * 3 else "round_limit")
        else:
            ends = {"right": ("done", "solved"), "quits": ("done", "gave_up"), "full": ("context_full", None)}
            expected = ends.get(kinds[done], ("error", None))
        assert (game.stop, game.env.outcome) == expected
        assert (game.episode.verdict.score is None) == (game.stop == "error")
        assert game.episode.usage.calls == len([m for m in game.episode.messages if m.role == "assistant"])
