"""Zero-shot chain of thought in two stages (Kojima et al. 2022, arXiv:2205.11916, section 3).

First the answer is begun with "Let's think step by step." and the model reasons; then everything so far is
shown again with an answer trigger ("Therefore, the answer (arabic numerals) is"), and the model answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkling.core.types import Candidate, Message, Sample, Sampled, Trace
from thinkling.reasoning.prompting import answer_trigger, begin_answer
from thinkling.reasoning.strategy import Setting, composed
from thinkling.rollout.driver import Rollout
from thinkling.tasks.kojima import STEP_BY_STEP


@dataclass(frozen=True)
class ZeroShotCoT:
    """Think step by step, then answer in at most ``answer_tokens``."""

    answer_tokens: int = 32

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return ()

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        first = begin_answer(ask, STEP_BY_STEP, setting.capabilities)
        (reasoned,) = yield first
        wanted = answer_trigger(setting.kind)
        (answered,) = yield self._second(first, reasoned, wanted, setting)
        steps = reasoned.message.text.removeprefix(STEP_BY_STEP)
        said = answered.message.text
        if wanted in said:  # the turn was continued: only what follows the trigger is new
            said = said.rpartition(wanted)[2]
        message = Message.assistant(
            f"{STEP_BY_STEP} {steps.strip()}\n{wanted} {said.strip()}", reasoned.message.thinking
        )
        candidates = (
            Candidate(reasoned.message, usage=reasoned.usage, finish=reasoned.finish, role="reasoning"),
            Candidate(
                message, setting.kind.answer(message.text), usage=answered.usage, finish=answered.finish, parent=0
            ),
        )
        return composed(message, (reasoned, answered), Trace("", candidates, tied=(1,)))

    def _second(self, first: Sample, reasoned: Sampled, wanted: str, setting: Setting) -> Sample:
        sampling = replace(first.sampling, temperature=0.0, max_tokens=self.answer_tokens)
        shown = reasoned.message.text
        if not first.messages:
            return replace(first, prefix=f"{first.prefix}{shown}\n{wanted}", sampling=sampling)
        if setting.capabilities.prefix:
            thought = reasoned.message.thinking
            return replace(first, prefix=f"{shown}\n{wanted}", thought=thought, think=None, sampling=sampling)
        messages = (*first.messages, Message.assistant(shown), Message.user(wanted))
        return replace(first, messages=messages, sampling=sampling)
