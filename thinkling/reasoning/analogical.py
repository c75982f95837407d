"""Analogical prompting: recall a related problem and solve it first (Yasunaga et al. 2023, arXiv:2310.01714)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thinkling.core.types import Sample, Sampled
from thinkling.reasoning.prompting import add_to_question
from thinkling.reasoning.strategy import Setting
from thinkling.rollout.driver import Rollout


@dataclass(frozen=True)
class Analogical:
    """``problems`` related problems of the model's own, then the question."""

    problems: int = 1

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        some = "a related problem" if self.problems == 1 else f"{self.problems} related, different problems"
        words = (
            f"First recall {some}, write it down and solve it. "
            "Then solve the problem above, step by step, and end with: The answer is ..."
        )
        samples: list[Sampled] = yield add_to_question(ask, words)
        return samples[0]
