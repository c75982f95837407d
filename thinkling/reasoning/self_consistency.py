"""Self-consistency: ask many times, and take the answer that comes most often.

Wang et al. 2022 (arXiv:2203.11171): sample ``n`` chains of thought and vote over their parsed answers; how a
chain got there does not matter. What does not parse never votes. With ``error`` above 0 the vote is
adaptive (Aggarwal et al. 2023, arXiv:2305.11860): it stops as soon as the chance that more samples would
change the winner falls below ``error``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from thinkling.core.seeds import derive
from thinkling.core.types import Sample, Sampled
from thinkling.reasoning.stopping import check_error, majority_is_stable
from thinkling.reasoning.strategy import Plain, Setting, Strategy, candidate, elect, many
from thinkling.rollout.driver import Rollout


@dataclass(frozen=True)
class SelfConsistency:
    """``n`` samples at ``temperature``; with ``error``, ``batch`` at a time until the majority is stable."""

    n: int = 16
    temperature: float = 1.0
    error: float = 0.0
    batch: int = 4
    inner: Strategy = field(default_factory=Plain)

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        if self.error:
            check_error(self.error)
        return self.inner.needs(setting, text)

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        samples: list[Sampled] = []
        size = self.batch if self.error else self.n
        while len(samples) < self.n:
            part = replace(ask, seed=derive(ask.seed, "vote", len(samples)))
            count = min(size, self.n - len(samples))
            samples += yield from many(part, count, self.temperature, self.inner, setting)
            counts = Counter(filter(None, (setting.kind.answer(sampled.message.text) for sampled in samples)))
            if self.error and majority_is_stable(list(counts.values()), self.error):
                break
        candidates = [candidate(sampled, setting.kind.answer(sampled.message.text)) for sampled in samples]
        note = f"stopped after {len(samples)} of {self.n}" if len(samples) < self.n else ""
        return elect(samples, candidates, ask.seed, note=note)
