"""Self-refine: answer, find fault with the answer, answer again (Madaan et al. 2023, arXiv:2303.17651).

The critic is the model itself and is never told the gold answer: Huang et al. 2023 (arXiv:2310.01798) show
that self-correction seemed to help mostly where it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from thinkling.core.seeds import derive
from thinkling.core.types import Message, Sample, Sampled, Trace
from thinkling.reasoning.strategy import Plain, Setting, Strategy, candidate
from thinkling.rollout.driver import Rollout

CRITICIZE = (
    "Review your answer above. Go through each step and name every mistake. "
    'If there is none, reply with "No mistakes." alone.'
)
REVISE = "Answer the question again with the mistakes mended. End with: The answer is ..."
# Content is a critic who says so first of all, or last: "Step 1 has no mistakes. Step 2 is wrong." is not.
_NONE = r"no (?:mistakes?|errors?)\b"
_FINE = re.compile(
    rf"\A\W*(?:there (?:are|is) |i (?:found|find|see) )?{_NONE}(?: found| here| at all)?\s*(?:[.!*\"'\n]|\Z)"
    rf"|\b{_NONE}(?!.*\b(?:but|except|however|though|apart|other)\b)[^.!?\n]*[.!?\s\"'*]*\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SelfRefine:
    """At most ``rounds`` rounds of critique and revision, after a first answer by ``inner``."""

    rounds: int = 2
    inner: Strategy = field(default_factory=Plain)

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        return (*(("chat",) if text else ()), *self.inner.needs(setting, text))

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        current = yield from self.inner.answer(ask, setting)
        made = [candidate(current, setting.kind.answer(current.message.text))]
        last, note = 0, ""
        for turn in range(self.rounds):
            shown = (*ask.messages, Message.assistant(current.message.text), Message.user(CRITICIZE))
            (critique,) = yield replace(ask, messages=shown, seed=derive(ask.seed, "critique", turn))
            made.append(candidate(critique, role="critique", parent=last))
            if _FINE.search(critique.message.text):
                note = f"the critic found no mistake in round {turn + 1}"
                break
            shown = (*shown, Message.assistant(critique.message.text), Message.user(REVISE))
            (current,) = yield replace(ask, messages=shown, seed=derive(ask.seed, "revise", turn))
            made.append(candidate(current, setting.kind.answer(current.message.text), parent=len(made) - 1))
            last = len(made) - 1
        return replace(current, trace=Trace("", tuple(made), tied=(last,), note=note))
