"""Asking for the answer at once: what every chain of thought is compared with.

In a chat, thinking is forbidden where the protocol has it. As plain text, the answer is begun as Kojima et
al. 2022 (arXiv:2205.11916, section 3) begin it for the zero-shot baseline: "The answer is".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkling.core.types import Sample, Sampled
from thinkling.reasoning.prompting import answer_trigger, begin_answer, whole_answer
from thinkling.reasoning.strategy import Setting
from thinkling.rollout.driver import Rollout


@dataclass(frozen=True)
class Direct:
    """The answer at once."""

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        if ask.messages:
            ask = replace(ask, think=False) if setting.capabilities.think else ask
        else:
            words = answer_trigger(setting.kind).removeprefix("Therefore, ")
            ask = begin_answer(ask, words[0].upper() + words[1:], setting.capabilities)
        samples: list[Sampled] = yield ask
        return whole_answer(ask, samples[0])
