"""From graded episodes to what is learned: rewards, advantages, skipped groups, the shuffled control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thinkling.core.types import Episode, Message, Problem, TokenSeq, Usage, Verdict
from thinkling.train import rollouts


def episode(score: float | None, think: str | None = None, sampled: int = 3, status: str = "graded") -> Episode:
    problem = Problem("k", "train", "coin", "heads?", "yes")
    tokens = TokenSeq(
        (1, 2, *range(10, 10 + sampled)), ("prompt", "forced") + ("sampled",) * sampled, (0.0,) * (2 + sampled)
    )
    verdict = Verdict(score, status)  # type: ignore[arg-type]
    messages = (Message.user("heads?"), Message.assistant("yes", think))
    return Episode(problem, "p", messages, (tokens,), verdict, "stop", Usage(), 0)


def test_an_attempt_without_a_score_earns_nothing_and_a_users_reward_replaces_the_grade() -> None:
    groups = [[episode(1.0), episode(None, status="error"), episode(0.0, status="unparsed")]]
    assert rollouts.rewards(groups, None).tolist() == [[1.0, 0.0, 0.0]]
    assert rollouts.rewards(groups, lambda problem, message: len(message.text)).tolist() == [[3.0, 3.0, 3.0]]


def test_an_answer_without_a_score_is_no_wrong_answer() -> None:
    groups = [[episode(1.0)], [episode(0.0)], [episode(None, status="unscored")]]
    other = replace(episode(None, status="error"), problem=Problem("k", "train", "sort", "sort?", "a"))
    assert rollouts.accuracy(groups) == ({"mean": 0.5, "coin": 0.5}, {"coin": 2})
    assert rollouts.accuracy([*groups, [other]]) == ({"mean": 0.5, "coin": 0.5}, {"coin": 2, "sort": 0})
    assert rollouts.accuracy([[other]]) == ({}, {"sort": 0})


def test_groups_without_variance_are_skipped_and_counted() -> None:
    groups = [[episode(1.0), episode(1.0)], [episode(1.0), episode(0.0)], [episode(0.0), episode(0.0)]]
    made = rollouts.batch(groups, rollouts.rewards(groups, None), True, None)
    assert made.skipped == 2
    assert made.advantage.tolist() == [1.0, -1.0]
    assert made.tokens == 6


def test_only_sampled_tokens_are_learned() -> None:
    groups = [[episode(1.0), episode(0.0)]]
    made = rollouts.batch(groups, rollouts.rewards(groups, None), True, None)
    assert made.sequences[0][0].learn == [False, False, True, True, True]


def test_shuffling_keeps_the_rewards_but_not_their_places() -> None:
    groups = [[episode(float(i % 2 == j % 2)) for j in range(8)] for i in range(16)]
    earned = rollouts.rewards(groups, None)
    made = rollouts.batch(groups, earned, False, np.random.default_rng(1))
    honest = rollouts.batch(groups, earned, False, None)
    assert not np.array_equal(made.advantage, honest.advantage)
    again = rollouts.batch(groups, earned, False, np.random.default_rng(1))
    assert np.array_equal(made.advantage, again.advantage)


def test_the_description_counts_thinking_and_second_thoughts() -> None:
    groups = [[episode(1.0, "3+4=8 Wait, 3+4=7. Check: 7-4=3.", sampled=5), episode(0.0)]]
    row = rollouts.describe(groups, rollouts.rewards(groups, None))
    assert row["think_share"] == 0.5
    assert row["wait_per_answer"] == 1.0
    assert row["length"] == 4.0
    assert row["reward_by_family"] == {"coin": 0.5}
