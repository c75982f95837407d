"""Few-shot prompting, with and without a chain of thought.

Brown et al. 2020 (arXiv:2005.14165) show solved examples before the question; Wei et al. 2022
(arXiv:2201.11903) let the examples show the steps as well, so that the model writes its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thinkling.core.errors import UserError
from thinkling.core.types import Sample, Sampled
from thinkling.reasoning.prompting import with_exemplars
from thinkling.reasoning.strategy import Setting
from thinkling.rollout.driver import Rollout


@dataclass(frozen=True)
class FewShot:
    """``shots`` examples, answers only. Needs exemplars in the setting."""

    shots: int = 4
    rationale: ClassVar[bool] = False

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        if len(setting.exemplars) < self.shots:
            raise UserError(
                f"a few-shot strategy with {self.shots} shots needs as many worked examples; there are "
                f"{len(setting.exemplars)}: point to a file of exemplars, or lower shots"
            )
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        samples: list[Sampled] = yield with_exemplars(ask, setting.exemplars[: self.shots], self.rationale)
        return samples[0]


@dataclass(frozen=True)
class ChainOfThought(FewShot):
    """``shots`` examples with their steps."""

    rationale: ClassVar[bool] = True
