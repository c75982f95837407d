"""What one reinforcement-learning step sees of its episodes: rewards, advantages, tokens, and how they look.

Shape suffixes: P problems, G samples of a group, N sampled tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkling.core.types import Episode
from thinkling.tasks.registry import Reward
from thinkling.train.losses import group_advantages
from thinkling.train.packing import Sequence

_SECOND_THOUGHTS = re.compile(r"\b(wait|check)\b", re.IGNORECASE)


def rewards(groups: Sequenced[Sequenced[Episode]], reward: Reward | None) -> NDArray[np.float64]:
    """[P, G]: the verdict's score, or the user's reward; an attempt that has no score earns 0."""
    values = [
        [
            reward(episode.problem, episode.messages[-1]) if reward is not None and not episode.error
            else episode.verdict.score or 0.0
            for episode in group
        ]
        for group in groups
    ]  # fmt: skip
    return np.asarray(values, np.float64)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences to learn from, by problem, with the advantage of each (by ``Sequence.owner``) and the sampler's
    logprobs."""

    sequences: list[list[Sequence]]
    advantage: NDArray[np.float64]
    logprobs: list[tuple[float, ...]]
    skipped: int
    tokens: int


def batch(
    groups: Sequenced[Sequenced[Episode]],
    rewards_PG: NDArray[np.float64],
    normalize: bool,
    rng: np.random.Generator | None,
) -> Batch:
    """Advantages within groups; groups without variance are skipped and counted.

    ``rng`` permutes the rewards over all attempts first: the control in which nothing can be learned
    about what earns a reward, while everything else stays the same.
    """
    if rng is not None:
        rewards_PG = rng.permutation(rewards_PG.reshape(-1)).reshape(rewards_PG.shape)
    advantage_PG = group_advantages(rewards_PG, normalize)
    sequences: list[list[Sequence]] = []
    advantages: list[float] = []
    logprobs: list[tuple[float, ...]] = []
    skipped = tokens = 0
    for group, advantage_G in zip(groups, advantage_PG, strict=True):
        if not advantage_G.any():
            skipped += 1
            continue
        sequences.append([])
        for episode, advantage in zip(group, advantage_G, strict=True):
            for made in episode.sequences:
                sampled = [origin == "sampled" for origin in made.origins]
                sequences[-1].append(Sequence(list(made.ids), sampled, len(advantages)))
                advantages.append(float(advantage))
                logprobs.append(made.logprobs)
                tokens += sum(sampled)
    return Batch(sequences, np.asarray(advantages), logprobs, skipped, tokens)


def describe(groups: Sequenced[Sequenced[Episode]], rewards_PG: NDArray[np.float64]) -> dict[str, Any]:
    """How the step's answers look: the curves of the R1 figure."""
    episodes = [episode for group in groups for episode in group]
    lengths = [sum(origin == "sampled" for made in e.sequences for origin in made.origins) for e in episodes]
    thoughts = [e.messages[-1].thinking if e.messages[-1].role == "assistant" else None for e in episodes]
    second = [len(_SECOND_THOUGHTS.findall(thought or "")) for thought in thoughts]
    return {
        "reward": float(rewards_PG.mean()),
        "length": float(np.mean(lengths)),
        "think_share": float(np.mean([thought is not None for thought in thoughts])),
        "wait_per_answer": float(np.mean(second)),
        "unparsed_share": float(np.mean([e.verdict.status == "unparsed" for e in episodes])),
        "cut_share": float(np.mean([e.finish == "length" for e in episodes])),
        "errors": sum(bool(e.error) or e.verdict.status == "error" for e in episodes),
        "sampled_tokens": int(np.sum(lengths)),
        "reward_by_family": _by_family(groups, rewards_PG),
    }


def accuracy(groups: Sequenced[Sequenced[Episode]]) -> tuple[dict[str, float], dict[str, int]]:
    """Mean score by family, with the mean over families as ``mean``, and by family how many answers it rests on.

    An answer without a score is in neither: nobody knows whether it was right.
    """
    scores: dict[str, list[float]] = {}
    for episode in (episode for group in groups for episode in group):
        scored = scores.setdefault(episode.problem.family, [])
        if episode.verdict.score is not None:
            scored.append(episode.verdict.score)
    means = {name: float(np.mean(values)) for name, values in scores.items() if values}
    overall = {"mean": float(np.mean(list(means.values())))} if means else {}
    return overall | means, {name: len(values) for name, values in scores.items()}


def _by_family(groups: Sequenced[Sequenced[Episode]], rewards_PG: NDArray[np.float64]) -> dict[str, float]:
    collected: dict[str, list[float]] = {}
    for group, row in zip(groups, rewards_PG, strict=True):
        collected.setdefault(group[0].problem.family, []).append(float(row.mean()))
    return {name: float(np.mean(values)) for name, values in sorted(collected.items())}
