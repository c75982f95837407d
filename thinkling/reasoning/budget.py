"""Budget forcing: at least, or at most, so many tokens of thinking (Muennighoff et al. 2025, s1, arXiv:2501.19393).

At the limit the thinking is closed for the model and it is asked for its final answer. Where it would stop
thinking too early, its end of thinking is stripped and "Wait" appended, and it thinks on (section 3.1). What
is forced into the thinking counts as thinking, and every continuation pays for its prompt again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Sample, Sampled, Trace
from thinkling.reasoning.strategy import Setting, candidate, composed
from thinkling.rollout.driver import Rollout

WAIT = " Wait,"
FINAL = "The answer is"


@dataclass(frozen=True)
class BudgetForcing:
    """``min`` and ``max`` thinking tokens (0: no bound); ``answer_tokens`` for an answer that is asked for."""

    min: int = 0
    max: int = 0
    answer_tokens: int = 32

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        if self.max and self.max < self.min:
            raise UserError(f"budget: expected min <= max; got min={self.min}, max={self.max}")
        return ("prefix", "think", *(("chat",) if text else ()))

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        limit = self.max or ask.sampling.max_tokens
        parts: list[Sampled] = []
        thought, used, waits = "", 0, 0
        while True:
            effect = replace(
                ask,
                think=True,
                prefix=thought,
                seed=derive(ask.seed, "budget", len(parts)),
                sampling=replace(ask.sampling, max_tokens=limit - used),
            )
            (sampled,) = yield effect
            parts.append(sampled)
            thought = sampled.message.thinking or ""
            given = sampled.tokens.origins.count("forced") - 1  # of the thinking; a remote model tells no tokens
            used = max(used, given) + sampled.usage.thinking
            closed = any(part.kind == "text" for part in sampled.message.parts)
            if used >= self.min or used + _WAIT_TOKENS >= limit:
                break
            thought, used, waits = thought.rstrip() + WAIT, used + _WAIT_TOKENS, waits + 1
        text = sampled.message.text
        if not closed or sampled.finish == "length":  # out of budget, in the thinking or in the answer
            text = text if closed else FINAL
            sampling = replace(ask.sampling, max_tokens=self.answer_tokens)
            final = replace(ask, think=None, thought=thought, prefix=text, sampling=sampling)
            (sampled,) = yield final
            parts.append(sampled)
            text = sampled.message.text
        message = Message.assistant(text, thought)
        made = [candidate(part, role="part", parent=i - 1) for i, part in enumerate(parts[:-1])]
        made.append(candidate(parts[-1], setting.kind.answer(text), parent=len(parts) - 2))
        note = f"{used} tokens of thinking, {waits} waits" + ("" if closed else ", closed at the limit")
        return composed(message, parts, Trace("", tuple(made), tied=(len(made) - 1,), note=note))


_WAIT_TOKENS = 2  # what "Wait," costs where a backend does not tell
